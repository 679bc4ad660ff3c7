/*
 * The limit for a baseline: lists every folder, opens, reads and digests (SHA-256, EVP) every regular file on all
 * cores, and stores nothing. With --meta: statx of every entry instead of reading. Prints files, bytes and seconds.
 *
 *     floor [--meta] [--threads N] FOLDER...
 *
 * Workers share one stack of work: a folder to list, or a batch of names of one folder to read.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/util.h"

#define BATCH  64
#define BUFFER (256 * KIB)

struct folder {
	atomic_uint refs;
	int fd;
};

struct work {
	struct work *next;
	struct folder *parent; /* NULL: a path from the command line */
	char *name;	       /* folder to list; NULL: a batch */
	char *names;	       /* batch: n names, each with its NUL */
	unsigned n;
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct work *stack;
	unsigned busy, idle, threads;
	bool meta;
	_Atomic uint64_t files, bytes;
} all = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, NULL, 0, 0, 0, false, 0, 0 };

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void unref(struct folder *f)
{
	if (f && atomic_fetch_sub(&f->refs, 1) == 1) {
		close(f->fd);
		free(f);
	}
}

static void push(struct work *w)
{
	pthread_mutex_lock(&all.lock);
	w->next = all.stack;
	all.stack = w;
	if (all.idle)
		pthread_cond_signal(&all.more);
	pthread_mutex_unlock(&all.lock);
}

/* NULL when nothing is left and nobody can add any more. */
static struct work *pop(bool first)
{
	struct work *w;

	pthread_mutex_lock(&all.lock);
	if (!first)
		all.busy--;
	while (!all.stack && all.busy) {
		all.idle++;
		pthread_cond_wait(&all.more, &all.lock);
		all.idle--;
	}
	w = all.stack;
	if (w) {
		all.stack = w->next;
		all.busy++;
	} else {
		pthread_cond_broadcast(&all.more);
	}
	pthread_mutex_unlock(&all.lock);
	return w;
}

static struct work *make(struct folder *parent, const char *name, size_t room)
{
	struct work *w = calloc(1, sizeof(*w));

	if (w)
		w->name = name ? strdup(name) : NULL;
	if (w && room)
		w->names = malloc(room);
	if (!w || (name && !w->name) || (room && !w->names))
		fail("malloc");
	w->parent = parent;
	if (parent)
		atomic_fetch_add(&parent->refs, 1);
	return w;
}

struct batch {
	char *names;
	size_t len;
	unsigned n;
};

static void flush(struct folder *f, struct batch *b)
{
	struct work *w;

	if (!b->n)
		return;
	w = make(f, NULL, b->len);
	memcpy(w->names, b->names, b->len);
	w->n = b->n;
	push(w);
	b->n = 0;
	b->len = 0;
}

static void list(const struct work *w, char *buffer)
{
	char names[BATCH * 256];
	struct batch batch = { names, 0, 0 };
	struct folder *f = calloc(1, sizeof(*f));
	ssize_t n;

	if (!f)
		fail("malloc");
	f->refs = 1;
	f->fd = openat(w->parent ? w->parent->fd : AT_FDCWD, w->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (f->fd < 0) {
		free(f);
		return;
	}
	while ((n = getdents64(f->fd, buffer, BUFFER)) > 0) {
		for (char *p = buffer; p < buffer + n;) {
			const struct dirent64 *d = (const struct dirent64 *)p;
			size_t len = strlen(d->d_name) + 1;

			p += d->d_reclen;
			if (streq(d->d_name, ".") || streq(d->d_name, ".."))
				continue;
			if (d->d_type == DT_DIR)
				push(make(f, d->d_name, 0));
			if (d->d_type != DT_REG && !all.meta)
				continue;
			memcpy(names + batch.len, d->d_name, len);
			batch.len += len;
			if (++batch.n == BATCH)
				flush(f, &batch);
		}
	}
	flush(f, &batch);
	unref(f);
}

static uint64_t digest(int dirfd, const char *name, char *buffer, EVP_MD_CTX *ctx)
{
	int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC);
	unsigned char out[EVP_MAX_MD_SIZE];
	uint64_t bytes = 0;
	ssize_t n;

	if (fd < 0)
		return 0;
	EVP_DigestInit_ex(ctx, NULL, NULL);
	do {
		n = read(fd, buffer, BUFFER);
		if (n > 0) {
			EVP_DigestUpdate(ctx, buffer, (size_t)n);
			bytes += (uint64_t)n;
		}
	} while (n == (ssize_t)BUFFER);
	EVP_DigestFinal_ex(ctx, out, NULL);
	close(fd);
	return bytes;
}

static void read_batch(const struct work *w, char *buffer, EVP_MD_CTX *ctx)
{
	const char *name = w->names;
	uint64_t bytes = 0;
	struct statx stx;

	for (unsigned i = 0; i < w->n; i++, name += strlen(name) + 1) {
		if (all.meta)
			statx(w->parent->fd, name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &stx);
		else
			bytes += digest(w->parent->fd, name, buffer, ctx);
	}
	atomic_fetch_add(&all.files, w->n);
	atomic_fetch_add(&all.bytes, bytes);
}

static void *thread(void *data _unused_)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	char *buffer = aligned_alloc(4096, BUFFER);
	bool first = true;
	struct work *w;

	if (!ctx || !buffer || EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1)
		fail("thread");
	while ((w = pop(first))) {
		first = false;
		if (w->name)
			list(w, buffer);
		else
			read_batch(w, buffer, ctx);
		unref(w->parent);
		free(w->name);
		free(w->names);
		free(w);
	}
	free(buffer);
	EVP_MD_CTX_free(ctx);
	return NULL;
}

int main(int argc, char **argv)
{
	uint64_t start = clock_mono_ns();
	unsigned n = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
	pthread_t threads[256];
	int i = 1;

	for (; i < argc && argv[i][0] == '-'; i++) {
		if (streq(argv[i], "--meta"))
			all.meta = true;
		else if (streq(argv[i], "--threads") && i + 1 < argc)
			n = (unsigned)atoi(argv[++i]);
		else
			break;
	}
	if (i == argc || argv[i][0] == '-' || !n || n > ARRAY_SIZE(threads)) {
		fputs("usage: floor [--meta] [--threads N] FOLDER...\n", stderr);
		return 64;
	}
	for (; i < argc; i++)
		push(make(NULL, argv[i], 0));
	for (unsigned t = 0; t < n; t++)
		if (pthread_create(&threads[t], NULL, thread, NULL))
			fail("pthread_create");
	for (unsigned t = 0; t < n; t++)
		pthread_join(threads[t], NULL);
	printf("%lu files %lu bytes %.3f s\n", (unsigned long)all.files, (unsigned long)all.bytes,
	       (double)(clock_mono_ns() - start) / 1e9);
	return 0;
}
