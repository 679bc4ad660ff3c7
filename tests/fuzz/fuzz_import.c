/*
 * Fuzz target: an exported baseline from hostile bytes. Whoever makes one can sign it, so the first byte chooses what
 * the rest is: a whole file, a head, a leaf, or a chunk in a file that is signed and otherwise right.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "db/baseline.h"
#include "db/history.h"
#include "db/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char dir[] = "/tmp/holdfast-fuzz-XXXXXX";
static struct db *db;
static struct sign_key *key;

static void check(int good)
{
	if (!good)
		abort();
}

static void clean_up(void)
{
	char command[128];

	db_close(db);
	sign_key_free(key);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	check(system(command) == 0);
}

static void set_up(void)
{
	static char path[64], key_path[64];
	struct db_options o = { .path = path };
	struct buf err = BUF_INIT;

	check(mkdtemp(dir) != NULL);
	snprintf(path, sizeof(path), "%s/holdfast.db", dir);
	snprintf(key_path, sizeof(key_path), "%s/signing.key", dir);
	check(sign_key_load(key_path, 1, &key, &err) == 0);
	check(db_open(&o, DB_CREATE, &db, &err) == 0);
	history_set_key(db, key);
	atexit(clean_up);
}

static void block(struct buf *b, char tag, const void *data, size_t len)
{
	buf_u8(b, (uint8_t)tag);
	buf_bytes(b, data, len);
}

static void put_string(struct buf *b, const char *s)
{
	buf_u8(b, 1);
	buf_bytes(b, s, strlen(s));
}

/* A head over one leaf; the numbers are those of an empty baseline. */
static void make_head(struct buf *b, const uint8_t tree[DB_HASH_SIZE])
{
	buf_str(b, "holdfast baseline 1\n");
	put_string(b, "fuzz");
	buf_u8(b, 0);
	put_string(b, "/");
	put_string(b, "{}");
	buf_u8(b, 0);
	buf_u8(b, 0);
	buf_u64(b, 1);
	buf_u8(b, 0);
	buf_u64(b, 0);
	buf_u64(b, 0);
	buf_u64(b, 0);
	buf_add(b, tree, DB_HASH_SIZE);
}

static void make_file(struct buf *b, const void *head, size_t head_len, const void *leaf, size_t leaf_len,
		      const void *chunk, size_t chunk_len)
{
	uint8_t pub[SIGN_PUBLIC_SIZE], signature[SIGN_SIZE];

	sign_key_public(key, pub);
	check(sign_make(key, head, head_len, signature) == 0);
	buf_str(b, "holdfast-export 1\n");
	block(b, 'H', head, head_len);
	block(b, 'K', pub, sizeof(pub));
	block(b, 'S', signature, sizeof(signature));
	block(b, 'L', leaf, leaf_len);
	block(b, 'C', chunk, chunk_len);
	block(b, 'E', "", 0);
}

static void make(struct buf *b, unsigned what, const uint8_t *data, size_t size)
{
	_cleanup_buf_ struct buf head = BUF_INIT, leaf = BUF_INIT;
	uint8_t tree[DB_HASH_SIZE], digest[DB_HASH_SIZE] = { 0 };

	buf_bytes(&leaf, "/x", 2);
	buf_u32(&leaf, 0);
	buf_u32(&leaf, 0);
	buf_bytes(&leaf, "", 0);
	buf_add(&leaf, digest, sizeof(digest));
	if (what == 2) {
		buf_reset(&leaf);
		buf_add(&leaf, data, size);
	}
	/* The tree is the digest over the leaves' bytes as they stand in their blocks. */
	check(db_hash(db, leaf.data, leaf.len, tree) == 0);
	make_head(&head, tree);
	if (what == 1)
		make_file(b, data, size, leaf.data, leaf.len, "", 0);
	else
		make_file(b, head.data, head.len, leaf.data, leaf.len, what == 3 ? data : (const uint8_t *)"",
			  what == 3 ? size : 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_buf_ struct buf file = BUF_INIT, err = BUF_INIT;
	int64_t rows = -1;
	int fd, r;

	if (!db)
		set_up();
	if (size == 0)
		return 0;
	if (data[0] % 4 == 0)
		buf_add(&file, data + 1, size - 1);
	else
		make(&file, data[0] % 4, data + 1, size - 1);
	fd = memfd_create("fuzz", MFD_CLOEXEC);
	check(fd >= 0 && !file.failed && (file.len == 0 || write(fd, file.data, file.len) == (ssize_t)file.len));
	check(lseek(fd, 0, SEEK_SET) == 0);
	r = baseline_import(db, fd, "fuzz", NULL, key, &err);
	close(fd);
	check(r == 0 || err.len > 0);
	/* What is refused leaves nothing; what is taken in is whole, and removed again. */
	if (r == 0) {
		_cleanup_arena_ struct arena a = ARENA_INIT;
		struct baseline_info info;

		check(baseline_find(db, "fuzz", &a, &info) == 0);
		check(baseline_verify(db, info.id, key, &err) == 0);
		check(baseline_delete(db, info.id, &err) == 0);
	}
	check(db_number(db, "SELECT (SELECT count(*) FROM file) + (SELECT count(*) FROM baseline)", &rows) == 0 &&
	      rows == 0);
	return 0;
}
