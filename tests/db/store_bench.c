/*
 * Cost of the store by itself: store_bench ROWS [PER_FOLDER]. Writes a baseline of that many small files, reads it back
 * verified, and prints CPU time and bytes for each file. Not a test: it judges nothing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#include "db/baseline.h"
#include "lib/clock.h"

static double cpu(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void fill(struct chunk *c, struct digest *blake, struct buf *scratch, unsigned long dir, unsigned long from,
		 unsigned n, unsigned long in)
{
	char text[128];

	arena_reset(&c->arena);
	snprintf(text, sizeof(text), "/data/folder%05lu/sub", dir);
	c->dir = arena_strdup(&c->arena, text);
	c->dir_seq = dir + 1;
	c->entries = arena_zalloc(&c->arena, n * sizeof(*c->entries));
	c->n = n;
	c->seq = (uint32_t)(in / CHUNK_MAX);
	for (unsigned i = 0; i < n; i++) {
		struct record *r = &c->entries[i].rec;
		unsigned long id = from + i;

		snprintf(text, sizeof(text), "file%07lu.dat", id);
		c->entries[i].name = arena_strdup(&c->arena, text);
		r->have = 0x1ffff & ~(ATTR_BIT(ATTR_RDEV) | ATTR_BIT(ATTR_TARGET));
		r->type = 'f';
		r->mode = 0644;
		r->size = 4096;
		r->mtime = 1700000000123456789 + (int64_t)id * 40000;
		r->ctime = r->mtime + (i % 2) * 4000000;
		r->dev = 64769;
		r->ino = 1000000 + id;
		r->nlink = 1;
		r->flags = 0x80000;
		r->digest_len = 32;
		for (int k = 0; k < 4; k++)
			((uint64_t *)(void *)r->digest)[k] = id * 0x9e3779b97f4a7c15u + (unsigned)k * 77777777777777u;
		r->have |= ATTR_BIT(ATTR_FLAGS) | ATTR_BIT(ATTR_XATTRS);
	}
	chunk_seal(c, blake, scratch);
}

static struct baseline_reader *reader;
static struct chunk loaded;
static struct digest *blake;
static struct buf scratch;
static unsigned long rows_read;

static int load(int64_t id, const char *path, void *data)
{
	struct arena a = ARENA_INIT;
	const char **first;
	size_t n;
	int r = baseline_dir_chunks(reader, id, &a, &first, &n);

	(void)data;
	for (size_t i = 0; i < n && r == 0; i++) {
		r = baseline_load_chunk(reader, id, path, (uint32_t)i, &loaded, blake, &scratch);
		rows_read += loaded.n;
	}
	arena_free(&a);
	return r;
}

int main(int argc, char **argv)
{
	unsigned long rows = argc > 1 ? strtoul(argv[1], NULL, 10) : 200000;
	unsigned long per_dir = argc > 2 ? strtoul(argv[2], NULL, 10) : 1000;
	char dir[] = "/var/tmp/holdfast-bench-XXXXXX", path[64], key_path[64], command[128];
	struct buf err = BUF_INIT;
	struct baseline_info info = { .name = "bench", .kind = BASELINE_HOST, .root = "/", .scope = "{}" };
	struct db_options o = { .path = path };
	struct baseline_writer *w;
	struct sign_key *key;
	struct rusage usage;
	struct stat st;
	struct db *d;
	struct chunk c = { .n = 0 };
	double add = 0, t, finish;
	unsigned long done = 0;
	int64_t id;
	int r;

	if (!mkdtemp(dir))
		return 1;
	snprintf(path, sizeof(path), "%s/b.db", dir);
	snprintf(key_path, sizeof(key_path), "%s/signing.key", dir);
	if (sign_key_load(key_path, 1, &key, &err) < 0 || db_open(&o, DB_CREATE, &d, &err) < 0 ||
	    digest_new(DIGEST_BLAKE2B512, &blake) < 0 || baseline_begin(d, &info, false, &w) < 0) {
		fprintf(stderr, "%s\n", err.data ? err.data : "failed");
		return 1;
	}
	for (unsigned long folder = 0; done < rows; folder++)
		for (unsigned long in = 0; in < per_dir && done < rows; in += CHUNK_MAX) {
			unsigned n = (unsigned)MIN(MIN(per_dir - in, rows - done), (unsigned long)CHUNK_MAX);

			fill(&c, blake, &scratch, folder, done, n, in);
			t = cpu();
			if (baseline_add(w, &c) < 0) {
				fprintf(stderr, "add: %s\n", db_error(d));
				return 1;
			}
			add += cpu() - t;
			done += n;
		}
	t = cpu();
	r = baseline_finish(w, key, &id);
	finish = cpu() - t;
	if (r < 0) {
		fprintf(stderr, "finish: %d %s\n", r, db_error(d));
		return 1;
	}
	t = cpu();
	if (baseline_check_signature(d, id, key, &err) < 0) {
		fprintf(stderr, "check: %s\n", err.data);
		return 1;
	}
	printf("signature checked %.3f s\n", cpu() - t);
	t = cpu();
	r = baseline_reader_new(d, id, &reader);
	if (r == 0)
		r = baseline_each_dir(reader, NULL, load, NULL);
	t = cpu() - t;
	if (r < 0)
		fprintf(stderr, "load: %d %s\n", r, db_error(d));
	baseline_reader_free(reader);
	db_close(d);
	stat(path, &st);
	getrusage(RUSAGE_SELF, &usage);
	printf("add %.2f us a row (%.3f s), finish %.3f s, load and verify %.2f us a row (%lu rows, %.3f s), %.1f "
	       "bytes a file, "
	       "%ld KiB resident at most\n",
	       add * 1e6 / (double)rows, add, finish, t * 1e6 / (double)rows, rows_read, t,
	       (double)st.st_size / (double)rows, usage.ru_maxrss);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command) != 0;
}
