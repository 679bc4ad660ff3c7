/*
 * Fuzz target: what comes from images. The first byte chooses: a layer over another one (checksums of its headers are
 * put right, so that more than the first is looked at), entries as the role unpack sends them, an index, a manifest
 * with its configuration behind a zero byte, the manifest.json of a docker-archive, or containerd's meta.db.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fim/image_layer.h"
#include "lib/cleanup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
	if (!good)
		abort();
}

/* --- layers */

struct source {
	const uint8_t *p;
	size_t left;
};

static ssize_t next(void *data, const uint8_t **ret)
{
	struct source *s = data;
	size_t n = MIN(s->left, (size_t)700);

	*ret = s->p;
	s->p += n;
	s->left -= n;
	return (ssize_t)n;
}

static void put_checksum(uint8_t *b)
{
	unsigned sum = 0;

	memset(b + 148, ' ', 8);
	for (size_t i = 0; i < 512; i++)
		sum += b[i];
	snprintf((char *)b + 148, 8, "%06o", sum & 0777777);
}

static int look(void *data, struct chunk *c)
{
	uint64_t *entries = data;

	check(c->n > 0 && c->n <= CHUNK_MAX);
	for (uint32_t i = 0; i < c->n; i++) {
		_cleanup_buf_ struct buf b = BUF_INIT;
		struct record back;

		check(!strchr(c->entries[i].name, '/') && strlen(c->entries[i].name) <= IMAGE_NAME_MAX);
		check(!streq(c->entries[i].name, "..") && !streq(c->entries[i].name, "."));
		check(i == 0 || strcmp(c->entries[i - 1].name, c->entries[i].name) < 0);
		record_encode(&b, &c->entries[i].rec);
		check(record_decode(b.data, b.len, &back) == 0);
		(*entries)++;
	}
	return 0;
}

static void layer(uint8_t *data, size_t size)
{
	_cleanup_buf_ struct buf err = BUF_INIT;
	_cleanup_(image_tree_free_p) struct image_tree *t = NULL;
	struct image_apply a = { .algo = DIGEST_SHA256, .err = &err };
	uint64_t entries = 0;

	for (size_t at = 0; at + 512 <= size; at += 512)
		if (memcmp(data + at + 257, "ustar", 5) == 0)
			put_checksum(data + at);
	check(image_tree_new(MIB, &err, &t) == 0);
	a.tree = t;
	/* The same bytes twice: the second layer finds what the first made. */
	for (unsigned n = 1; n <= 2; n++) {
		struct source s = { data, size };
		struct tar_input in = { next, NULL, &s };

		image_tree_layer(t, n);
		if (image_entries_of_tar(&in, a.algo, &err, image_layer_entry, &a) < 0) {
			check(err.len > 0);
			return;
		}
	}
	check(image_tree_each(t, look, &entries) == 0);
	check(entries == image_tree_entries(t));
}

static int twice(void *data, const struct tar_entry *e)
{
	struct image_apply *a = data;
	_cleanup_buf_ struct buf b = BUF_INIT;

	image_entry_encode(&b, e);
	check(b.len > 4);
	return image_layer_entry(a, e);
}

static void entries(const uint8_t *data, size_t size)
{
	_cleanup_buf_ struct buf err = BUF_INIT;
	_cleanup_(image_tree_free_p) struct image_tree *t = NULL;
	struct image_apply a = { .algo = DIGEST_SHA256, .err = &err };
	struct source s = { data, size };
	struct tar_input in = { next, NULL, &s };
	uint64_t n = 0;

	check(image_tree_new(MIB, &err, &t) == 0);
	a.tree = t;
	image_tree_layer(t, 1);
	if (image_entries_of_bytes(&in, a.algo, &err, twice, &a) < 0)
		check(err.len > 0);
	else
		check(image_tree_each(t, look, &n) == 0 && n == image_tree_entries(t));
}

/* --- documents */

static void documents(struct image *i, unsigned which, const uint8_t *data, size_t size)
{
	const uint8_t *zero = memchr(data, 0, size);
	size_t len = zero ? (size_t)(zero - data) : size;
	struct image_descriptor d;
	const char *name = NULL;
	json_t *json = NULL, *config = NULL;
	int r = image_json_load(i, data, len, "document", &json);

	if (r == 0 && which == 1)
		r = image_json_index(i, json, NULL, &d, &name);
	else if (r == 0 && which == 2)
		r = image_json_manifest(i, json, &d);
	else if (r == 0)
		r = image_json_docker(i, json, NULL, &name);
	if (r == 0 && which > 1 && zero && image_json_load(i, zero + 1, size - len - 1, "configuration", &config) == 0)
		r = image_json_config(i, config);
	check(r == 0 || i->err->len > 0);
	json_decref(json);
	json_decref(config);
}

/* --- meta.db */

static char dir[] = "/tmp/holdfast-fuzz-XXXXXX";

static void clean_up(void)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	check(system(command) == 0);
}

static void database(struct image *i, const uint8_t *data, size_t size)
{
	static bool made;
	char path[128], where[128];
	int fd;

	if (!made) {
		check(mkdtemp(dir) != NULL);
		atexit(clean_up);
		snprintf(path, sizeof(path), "%s/io.containerd.metadata.v1.bolt", dir);
		check(mkdir(path, 0700) == 0);
		made = true;
	}
	snprintf(path, sizeof(path), "%s/io.containerd.metadata.v1.bolt/meta.db", dir);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	check(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	close(fd);
	snprintf(where, sizeof(where), "[%s]localhost/tiny:2", dir);
	i->place = &image_containerd;
	check(image_containerd.open(i, where) < 0); /* there are no blobs */
	image_containerd.close(i);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_buf_ struct buf err = BUF_INIT;
	uint8_t *copy;
	struct image *i;

	if (size < 1)
		return 0;
	copy = malloc(size);
	i = calloc(1, sizeof(*i));
	check(copy && i);
	memcpy(copy, data + 1, size - 1);
	i->err = &err;
	i->platform = "linux/amd64";
	if (data[0] == 255)
		entries(copy, size - 1);
	else if (data[0] % 5 == 0)
		layer(copy, size - 1);
	else if (data[0] % 5 == 4)
		database(i, copy, size - 1);
	else
		documents(i, data[0] % 5, copy, size - 1);
	arena_free(&i->arena);
	free(i);
	free(copy);
	return 0;
}
