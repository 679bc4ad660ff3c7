/*
 * The periodic recheck: answers what events never tell (stores through a mapping that stays, inode flags, whiteouts of
 * old kernels). Runs on its own thread ("recheck"), a little every second: within limits.recheck every folder is listed
 * and the metadata of every entry compared with the baseline, within limits.rehash every file is read again, never
 * faster than limits.recheck_rate. It only names paths to look at; the live thread judges them. Owns a read connection,
 * which is idle between steps so that the store's log does not grow behind it. What is small is not gone through all
 * the more often for that: between the beginnings of two rounds lies a sixtieth of their limit, and it sleeps
 * meanwhile.
 *
 * The folders of the baseline are listed once a round. Where it stands does not survive a restart.
 */
#include "fim/live-internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/util.h"

#define RECHECK_STEP_NS	   NSEC_PER_SEC
#define RECHECK_MINIMUM	   8	      /* entries a step */
#define RECHECK_BYTES	   (64 * KIB) /* at least, a step */
#define RECHECK_ENTRY_COST 4096	      /* what opening a file counts for */
#define RECHECK_RETRY_NS   (60 * NSEC_PER_SEC)
#define RECHECK_ROUNDS	   60		       /* at most, within a limit */
#define RECHECK_NAP_NS	   (10 * NSEC_PER_SEC) /* longest: limits may have changed */

struct recheck_dir {
	int64_t id;
	const char *path;
};

/* An entry of a folder. */
struct recheck_place {
	uint32_t seq, i; /* chunk; entry in it */
};

struct recheck {
	struct live *l;
	struct db *db;
	struct baseline_reader *reader;
	struct file_reader *files;
	struct digest *blake;
	int rootfd;
	struct arena arena; /* of dirs */
	struct recheck_dir *dirs;
	size_t n_dirs, size, next;
	uint64_t entries, bytes; /* of the whole baseline */
	struct chunk chunk;
	struct buf path, scratch;
	struct pathmap hasher; /* for its key only */
	uint64_t *names;       /* hashes of the names of one folder */
	size_t n_names, names_size;
	int64_t credit;		      /* entries */
	int64_t rehash_credit;	      /* bytes */
	char *rehash_at;	      /* folder read last; NULL: begin */
	struct recheck_place at;      /* entry that is looked at */
	struct recheck_place rehash;  /* in that folder, where to go on */
	bool rehash_part;	      /* there is more of it */
	uint64_t began, rehash_began; /* this round of each; monotonic */
};

static void recheck_close(struct recheck *c)
{
	if (c->reader)
		baseline_reader_free(c->reader);
	if (c->db)
		db_close(c->db);
	c->reader = NULL;
	c->db = NULL;
	arena_free(&c->arena);
	free(c->dirs);
	c->dirs = NULL;
	c->n_dirs = c->size = c->next = 0;
	c->began = 0;
}

static int recheck_note_dir(int64_t id, const char *path, void *data)
{
	struct recheck *c = data;

	if (c->n_dirs == c->size) {
		size_t size = c->size ? c->size * 2 : 1024;
		struct recheck_dir *dirs = realloc(c->dirs, size * sizeof(*dirs));

		if (!dirs)
			return -ENOMEM;
		c->dirs = dirs;
		c->size = size;
	}
	c->dirs[c->n_dirs].id = id;
	c->dirs[c->n_dirs].path = arena_strdup(&c->arena, path);
	if (!c->dirs[c->n_dirs].path)
		return -ENOMEM;
	c->n_dirs++;
	return c->l->stopping ? -ECANCELED : 0;
}

