/*
 * Last known states. Owns a read connection to the store, the prepared reader of the baseline, the set of known names
 * and a bounded cache of states that were told a moment ago (the writer stores them later). Used by the live thread
 * alone. It must not write to the store.
 */
#include "fim/states.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fim/lately.h"
#include "lib/clock.h"
#include "lib/util.h"

#define STATES_INODES_MAX 8192 /* a newer one may push out another: the periodic recheck finds what is missed then */

/* Open addressing over 64-bit hashes; 0 is never stored. A hash that is there by accident costs one question to the
 * store. */
struct known {
	uint64_t *slots;
	size_t size, n;
};

/* Inode of a file that was not judged by the baseline alone (changed, added, renamed), or that got a link lately. */
struct newer_inode {
	uint64_t hash;
	char *path;
};

struct states {
	struct db_options options;
	char *name;
	struct db *db;
	struct baseline_reader *reader;
	struct arena arena; /* of info */
	struct baseline_info info;
	struct states_counts counts;
	struct known known;
	struct known inodes; /* of the baseline's regular files */
	struct newer_inode newer[STATES_INODES_MAX];
	struct lately cache;
	const _Atomic int *stop;
	void (*linked)(const char *path, void *data);
	void *linked_data;
};

static bool known_has(const struct known *k, uint64_t hash)
{
	size_t mask = k->size - 1;

	hash += !hash;
	for (size_t i = hash & mask; k->size && k->slots[i]; i = (i + 1) & mask) {
		if (k->slots[i] == hash)
			return true;
	}
	return false;
}

static int known_reserve(struct known *k, size_t n)
{
	struct known bigger = { NULL, 1024, 0 };

	if (k->size && n * 3 < k->size * 2)
		return 0;
	while (bigger.size * 2 <= n * 3)
		bigger.size *= 2;
	bigger.slots = calloc(bigger.size, sizeof(*bigger.slots));
	if (!bigger.slots)
		return -ENOMEM;
	for (size_t i = 0; i < k->size; i++) {
		size_t at = k->slots[i] & (bigger.size - 1);

		if (!k->slots[i])
			continue;
		while (bigger.slots[at])
			at = (at + 1) & (bigger.size - 1);
		bigger.slots[at] = k->slots[i];
		bigger.n++;
	}
	free(k->slots);
	*k = bigger;
	return 0;
}

static int known_add(struct known *k, uint64_t hash)
{
	size_t at;
	int r;

	hash += !hash;
	if (known_has(k, hash))
		return 0;
	r = known_reserve(k, k->n + 1);
	if (r < 0)
		return r;
	at = hash & (k->size - 1);
	while (k->slots[at])
		at = (at + 1) & (k->size - 1);
	k->slots[at] = hash;
	k->n++;
	return 0;
}

/* Those behind it move up, so that none is cut off from where its search begins. */
static void known_remove(struct known *k, uint64_t hash)
{
	size_t mask = k->size - 1, hole, at;

	hash += !hash;
	if (!known_has(k, hash))
		return;
	hole = hash & mask;
	while (k->slots[hole] != hash)
		hole = (hole + 1) & mask;
	for (at = (hole + 1) & mask; k->slots[at]; at = (at + 1) & mask) {
		size_t from_home = (at - (k->slots[at] & mask)) & mask;

		if (from_home < ((at - hole) & mask))
			continue;
		k->slots[hole] = k->slots[at];
		hole = at;
	}
	k->slots[hole] = 0;
	k->n--;
}

/* --- inodes */

static uint64_t inode_hash(uint64_t dev, uint64_t ino)
{
	uint64_t h = (ino ^ dev << 40 ^ dev >> 24) * 0x9e3779b97f4a7c15ULL;

	h ^= h >> 32;
	return h + !h;
}

void states_set_inode(struct states *s, const char *path, uint64_t dev, uint64_t ino)
{
	uint64_t hash = inode_hash(dev, ino);
	struct newer_inode *slot = &s->newer[hash % STATES_INODES_MAX];
	char *copy = strdup(path);

	if (!copy)
		return;
	free(slot->path);
	*slot = (struct newer_inode){ hash, copy };
}

