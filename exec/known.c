/*
 * The table of digests by version of a file, set-associative, of fixed size, behind one lock. Reading for file
 * integrity runs on its own threads, each with a context of its own for the time of the call.
 */
#include "exec/known.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "lib/clock.h"
#include "lib/fstype.h"
#include "lib/hash.h"
#include "lib/util.h"

#define KNOWN_SETS 1024
#define KNOWN_WAYS 4
/* ctime may be this coarse: a younger one does not tell versions apart. */
#define KNOWN_FRESH_NS (20 * NSEC_PER_MSEC)
/* A writer waits for our lease while larger ones are read: they are read without. */
#define KNOWN_SIZE_MAX (32 * MIB)

struct known_entry {
	struct file_id id;
	uint64_t stamp; /* 0: empty */
	unsigned have;
	enum exec_type type;
	const char *extra_name; /* of a constant: compared as a string */
	size_t extra_len;
	uint8_t extra[DIGEST_MAX];
	uint8_t digest[DIGEST_ALGO_COUNT][DIGEST_MAX];
};

struct known {
	pthread_mutex_t lock;
	uint64_t stamp;
	unsigned algos;
	const char *extra;
	_Atomic uint64_t read, shared;
	struct known_entry sets[KNOWN_SETS][KNOWN_WAYS];
};

int known_new(struct known **ret)
{
	struct known *k = calloc(1, sizeof(*k));

	if (!k)
		return -ENOMEM;
	signal(SIGIO, SIG_IGN);
	pthread_mutex_init(&k->lock, NULL);
	*ret = k;
	return 0;
}

void known_free(struct known *k)
{
	if (!k)
		return;
	pthread_mutex_destroy(&k->lock);
	free(k);
}

void known_want(struct known *k, unsigned algos, const char *extra)
{
	pthread_mutex_lock(&k->lock);
	k->algos = algos;
	k->extra = extra;
	pthread_mutex_unlock(&k->lock);
}

bool known_cacheable(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && fstype_by_magic((uint64_t)fs.f_type)->class == FSTYPE_DISK;
}

void known_identify(const struct stat *st, struct file_id *ret)
{
	ret->dev = st->st_dev;
	ret->ino = st->st_ino;
	ret->size = (uint64_t)st->st_size;
	ret->ctime = (int64_t)st->st_ctim.tv_sec * (int64_t)NSEC_PER_SEC + st->st_ctim.tv_nsec;
}

static struct known_entry *set_of(struct known *k, const struct file_id *id)
{
	return k->sets[hash_mix(id->dev, id->ino) % KNOWN_SETS];
}

static bool has_extra(const struct known_entry *e, const char *extra)
{
	return !extra || (e->extra_len && e->extra_name && streq(e->extra_name, extra));
}

bool known_find(struct known *k, const struct file_id *id, unsigned algos, const char *extra, struct exec_digests *ret,
		enum exec_type *ret_type)
{
	const struct known_entry *set = set_of(k, id), *found = NULL;

	pthread_mutex_lock(&k->lock);
	for (size_t i = 0; i < KNOWN_WAYS && !found; i++)
		if (set[i].stamp && memcmp(&set[i].id, id, sizeof(*id)) == 0 && (set[i].have & algos) == algos &&
		    has_extra(&set[i], extra))
			found = &set[i];
	if (found) {
		ret->have = found->have;
		memcpy(ret->digest, found->digest, sizeof(ret->digest));
		ret->extra_len = extra ? found->extra_len : 0;
		memcpy(ret->extra, found->extra, sizeof(ret->extra));
		ret->size = id->size;
		ret->head_len = 0;
		*ret_type = found->type;
	}
	pthread_mutex_unlock(&k->lock);
	if (found)
		atomic_fetch_add_explicit(&k->shared, 1, memory_order_relaxed);
	return found;
}