/* Begins a round: the baseline may be another one than in the last. */
static int recheck_open(struct recheck *c)
{
	_cleanup_buf_ struct buf err = BUF_INIT;
	struct baseline_info info;
	int64_t id = c->l->counters.baseline;
	int r;

	recheck_close(c);
	r = db_open(c->l->o.db, DB_READ, &c->db, &err);
	if (r == 0)
		r = baseline_find_id(c->db, id, &c->arena, &info);
	if (r == 0)
		r = baseline_reader_new(c->db, id, &c->reader);
	if (r == 0)
		r = baseline_each_dir(c->reader, "/", recheck_note_dir, c);
	if (r < 0) {
		recheck_close(c);
		return r;
	}
	c->entries = info.files;
	c->bytes = info.bytes;
	c->began = clock_mono_ns();
	return 0;
}

static int recheck_tell(struct recheck *c, const char *dir, const char *name)
{
	buf_reset(&c->path);
	if (!streq(dir, "/") || !*name)
		buf_str(&c->path, dir);
	if (*name)
		buf_printf(&c->path, "/%s", name);
	if (c->path.failed)
		return -ENOMEM;
	return live_post_candidate(c->l, c->path.data, false);
}

/* --- folders */

static int recheck_open_dir(const struct recheck *c, const char *path)
{
	_cleanup_close_ int parent = -1;
	const char *name;
	int r;

	if (streq(path, "/"))
		return fcntl(c->rootfd, F_DUPFD_CLOEXEC, 0);
	r = file_open_parent(c->rootfd, path, &parent, &name);
	if (r < 0)
		return r;
	r = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	return r < 0 ? -errno : r;
}

static int recheck_keep_name(struct recheck *c, const char *name)
{
	if (c->n_names == c->names_size) {
		size_t size = c->names_size ? c->names_size * 2 : 256;
		uint64_t *names = realloc(c->names, size * sizeof(*names));

		if (!names)
			return -ENOMEM;
		c->names = names;
		c->names_size = size;
	}
	c->names[c->n_names++] = pathmap_hash(&c->hasher, name);
	return 0;
}

static int recheck_entry(struct recheck *c, int dirfd, const char *dir, const struct entry *e)
{
	struct arena arena = ARENA_INIT;
	struct record now;
	int r = recheck_keep_name(c, e->name);

	if (r < 0)
		return r;
	c->l->counters.rechecked++;
	c->credit--;
	r = *e->name ? file_read_meta(c->files, &arena, dirfd, e->name, &now) : -ENOENT;
	arena_free(&arena);
	if (r == 0 && record_same_version(&e->rec, &now) && e->rec.mode == now.mode && e->rec.uid == now.uid &&
	    e->rec.gid == now.gid)
		return 0;
	return recheck_tell(c, dir, e->name);
}

