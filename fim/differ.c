/* Keeping and comparing the content of configuration files. Of the thread that calls: live, or a command. */
#include "fim/differ.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "db/texts.h"
#include "fim/read.h"
#include "fim/textdiff.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/text.h"

_Static_assert(TEXTS_SIZE_MAX == TEXTDIFF_SIZE_MAX, "what is kept can be compared");

struct differ {
	const struct db_options *options;
	enum digest_algo algo;
	bool wait;
	struct db *db;
	uint64_t second; /* CLOCK_MONOTONIC; and how many in it */
	unsigned n;
	uint64_t skipped;
};

int differ_new(const struct db_options *db, enum digest_algo algo, bool wait, struct differ **ret)
{
	struct differ *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	d->options = db;
	d->algo = algo;
	d->wait = wait;
	*ret = d;
	return 0;
}

uint64_t differ_skipped(const struct differ *d)
{
	return d->skipped;
}

void differ_free(struct differ *d)
{
	if (!d)
		return;
	if (d->db)
		db_close(d->db);
	free(d);
}

/* --- which */

static bool is_below(const char *path, const char *entry)
{
	size_t len = strlen(entry);

	while (len > 1 && entry[len - 1] == '/')
		len--;
	if (strncmp(path, entry, len) == 0 && (path[len] == '/' || !path[len] || len == 1))
		return true;
	return text_is_glob(entry) && text_glob(entry, path);
}

/* As the record has it. Mode 0600 and whatever is sensitive is never kept. */
static bool is_wanted(const struct conf *conf, const char *path, const struct record *rec, enum digest_algo algo)
{
	const attr_mask need = ATTR_BIT(ATTR_MODE) | ATTR_BIT(ATTR_SIZE) | ATTR_BIT(ATTR_DIGEST);
	bool below = false;

	if (rec->type != 'f' || (rec->have & need) != need || !(rec->mode & S_IROTH) || rec->size > TEXTS_SIZE_MAX ||
	    rec->digest_len != digest_table[algo].size)
		return false;
	for (size_t i = 0; i < conf->diffs.n && !below; i++)
		below = is_below(path, conf->diffs.items[i]);
	return below && !conf_is_sensitive(conf, path);
}

/* --- reading */

/* A file system that cannot say whether it would wait is one in memory, or one of layers whose files were just read. */
static ssize_t read_piece(int fd, void *data, size_t size, off_t at, bool wait)
{
	const struct iovec piece = { data, size };
	ssize_t n = wait ? pread(fd, data, size, at) : preadv2(fd, &piece, 1, at, RWF_NOWAIT);

	return n < 0 && errno == EOPNOTSUPP ? pread(fd, data, size, at) : n;
}

static int read_open(int fd, bool wait, struct buf *ret)
{
	char piece[8192];
	struct stat st;
	ssize_t n = 1;

	/* The mode of now counts too: what was closed meanwhile is nobody's to keep. */
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || !(st.st_mode & S_IROTH) || st.st_size > TEXTS_SIZE_MAX)
		return -ESTALE;
	/* What came behind it meanwhile shows in the digest. */
	while (ret->len < (size_t)st.st_size && !ret->failed && n > 0) {
		n = read_piece(fd, piece, sizeof(piece), (off_t)ret->len, wait);
		if (n > 0)
			buf_add(ret, piece, (size_t)n);
	}
	if (n < 0)
		return -errno;
	return ret->failed ? -ENOMEM : 0;
}