/* A ctime from the future says nothing at all. */
static bool is_fresh(const struct file_id *id)
{
	return (int64_t)clock_real_ns() - id->ctime < (int64_t)KNOWN_FRESH_NS;
}

void known_put(struct known *k, const struct file_id *id, const char *extra, const struct exec_digests *d,
	       enum exec_type type)
{
	struct known_entry *set = set_of(k, id), *take = set;

	if (is_fresh(id))
		return;
	pthread_mutex_lock(&k->lock);
	for (size_t i = 0; i < KNOWN_WAYS; i++) {
		if (set[i].id.dev == id->dev && set[i].id.ino == id->ino) {
			take = &set[i];
			break;
		}
		if (set[i].stamp < take->stamp)
			take = &set[i];
	}
	*take = (struct known_entry){ .id = *id,
				      .stamp = ++k->stamp,
				      .have = d->have,
				      .type = type,
				      .extra_name = extra,
				      .extra_len = extra ? d->extra_len : 0 };
	memcpy(take->digest, d->digest, sizeof(take->digest));
	memcpy(take->extra, d->extra, take->extra_len);
	pthread_mutex_unlock(&k->lock);
}

void known_forget(struct known *k)
{
	pthread_mutex_lock(&k->lock);
	memset(k->sets, 0, sizeof(k->sets));
	pthread_mutex_unlock(&k->lock);
}

/* --- reading for others */

/* Under the lease: 0, 1 when it changed or somebody wants to write, or a negative errno. */
static int read_leased(struct known *k, int fd, const struct file_id *id, unsigned algos, const char *extra,
		       struct exec_digests *d)
{
	_cleanup_exec_hash_ struct exec_hash *h = NULL;
	struct script_kind kind;
	struct file_id now;
	struct stat st;
	int r = exec_hash_new(&h);

	if (r == 0)
		r = exec_hash_fd(h, fd, id->size, algos, extra, d);
	if (r < 0)
		return r == -EFBIG || r == -ENODATA ? 1 : r;
	if (fcntl(fd, F_GETLEASE) != F_RDLCK || fstat(fd, &st) < 0)
		return 1;
	known_identify(&st, &now);
	if (memcmp(&now, id, sizeof(now)) != 0)
		return 1;
	script_sniff(d->head, d->head_len, &kind);
	known_put(k, id, extra, d, kind.type);
	atomic_fetch_add_explicit(&k->read, 1, memory_order_relaxed);
	return 0;
}

static int digest_of(struct known *k, int fd, const struct file_id *id, enum digest_algo algo, struct exec_digests *d)
{
	enum exec_type type;
	unsigned algos;
	const char *extra;
	int r;

	if (known_find(k, id, 1u << algo, NULL, d, &type))
		return 0;
	if (id->size > KNOWN_SIZE_MAX || is_fresh(id) || fcntl(fd, F_SETLEASE, F_RDLCK) < 0)
		return 1;
	pthread_mutex_lock(&k->lock);
	algos = k->algos | 1u << algo;
	extra = k->extra;
	pthread_mutex_unlock(&k->lock);
	r = read_leased(k, fd, id, algos, extra, d);
	fcntl(fd, F_SETLEASE, F_UNLCK);
	return r;
}

int known_digest(struct known *k, int fd, enum digest_algo algo, uint8_t ret[DIGEST_MAX])
{
	_cleanup_free_ struct exec_digests *d = NULL;
	struct file_id id;
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || !known_cacheable(fd))
		return 1;
	known_identify(&st, &id);
	d = malloc(sizeof(*d));
	r = d ? digest_of(k, fd, &id, algo, d) : 1;
	if (r == 0)
		memcpy(ret, d->digest[algo], digest_table[algo].size);
	return r;
}

void known_get_stats(const struct known *k, struct known_stats *ret)
{
	ret->read = atomic_load_explicit(&k->read, memory_order_relaxed);
	ret->shared = atomic_load_explicit(&k->shared, memory_order_relaxed);
}