const char *states_inode(const struct states *s, uint64_t dev, uint64_t ino)
{
	uint64_t hash = inode_hash(dev, ino);
	const struct newer_inode *slot = &s->newer[hash % STATES_INODES_MAX];

	if (slot->path && slot->hash == hash)
		return slot->path;
	return known_has(&s->inodes, hash) ? "" : NULL;
}

int states_each_inode(struct states *s, const uint64_t *inos, size_t n,
		      int (*fn)(const char *path, uint64_t ino, void *data), void *data)
{
	return baseline_each_inode(s->reader, inos, n, fn, data);
}

/* --- what was told a moment ago */

void states_set(struct states *s, const char *path, const struct side *now, bool based)
{
	uint64_t hash = pathmap_hash(&s->cache.map, path);

	/* As good as never heard of: a folder in which files come and go must not fill memory with their names. */
	if (!now->exists && !based) {
		known_remove(&s->known, hash);
		lately_forget(&s->cache, path);
		return;
	}
	known_add(&s->known, hash);
	if (now->exists && now->rec.type == 'f')
		states_set_inode(s, path, now->rec.dev, now->rec.ino);
	lately_set(&s->cache, path, now);
}

size_t states_names(const struct states *s)
{
	return s->known.n;
}

/* --- store */

bool states_know(const struct states *s, const char *path)
{
	return known_has(&s->known, pathmap_hash(&s->cache.map, path));
}

int states_base(struct states *s, struct arena *a, const char *path, struct side *ret)
{
	struct side side = { .exists = true };
	int r;

	if (!states_know(s, path)) {
		ret->exists = false;
		return 0;
	}
	r = baseline_lookup(s->reader, path, a, &side.rec);
	if (r < 0 && r != -ENOENT)
		return r;
	side.exists = r == 0;
	*ret = side;
	return 0;
}

int states_last(struct states *s, struct arena *a, const char *path, struct side *ret)
{
	struct side side = { 0 };
	int r;

	if (!states_know(s, path)) {
		ret->exists = false;
		return 0;
	}
	r = lately_get(&s->cache, a, path, ret);
	if (r != -ENOENT)
		return r;
	r = history_last_state(s->db, s->info.id, path, a, &side.exists, &side.rec);
	if (r == -ENOENT)
		return states_base(s, a, path, ret);
	if (r == 0)
		*ret = side;
	return r;
}

void states_hear(struct states *s, const char *path)
{
	known_add(&s->known, pathmap_hash(&s->cache.map, path));
}

void states_forget(struct states *s, const char *path)
{
	lately_forget(&s->cache, path);
	states_hear(s, path);
}

/* --- loading */

struct loading {
	struct states *s;
	struct baseline_reader *reader;
	struct known known, inodes;
	struct states_counts counts;
	struct digest *blake;
	struct chunk chunk;
	struct buf path, scratch;
};

static int load_entry(struct loading *l, const char *dir, const struct entry *e)
{
	struct states *s = l->s;

	buf_reset(&l->path);
	if (!streq(dir, "/") || !*e->name)
		buf_str(&l->path, dir);
	if (*e->name)
		buf_printf(&l->path, "/%s", e->name);
	if (l->path.failed)
		return -ENOMEM;
	l->counts.entries++;
	l->counts.unread += e->rec.unread != RECORD_READ && e->rec.unread != RECORD_NOT_ASKED;
	if (e->rec.type == 'f' && e->rec.nlink > 1 && s->linked)
		s->linked(l->path.data, s->linked_data);
	if (e->rec.type == 'f' && known_add(&l->inodes, inode_hash(e->rec.dev, e->rec.ino)) < 0)
		return -ENOMEM;
	return known_add(&l->known, pathmap_hash(&s->cache.map, l->path.data));
}