static int open_text(int rootfd, const char *path, bool wait)
{
	const struct open_how cached = { .flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
					 .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_IN_ROOT | RESOLVE_CACHED };
	_cleanup_close_ int dirfd = -1;
	const char *name;
	int fd, r;

	fd = wait ? -1 : (int)syscall(SYS_openat2, rootfd, path, &cached, sizeof(cached));
	/* A kernel before 5.12, or one that does not let us ask. */
	if (!wait && (fd >= 0 || (errno != EINVAL && errno != ENOSYS && errno != EPERM)))
		return fd < 0 ? -errno : fd;
	r = file_open_parent(rootfd, path, &dirfd, &name);
	if (r < 0)
		return r;
	fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* The content that hashes to the record's digest. -ESTALE: it is another one by now; -EINVAL: no text. */
static int read_text(int rootfd, const char *path, const struct record *rec, enum digest_algo algo, bool wait,
		     struct buf *ret)
{
	_cleanup_digest_ struct digest *hash = NULL;
	uint8_t is[DIGEST_MAX];
	_cleanup_close_ int fd = open_text(rootfd, path, wait);
	int r = fd < 0 ? fd : read_open(fd, wait, ret);

	if (r == 0)
		r = digest_new(algo, &hash);
	if (r == 0)
		r = digest_once(hash, ret->data ? ret->data : "", ret->len, is);
	if (r < 0)
		return r;
	if (memcmp(is, rec->digest, rec->digest_len) != 0)
		return -ESTALE;
	return textdiff_is_text(ret->data ? ret->data : "", ret->len) ? 0 : -EINVAL;
}

/* --- one change */

static bool is_flood(struct differ *d)
{
	uint64_t second = clock_mono_ns() / NSEC_PER_SEC;

	if (second != d->second) {
		d->second = second;
		d->n = 0;
	}
	return d->n++ >= DIFFER_PER_SECOND;
}

static struct db *open_once(struct differ *d)
{
	_cleanup_buf_ struct buf err = BUF_INIT;

	if (!d->db && db_open(d->options, DB_READ, &d->db, &err) < 0)
		d->db = NULL;
	return d->db;
}

static void compare(struct differ *d, struct event *e, const struct buf *after)
{
	_cleanup_buf_ struct buf before = BUF_INIT, diff = BUF_INIT;

	if (!open_once(d) || texts_get(d->db, d->algo, e->before.digest, &before) < 0)
		return;
	if (textdiff(before.data ? before.data : "", before.len, after->data ? after->data : "", after->len, &diff) ==
		    0 &&
	    diff.len)
		e->text = arena_strdup(&e->arena, diff.data);
}

void differ_event(struct differ *d, const struct conf *conf, int rootfd, struct event *e)
{
	_cleanup_buf_ struct buf after = BUF_INIT;
	int r;

	if (e->kind != EVENT_CHANGE || e->container || !e->path || !e->has_after || e->path2 ||
	    !is_wanted(conf, e->path, &e->after, d->algo))
		return;
	r = is_flood(d) ? -EAGAIN : read_text(rootfd, e->path, &e->after, d->algo, d->wait, &after);
	d->skipped += r == -EAGAIN;
	if (r < 0)
		return;
	if (e->has_before && is_wanted(conf, e->path, &e->before, d->algo) &&
	    memcmp(e->before.digest, e->after.digest, e->after.digest_len) != 0)
		compare(d, e, &after);
	e->content = arena_dup(&e->arena, after.data ? after.data : "", after.len ? after.len : 1);
	e->content_len = e->content ? after.len : 0;
}

/* --- a whole baseline */

struct keeping {
	struct db *d;
	const struct conf *conf;
	int rootfd;
	enum digest_algo algo;
	struct baseline_reader *reader;
	struct chunk chunk;
	struct digest *blake;
	struct buf scratch;
	uint64_t now;
	size_t n;
};

static int keep_file(struct keeping *k, const char *path, const struct record *rec)
{
	_cleanup_buf_ struct buf text = BUF_INIT;

	if (!is_wanted(k->conf, path, rec, k->algo) || read_text(k->rootfd, path, rec, k->algo, true, &text) < 0)
		return 0;
	k->n++;
	return texts_put(k->d, rec->digest, rec->digest_len, text.data, text.len, k->now);
}

static int keep_entry(struct keeping *k, const char *dir, const struct entry *entry)
{
	_cleanup_buf_ struct buf path = BUF_INIT;

	if (entry->rec.type != 'f' || entry->rec.size > TEXTS_SIZE_MAX)
		return 0;
	buf_printf(&path, "%s%s", dir, streq(dir, "/") ? "" : "/");
	buf_str(&path, entry->name);
	return path.failed ? -ENOMEM : keep_file(k, path.data, &entry->rec);
}

static int keep_dir(int64_t id, const char *path, void *data)
{
	struct keeping *k = data;
	int r = 0;

	for (uint32_t seq = 0; r == 0; seq++) {
		r = baseline_load_chunk(k->reader, id, path, seq, &k->chunk, k->blake, &k->scratch);
		if (r == -ENOENT)
			return 0;
		for (uint32_t i = 0; r == 0 && i < k->chunk.n; i++)
			r = keep_entry(k, path, &k->chunk.entries[i]);
	}
	return r;
}

/* An entry of the key diffs: a file, or all below. */
static int keep_below(struct keeping *k, const char *item)
{
	_cleanup_arena_ struct arena a = ARENA_INIT;
	struct record rec;

	if (text_is_glob(item))
		return baseline_each_dir(k->reader, "/", keep_dir, k);
	if (baseline_lookup(k->reader, item, &a, &rec) == 0 && rec.type == 'f')
		return keep_file(k, item, &rec);
	return baseline_each_dir(k->reader, item, keep_dir, k);
}

int differ_keep_baseline(struct db *d, const struct conf *conf, int rootfd, int64_t baseline, enum digest_algo algo,
			 size_t *ret_n)
{
	struct keeping k = { .d = d, .conf = conf, .rootfd = rootfd, .algo = algo, .now = clock_real_ns() };
	int r = conf->diffs.n ? baseline_reader_new(d, baseline, &k.reader) : 0;

	if (r == 0 && k.reader)
		r = digest_new(DIGEST_BLAKE2B512, &k.blake);
	if (r == 0 && k.reader)
		r = db_begin(d);
	for (size_t i = 0; k.reader && i < conf->diffs.n && r == 0; i++)
		r = keep_below(&k, conf->diffs.items[i]);
	if (r == 0 && k.reader)
		r = texts_trim(d);
	if (r > 0)
		log_warn("diffs: more than %d MiB: of %d files, those seen longest ago, no content is kept",
			 TEXTS_TOTAL_MAX >> 20, r);
	if (r >= 0 && k.reader)
		r = db_commit(d);
	if (r < 0 && k.reader)
		db_rollback(d);
	if (k.reader)
		baseline_reader_free(k.reader);
	if (k.blake)
		digest_free(k.blake);
	arena_free(&k.chunk.arena);
	buf_free(&k.scratch);
	*ret_n = k.n;
	return r;
}