static int recheck_compare_hash(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* What is in the folder and not in the baseline: an addition, or known as a deviation. */
static int recheck_strangers(struct recheck *c, int fd, const char *path)
{
	_cleanup_closedir_ DIR *dir = fdopendir(fd);
	struct dirent *e;
	int r = 0;

	if (!dir) {
		close(fd);
		return -errno;
	}
	if (c->n_names)
		qsort(c->names, c->n_names, sizeof(*c->names), recheck_compare_hash);
	while (r == 0 && (e = readdir(dir))) {
		uint64_t hash = pathmap_hash(&c->hasher, e->d_name);

		if (streq(e->d_name, ".") || streq(e->d_name, ".."))
			continue;
		if (!c->n_names || !bsearch(&hash, c->names, c->n_names, sizeof(hash), recheck_compare_hash))
			r = recheck_tell(c, path, e->d_name);
	}
	return r;
}

/* From c->at on, until fn returns another than 0. */
static int recheck_each_entry(struct recheck *c, const struct recheck_dir *d,
			      int (*fn)(struct recheck *c, int dirfd, const char *dir, const struct entry *e),
			      int dirfd)
{
	int r = 0;

	for (; r == 0 && !c->l->stopping; c->at.seq++, c->at.i = 0) {
		r = baseline_load_chunk(c->reader, d->id, d->path, c->at.seq, &c->chunk, c->blake, &c->scratch);
		for (; r == 0 && c->at.i < c->chunk.n; c->at.i++)
			r = fn(c, dirfd, d->path, &c->chunk.entries[c->at.i]);
	}
	return r == -ENOENT ? 0 : r;
}

static int recheck_dir(struct recheck *c, const struct recheck_dir *d)
{
	_cleanup_close_ int fd = recheck_open_dir(c, d->path);
	int r;

	c->n_names = 0;
	if (fd < 0) /* the folder itself is an entry of its parent */
		return recheck_tell(c, d->path, "");
	c->at = (struct recheck_place){ 0, 0 };
	r = recheck_each_entry(c, d, recheck_entry, fd);
	/* A baseline of some entries of a folder alone does not cover the others: live_mask sorts those out. */
	return r < 0 ? r : recheck_strangers(c, TAKE_FD(fd), d->path);
}

/* --- reading again */

/* 1: enough for this step. */
static int recheck_rehash_entry(struct recheck *c, int dirfd, const char *dir, const struct entry *e)
{
	(void)dirfd;
	if (c->rehash_credit <= 0) {
		c->rehash = c->at;
		return 1;
	}
	if (e->rec.type != 'f' || !(e->rec.have & ATTR_BIT(ATTR_DIGEST)))
		return 0;
	c->rehash_credit -= (int64_t)(e->rec.size + RECHECK_ENTRY_COST);
	return recheck_tell(c, dir, e->name);
}

static const struct recheck_dir *recheck_rehash_next(struct recheck *c)
{
	for (size_t i = 0; i < c->n_dirs; i++) {
		int order = c->rehash_at ? strcmp(c->dirs[i].path, c->rehash_at) : 1;

		if (order > 0)
			c->rehash_part = false;
		if (order > 0 || (order == 0 && c->rehash_part))
			return &c->dirs[i];
	}
	return NULL;
}

static int recheck_rehash(struct recheck *c)
{
	int r = 0;

	if (!c->rehash_at)
		c->rehash_began = clock_mono_ns();
	while (r == 0 && c->rehash_credit > 0 && !c->l->stopping) {
		const struct recheck_dir *d = recheck_rehash_next(c);

		c->at = c->rehash_part ? c->rehash : (struct recheck_place){ 0, 0 };
		free(c->rehash_at);
		c->rehash_at = d ? strdup(d->path) : NULL;
		if (!d)
			break;
		r = recheck_each_entry(c, d, recheck_rehash_entry, -1);
		c->rehash_part = r > 0;
	}
	return MIN(r, 0);
}

/* --- pace */

static uint64_t recheck_due(uint64_t began, uint64_t within_ns)
{
	return began ? began + within_ns / RECHECK_ROUNDS : 0;
}

static uint64_t recheck_share(uint64_t all, uint64_t within_ns)
{
	uint64_t steps = within_ns / 10 * 9 / RECHECK_STEP_NS;

	return all / MAX(steps, 1) + 1;
}

static int recheck_metadata(struct recheck *c)
{
	int r = 0;

	while (r == 0 && c->credit > 0 && c->next < c->n_dirs && !c->l->stopping) {
		c->credit--;
		r = recheck_dir(c, &c->dirs[c->next++]);
	}
	return r;
}

static int recheck_step_metadata(struct recheck *c, uint64_t within_ns)
{
	int64_t share = (int64_t)MAX(recheck_share(c->entries, within_ns), RECHECK_MINIMUM);
	bool done = c->next >= c->n_dirs;
	int r;

	c->credit = MIN(c->credit + share, 2 * share);
	r = recheck_metadata(c);
	if (r == 0 && !done && c->next >= c->n_dirs)
		c->l->counters.recheck_rounds++;
	return r;
}

static int recheck_step_rehash(struct recheck *c, const struct conf *conf)
{
	uint64_t share = MAX(recheck_share(c->bytes, conf->limits.rehash), RECHECK_BYTES);

	share = MIN(share, MAX(conf->limits.recheck_rate, 1));
	c->rehash_credit = MIN(c->rehash_credit + (int64_t)share, (int64_t)(2 * share));
	return recheck_rehash(c);
}

static int recheck_step(struct recheck *c, const struct conf *conf)
{
	uint64_t now = clock_mono_ns();
	int r = 0;

	if (c->next >= c->n_dirs && now >= recheck_due(c->began, conf->limits.recheck))
		r = recheck_open(c);
	if (r == 0 && conf->limits.recheck && c->next < c->n_dirs)
		r = recheck_step_metadata(c, conf->limits.recheck);
	if (r == 0 && conf->limits.rehash && (c->rehash_at || now >= recheck_due(c->rehash_began, conf->limits.rehash)))
		r = recheck_step_rehash(c, conf);
	return r;
}

/* Until there is something to do: a step at the soonest. */
static uint64_t recheck_pause(const struct recheck *c, const struct conf *conf)
{
	uint64_t now = clock_mono_ns(), at = now + RECHECK_NAP_NS;

	if (conf->limits.recheck)
		at = MIN(at, c->next < c->n_dirs ? now : recheck_due(c->began, conf->limits.recheck));
	if (conf->limits.rehash)
		at = MIN(at, c->rehash_at ? now : recheck_due(c->rehash_began, conf->limits.rehash));
	return MAX(at, now + RECHECK_STEP_NS) - now;
}

/* False: stop. */
static bool recheck_sleep(struct live *l, uint64_t ns)
{
	struct timespec until = clock_timespec(clock_mono_ns() + ns);

	pthread_mutex_lock(&l->lock);
	if (!l->stopping)
		pthread_cond_timedwait(&l->recheck_wake, &l->lock, &until);
	pthread_mutex_unlock(&l->lock);
	return !l->stopping;
}

static struct conf *recheck_conf(struct live *l)
{
	struct conf *conf;

	pthread_mutex_lock(&l->lock);
	conf = conf_ref(l->conf);
	pthread_mutex_unlock(&l->lock);
	return conf;
}

static int recheck_init(struct recheck *c)
{
	struct read_options o = c->l->read;
	int r;

	o.known = NULL;
	r = file_reader_new(&o, &c->files);

	if (r == 0)
		r = digest_new(DIGEST_BLAKE2B512, &c->blake);
	if (r == 0)
		r = pathmap_init(&c->hasher);
	if (r == 0) {
		c->rootfd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		r = c->rootfd < 0 ? -errno : 0;
	}
	return r;
}

static void recheck_free(struct recheck *c)
{
	recheck_close(c);
	if (c->files)
		file_reader_free(c->files);
	if (c->blake)
		digest_free(c->blake);
	cleanup_close(&c->rootfd);
	pathmap_free(&c->hasher);
	arena_free(&c->chunk.arena);
	buf_free(&c->path);
	buf_free(&c->scratch);
	free(c->names);
	free(c->rehash_at);
}

static void *recheck_main(void *data)
{
	struct recheck c = { .l = data, .rootfd = -1 };
	uint64_t pause = RECHECK_STEP_NS;
	int r = recheck_init(&c);

	pthread_setname_np(pthread_self(), "recheck");
	while (r == 0 && recheck_sleep(c.l, pause)) {
		_cleanup_conf_ struct conf *conf = recheck_conf(c.l);
		int step = conf->limits.recheck || conf->limits.rehash ? recheck_step(&c, conf) : 0;

		pause = recheck_pause(&c, conf);
		if (c.db)
			db_rest(c.db);
		if (step < 0 && step != -ECANCELED) {
			c.l->counters.errors++;
			recheck_close(&c);
			pause = RECHECK_RETRY_NS;
		}
	}
	if (r < 0)
		log_error("the periodic recheck does not run: %s", strerror(-r));
	recheck_free(&c);
	return NULL;
}

int recheck_start(struct live *l)
{
	int r = -pthread_create(&l->recheck_thread, NULL, recheck_main, l);

	l->recheck_running = r == 0;
	return r;
}

void recheck_stop(struct live *l)
{
	if (l->recheck_running)
		pthread_join(l->recheck_thread, NULL);
}