static int load_dir(int64_t id, const char *path, void *data)
{
	struct loading *l = data;
	int r = 0;

	for (uint32_t seq = 0; r == 0; seq++) {
		if (l->s->stop && *l->s->stop)
			return -ECANCELED;
		r = baseline_load_chunk(l->reader, id, path, seq, &l->chunk, l->blake, &l->scratch);
		for (uint32_t i = 0; r == 0 && i < l->chunk.n; i++)
			r = load_entry(l, path, &l->chunk.entries[i]);
	}
	return r == -ENOENT ? 0 : r;
}

/* Paths that history tells of but the baseline does not have: added, renamed. */
static int load_name(const struct history_name *n, void *data)
{
	struct loading *l = data;

	if (known_add(&l->known, pathmap_hash(&l->s->cache.map, n->path)) < 0)
		return -ENOMEM;
	if (n->rec.have && n->rec.type == 'f')
		states_set_inode(l->s, n->path, n->rec.dev, n->rec.ino);
	return l->s->stop && *l->s->stop ? -ECANCELED : 0;
}

static int load_names(struct loading *l)
{
	int r = digest_new(DIGEST_BLAKE2B512, &l->blake);

	if (r == 0)
		r = known_reserve(&l->known, 1);
	if (r == 0)
		r = baseline_each_dir(l->reader, "/", load_dir, l);
	if (r == 0)
		r = history_each_name(l->s->db, l->s->name, "/", load_name, l);
	if (l->blake)
		digest_free(l->blake);
	buf_free(&l->path);
	buf_free(&l->scratch);
	arena_free(&l->chunk.arena);
	return r;
}

int states_reload(struct states *s, struct buf *err)
{
	struct loading l = { .s = s };
	struct arena arena = ARENA_INIT;
	struct baseline_info info;
	int r = baseline_find(s->db, s->name, &arena, &info);

	if (r == 0)
		r = baseline_reader_new(s->db, info.id, &l.reader);
	if (r == 0)
		r = load_names(&l);
	if (r < 0) {
		if (r != -ECANCELED)
			buf_printf(err, "baseline %s: %s", s->name,
				   r == -ENOENT ? "there is none of that name" : db_error(s->db));
		if (l.reader)
			baseline_reader_free(l.reader);
		free(l.known.slots);
		free(l.inodes.slots);
		arena_free(&arena);
		return r;
	}
	lately_clear(&s->cache);
	if (s->reader)
		baseline_reader_free(s->reader);
	free(s->known.slots);
	free(s->inodes.slots);
	arena_free(&s->arena);
	s->reader = l.reader;
	s->known = l.known;
	s->inodes = l.inodes;
	s->counts = l.counts;
	s->arena = arena;
	s->info = info;
	db_rest(s->db);
	return 0;
}

int states_open(const struct db_options *db, const char *baseline, void (*linked)(const char *path, void *data),
		void *data, const _Atomic int *stop, struct states **ret, struct buf *err)
{
	struct states *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->options = *db;
	s->linked = linked;
	s->linked_data = data;
	s->stop = stop;
	s->name = strdup(baseline);
	r = s->name ? lately_init(&s->cache) : -ENOMEM;
	if (r == 0)
		r = db_open(db, DB_READ, &s->db, err);
	if (r == 0)
		r = states_reload(s, err);
	if (r < 0) {
		states_close(s);
		return r;
	}
	*ret = s;
	return 0;
}

void states_close(struct states *s)
{
	lately_free(&s->cache);
	if (s->reader)
		baseline_reader_free(s->reader);
	if (s->db)
		db_close(s->db);
	free(s->known.slots);
	free(s->inodes.slots);
	for (size_t i = 0; i < STATES_INODES_MAX; i++)
		free(s->newer[i].path);
	free(s->name);
	arena_free(&s->arena);
	free(s);
}

const struct baseline_info *states_baseline(const struct states *s)
{
	return &s->info;
}

const struct states_counts *states_counts(const struct states *s)
{
	return &s->counts;
}
