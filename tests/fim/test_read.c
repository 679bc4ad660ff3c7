/* fim/read, content, xattr, path: every attribute of every type, one version, page cache, nothing opened that must not
 * be. */
#include "tests/fim/tree.h"

#include <linux/fs.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>

#include "event/attr.h"
#include "fim/mime.h"
#include "fim/read.h"

struct fixture {
	struct tree tree;
	struct mime *mime;
	struct file_reader *reader;
	struct arena arena;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct read_options options = { .algo = DIGEST_SHA256 };

	assert_non_null(f);
	tree_make(&f->tree);
	assert_int_equal(mime_new(&f->mime), 0);
	options.mime = f->mime;
	assert_int_equal(file_reader_new(&options, &f->reader), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	file_reader_free(f->reader);
	mime_free(f->mime);
	arena_free(&f->arena);
	tree_remove(&f->tree);
	free(f);
	return 0;
}

static struct record read_all(struct fixture *f, const char *name)
{
	struct record rec;

	assert_int_equal(file_read_meta(f->reader, &f->arena, f->tree.fd, name, &rec), 0);
	file_read_content(f->reader, &f->arena, f->tree.fd, name, ATTR_ALL, &rec);
	return rec;
}

static void assert_digest(const struct record *rec, const void *data, size_t len)
{
	_cleanup_digest_ struct digest *d = NULL;
	uint8_t want[DIGEST_MAX];

	assert_int_equal(digest_new(DIGEST_SHA256, &d), 0);
	assert_int_equal(digest_once(d, data, len, want), 0);
	assert_true(rec->have & ATTR_BIT(ATTR_DIGEST));
	assert_int_equal(rec->digest_len, 32);
	assert_memory_equal(rec->digest, want, 32);
}

static void test_regular(void **state)
{
	struct fixture *f = *state;
	struct record rec;
	struct stat st;

	tree_text(f->tree.fd, "f", "hello\n");
	assert_int_equal(fchmodat(f->tree.fd, "f", 04751, 0), 0);
	rec = read_all(f, "f");
	assert_int_equal(fstatat(f->tree.fd, "f", &st, 0), 0);
	assert_int_equal(rec.type, 'f');
	assert_int_equal(rec.mode, 04751);
	assert_int_equal(rec.size, 6);
	assert_int_equal(rec.ino, st.st_ino);
	assert_int_equal(rec.dev, st.st_dev);
	assert_int_equal(rec.nlink, 1);
	assert_int_equal(rec.mtime, (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec);
	assert_int_equal(rec.unread, RECORD_READ);
	assert_true(rec.have & ATTR_BIT(ATTR_XATTRS));
	assert_digest(&rec, "hello\n", 6);
	tree_text(f->tree.fd, "empty", "");
	rec = read_all(f, "empty");
	assert_digest(&rec, "", 0);
	assert_int_equal(file_read_meta(f->reader, &f->arena, f->tree.fd, "nothing", &rec), -ENOENT);
}

static void test_mime(void **state)
{
	struct fixture *f = *state;
	struct record rec;

	tree_text(f->tree.fd, "script", "#!/bin/sh\nexit 0\n");
	rec = read_all(f, "script");
	assert_false(rec.have & ATTR_BIT(ATTR_MIME)); /* not a program */
	assert_int_equal(fchmodat(f->tree.fd, "script", 0755, 0), 0);
	rec = read_all(f, "script");
	if (!(rec.have & ATTR_BIT(ATTR_MIME)))
		skip(); /* no magic database */
	assert_string_equal(rec.mime, "text/x-shellscript");
}

static void test_masks(void **state)
{
	struct fixture *f = *state;
	struct record rec;

	tree_text(f->tree.fd, "f", "x");
	assert_int_equal(file_read_meta(f->reader, &f->arena, f->tree.fd, "f", &rec), 0);
	file_read_content(f->reader, &f->arena, f->tree.fd, "f", ATTR_BIT(ATTR_MODE), &rec);
	assert_int_equal(rec.unread, RECORD_NOT_ASKED);
	assert_false(rec.have & (ATTR_BIT(ATTR_DIGEST) | ATTR_BIT(ATTR_XATTRS) | ATTR_BIT(ATTR_FLAGS)));
	assert_int_equal(file_read_meta(f->reader, &f->arena, f->tree.fd, "f", &rec), 0);
	file_read_content(f->reader, &f->arena, f->tree.fd, "f", ATTR_GROWING, &rec);
	assert_digest(&rec, "x", 1);
}

static void test_xattrs(void **state)
{
	struct fixture *f = *state;
	char big[4000];
	struct record rec;
	size_t len;
	int fd;

	memset(big, 'b', sizeof(big));
	tree_text(f->tree.fd, "f", "x");
	fd = openat(f->tree.fd, "f", O_RDONLY);
	if (fsetxattr(fd, "user.zebra", "1", 1, 0) < 0) {
		close(fd);
		print_message("no user xattrs here: %s\n", strerror(errno));
		skip();
	}
	assert_int_equal(fsetxattr(fd, "user.ant", "\0two", 4, 0), 0);
	assert_int_equal(fsetxattr(fd, "trusted.big", big, 3000, 0), 0);
	close(fd);
	rec = read_all(f, "f");
	assert_memory_equal(record_xattr(&rec, "user.ant", &len), "\0two", 4);
	assert_int_equal(len, 4);
	assert_memory_equal(record_xattr(&rec, "user.zebra", &len), "1", 1);
	assert_non_null(record_xattr(&rec, "trusted.big", &len));
	assert_int_equal(len, 3000);
	assert_null(record_xattr(&rec, "user.none", &len));
	/* sorted: trusted.big, user.ant, user.zebra */
	assert_memory_equal(rec.xattrs + 4, "trusted.big", 11);
}

static void set_many(const char *path, char byte)
{
	static char value[60000];
	char name[32];

	memset(value, byte, sizeof(value));
	for (int i = 0; i < 6; i++) {
		snprintf(name, sizeof(name), "trusted.big%d", i);
		assert_int_equal(lsetxattr(path, name, value, sizeof(value), 0), 0);
	}
}

static struct record read_many(struct fixture *f, int dir, const char *name)
{
	struct record rec;
	size_t len;

	assert_int_equal(file_read_meta(f->reader, &f->arena, dir, name, &rec), 0);
	file_read_content(f->reader, &f->arena, dir, name, ATTR_ALL, &rec);
	assert_int_equal(rec.unread, RECORD_READ);
	assert_true(rec.have & ATTR_BIT(ATTR_XATTRS));
	assert_true(rec.xattrs_len < 1000);
	assert_non_null(record_xattr(&rec, "(others)", &len));
	return rec;
}

/* More than a record keeps: nobody hides a capability or a change behind a heap of them. Only tmpfs takes so many. */
static void test_many_xattrs(void **state)
{
	static const uint8_t caps[20] = { 1, 0, 0, 2, 0, 4 };
	static const char *const names[] = { "file", "link", "folder" };
	struct fixture *f = *state;
	char dir[] = "/dev/shm/holdfast-xattr-XXXXXX", path[64];
	struct record none, before, after, with;
	size_t len;
	int fd;

	if (!mkdtemp(dir) || lsetxattr(dir, "trusted.t", "v", 1, 0) < 0) {
		print_message("no trusted xattrs on a tmpfs here: %s\n", strerror(errno));
		rmdir(dir);
		skip();
	}
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	tree_text(fd, "file", "x");
	tree_folder(fd, "folder");
	assert_int_equal(symlinkat("nowhere", fd, "link"), 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		assert_int_equal(file_read_meta(f->reader, &f->arena, fd, names[i], &none), 0);
		file_read_content(f->reader, &f->arena, fd, names[i], ATTR_ALL, &none);
		set_many(path, 'a');
		before = read_many(f, fd, names[i]);
		assert_true(attr_compare(&none, &before, ATTR_BIT(ATTR_XATTRS)));
		after = read_many(f, fd, names[i]);
		assert_false(attr_compare(&before, &after, ATTR_BIT(ATTR_XATTRS)));
		set_many(path, 'b');
		after = read_many(f, fd, names[i]);
		assert_true(attr_compare(&before, &after, ATTR_BIT(ATTR_XATTRS)));
	}
	snprintf(path, sizeof(path), "%s/file", dir);
	assert_int_equal(setxattr(path, "security.capability", caps, sizeof(caps), 0), 0);
	with = read_many(f, fd, "file");
	assert_memory_equal(record_xattr(&with, "security.capability", &len), caps, sizeof(caps));
	unlinkat(fd, "file", 0);
	unlinkat(fd, "link", 0);
	unlinkat(fd, "folder", AT_REMOVEDIR);
	close(fd);
	rmdir(dir);
}

/* What is not opened still has its xattrs read. */
static void test_xattrs_by_name(void **state)
{
	struct fixture *f = *state;
	char path[128];
	struct record rec;
	size_t len;

	assert_int_equal(symlinkat("nowhere", f->tree.fd, "l"), 0);
	snprintf(path, sizeof(path), "%s/l", f->tree.path);
	if (lsetxattr(path, "trusted.t", "v", 1, 0) < 0) {
		print_message("no trusted xattrs on symlinks here: %s\n", strerror(errno));
		skip();
	}
	rec = read_all(f, "l");
	assert_int_equal(rec.type, 'l');
	assert_string_equal(rec.target, "nowhere");
	assert_memory_equal(record_xattr(&rec, "trusted.t", &len), "v", 1);
	tree_folder(f->tree.fd, "d");
	snprintf(path, sizeof(path), "%s/d", f->tree.path);
	assert_int_equal(setxattr(path, "user.d", "dv", 2, 0), 0);
	rec = read_all(f, "d");
	assert_int_equal(rec.type, 'd');
	assert_memory_equal(record_xattr(&rec, "user.d", &len), "dv", 2);
}

static void test_flags(void **state)
{
	struct fixture *f = *state;
	int flags = FS_NODUMP_FL, fd;
	struct record rec;

	tree_text(f->tree.fd, "f", "x");
	fd = openat(f->tree.fd, "f", O_RDONLY);
	if (ioctl(fd, FS_IOC_SETFLAGS, &flags) < 0) {
		close(fd);
		print_message("no inode flags here: %s\n", strerror(errno));
		skip();
	}
	close(fd);
	rec = read_all(f, "f");
	assert_true(rec.have & ATTR_BIT(ATTR_FLAGS));
	assert_true(rec.flags & FS_NODUMP_FL);
}

/* A FIFO without writer would block, a socket cannot be opened, a device must not be. */
static void test_special(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	_cleanup_close_ int sock = socket(AF_UNIX, SOCK_STREAM, 0);
	struct record rec;

	alarm(10);
	assert_int_equal(mkfifoat(f->tree.fd, "fifo", 0600), 0);
	rec = read_all(f, "fifo");
	assert_int_equal(rec.type, 'p');
	assert_int_equal(rec.unread, RECORD_READ);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/sock", f->tree.path);
	assert_int_equal(bind(sock, (struct sockaddr *)&addr, sizeof(addr)), 0);
	rec = read_all(f, "sock");
	assert_int_equal(rec.type, 's');
	alarm(0);
	if (mknodat(f->tree.fd, "dev", S_IFCHR | 0600, makedev(1, 3)) < 0) {
		print_message("cannot make a device node: %s\n", strerror(errno));
		skip();
	}
	rec = read_all(f, "dev");
	assert_int_equal(rec.type, 'c');
	assert_int_equal(rec.rdev, makedev(1, 3));
	assert_false(rec.have & ATTR_BIT(ATTR_DIGEST));
}

/* The name was a file when it was looked at and is something else when it is opened. */
static void test_became(void **state)
{
	static const struct {
		mode_t mode;
		char type;
	} became[] = { { S_IFIFO, 'p' }, { S_IFCHR, 'c' }, { S_IFDIR, 'd' }, { S_IFLNK, 'l' }, { 0, 0 } };
	struct fixture *f = *state;

	alarm(10);
	for (size_t i = 0; i < ARRAY_SIZE(became); i++) {
		struct record rec;

		tree_text(f->tree.fd, "f", "x");
		assert_int_equal(file_read_meta(f->reader, &f->arena, f->tree.fd, "f", &rec), 0);
		assert_int_equal(unlinkat(f->tree.fd, "f", 0), 0);
		if (became[i].mode == S_IFLNK)
			assert_int_equal(symlinkat("t", f->tree.fd, "f"), 0);
		else if (became[i].mode == S_IFDIR)
			tree_folder(f->tree.fd, "f");
		else if (became[i].mode)
			assert_int_equal(mknodat(f->tree.fd, "f", became[i].mode | 0600, makedev(1, 5)), 0);
		file_read_content(f->reader, &f->arena, f->tree.fd, "f", ATTR_ALL, &rec);
		if (!became[i].mode) {
			assert_int_equal(rec.unread, RECORD_GONE);
			continue;
		}
		assert_int_equal(rec.type, became[i].type);
		assert_int_equal(rec.unread, RECORD_READ);
		assert_false(rec.have & ATTR_BIT(ATTR_DIGEST));
		assert_int_equal(unlinkat(f->tree.fd, "f", became[i].mode == S_IFDIR ? AT_REMOVEDIR : 0), 0);
	}
	alarm(0);
}

static void test_too_large(void **state)
{
	const struct read_options o = { .algo = DIGEST_SHA256, .hash_size = 10 };
	struct fixture *f = *state;
	struct record rec;

	file_reader_free(f->reader);
	assert_int_equal(file_reader_new(&o, &f->reader), 0);
	tree_text(f->tree.fd, "small", "0123456789");
	tree_text(f->tree.fd, "large", "0123456789a");
	rec = read_all(f, "small");
	assert_digest(&rec, "0123456789", 10);
	rec = read_all(f, "large");
	assert_int_equal(rec.unread, RECORD_TOO_LARGE);
	assert_false(rec.have & ATTR_BIT(ATTR_DIGEST));
	assert_true(rec.have & ATTR_BIT(ATTR_XATTRS));
}

static int stop_at_once(void *data, uint64_t bytes _unused_)
{
	++*(int *)data;
	return 1;
}

static void test_step(void **state)
{
	struct fixture *f = *state;
	int calls = 0;
	const struct read_options o = { .algo = DIGEST_SHA256, .step = stop_at_once, .step_data = &calls };
	struct record rec;

	file_reader_free(f->reader);
	assert_int_equal(file_reader_new(&o, &f->reader), 0);
	tree_text(f->tree.fd, "f", "x");
	rec = read_all(f, "f");
	assert_int_equal(calls, 1);
	assert_int_equal(rec.unread, ECANCELED);
	assert_false(rec.have & ATTR_BIT(ATTR_DIGEST));
}

static void test_links(void **state)
{
	struct fixture *f = *state;
	struct record a, b;

	tree_text(f->tree.fd, "a", "linked");
	assert_int_equal(linkat(f->tree.fd, "a", f->tree.fd, "b", 0), 0);
	a = read_all(f, "a");
	b = read_all(f, "b");
	assert_int_equal(b.nlink, 2);
	assert_digest(&a, "linked", 6);
	assert_digest(&b, "linked", 6);
	/* written through the other name: the digest kept for the inode is of another version */
	tree_text(f->tree.fd, "a", "LINKED");
	b = read_all(f, "b");
	assert_digest(&b, "LINKED", 6);
}

static void test_prefix(void **state)
{
	struct fixture *f = *state;
	struct record want;
	uint8_t got[DIGEST_MAX];

	tree_text(f->tree.fd, "old", "line 1\n");
	want = read_all(f, "old");
	tree_text(f->tree.fd, "log", "line 1\nline 2\n");
	assert_int_equal(file_read_prefix(f->reader, f->tree.fd, "log", 7, got), 0);
	assert_memory_equal(got, want.digest, 32);
	assert_int_equal(file_read_prefix(f->reader, f->tree.fd, "log", 15, got), -ENODATA);
	assert_int_equal(file_read_prefix(f->reader, f->tree.fd, "none", 1, got), -ENOENT);
	assert_int_equal(file_read_prefix(f->reader, f->tree.fd, ".", 0, got), -EINVAL);
}

/* --- one version, while somebody writes */

enum { WRITE_RENAME, WRITE_IN_PLACE };

struct writer {
	int dirfd;
	int how;
	_Atomic bool stop;
};

#define WRITER_SIZE 65536
#define READS	    300

/* Every version is one letter, repeated; with rename, the letter says how long. */
static size_t writer_len(const struct writer *w, char letter)
{
	return WRITER_SIZE + (w->how == WRITE_RENAME ? (size_t)(letter - 'a') * 1000 : 0);
}

static void write_whole(int dirfd, const char *name, const char *content, size_t len)
{
	_cleanup_close_ int fd = openat(dirfd, name, O_WRONLY | O_CREAT, 0644);

	if (fd < 0 || pwrite(fd, content, len, 0) < 0)
		abort();
}

static void *writer_run(void *data)
{
	struct writer *w = data;
	char *content = malloc(WRITER_SIZE + 26000);

	for (unsigned i = 0; !w->stop; i++) {
		char letter = (char)('a' + i % 26);
		size_t len = writer_len(w, letter);

		memset(content, letter, len);
		write_whole(w->dirfd, w->how == WRITE_RENAME ? "new" : "f", content, len);
		if (w->how == WRITE_RENAME)
			renameat(w->dirfd, "new", w->dirfd, "f");
	}
	free(content);
	return NULL;
}

static bool is_digest(const struct record *rec, const void *data, size_t len)
{
	_cleanup_digest_ struct digest *d = NULL;
	uint8_t want[DIGEST_MAX];

	assert_int_equal(digest_new(DIGEST_SHA256, &d), 0);
	assert_int_equal(digest_once(d, data, len, want), 0);
	return !memcmp(rec->digest, want, 32);
}

/* A digest that is recorded is that of one letter: no reader's mixture of two versions. Returns how many were recorded.
 */
static unsigned one_version(struct fixture *f, int how)
{
	struct writer w = { .dirfd = f->tree.fd, .how = how };
	char *content = malloc(WRITER_SIZE + 26000);
	unsigned good = 0;
	pthread_t thread;

	memset(content, 'a', WRITER_SIZE);
	tree_file(f->tree.fd, "f", content, WRITER_SIZE);
	assert_int_equal(pthread_create(&thread, NULL, writer_run, &w), 0);
	for (int i = 0; i < READS; i++) {
		struct record rec = read_all(f, "f");
		char letter = 'a';

		arena_reset(&f->arena);
		if (rec.unread) {
			assert_true(rec.unread == RECORD_UNSTABLE || rec.unread == RECORD_GONE);
			assert_false(rec.have & ATTR_BIT(ATTR_DIGEST));
			continue;
		}
		for (; letter <= 'z'; letter++) {
			memset(content, letter, rec.size);
			if (writer_len(&w, letter) == rec.size && is_digest(&rec, content, rec.size))
				break;
		}
		if (letter > 'z')
			fail_msg("read %d: a content that was never there, of %lu bytes", i, (unsigned long)rec.size);
		good++;
	}
	w.stop = true;
	pthread_join(thread, NULL);
	free(content);
	return good;
}

static void test_replaced_while_read(void **state)
{
	assert_true(one_version(*state, WRITE_RENAME) > 0);
}

static void test_written_while_read(void **state)
{
	print_message("recorded %u of %d\n", one_version(*state, WRITE_IN_PLACE), READS);
}

struct shrinker {
	int dirfd;
	_Atomic bool stop;
};

static void *shrinker_run(void *data)
{
	struct shrinker *s = data;
	_cleanup_close_ int fd = openat(s->dirfd, "f", O_RDWR);

	while (!s->stop)
		if (ftruncate(fd, 1000) < 0 || ftruncate(fd, 5000000) < 0)
			break;
	return NULL;
}

/* All zeros in either size: a digest that mixes two versions' sizes shows. */
static void test_shrinks_while_read(void **state)
{
	struct fixture *f = *state;
	struct shrinker s = { .dirfd = f->tree.fd };
	char *zeros = calloc(1, 5000000);
	pthread_t thread;

	tree_file(f->tree.fd, "f", zeros, 5000000);
	assert_int_equal(pthread_create(&thread, NULL, shrinker_run, &s), 0);
	for (int i = 0; i < 50; i++) {
		struct record rec = read_all(f, "f");

		arena_reset(&f->arena);
		if (rec.unread) {
			assert_int_equal(rec.unread, RECORD_UNSTABLE);
			continue;
		}
		assert_true(rec.size == 1000 || rec.size == 5000000);
		assert_digest(&rec, zeros, rec.size);
	}
	s.stop = true;
	pthread_join(thread, NULL);
	free(zeros);
}

/* --- page cache */

static size_t resident(int fd, size_t size)
{
	size_t pages = (size + 4095) / 4096, n = 0;
	void *map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	unsigned char *in = malloc(pages);

	assert_true(map != MAP_FAILED);
	assert_int_equal(mincore(map, size, in), 0);
	for (size_t i = 0; i < pages; i++)
		n += in[i] & 1;
	munmap(map, size);
	free(in);
	return n;
}

static void test_cache(void **state)
{
	const size_t size = 20 * MIB, pages = size / 4096;
	struct fixture *f = *state;
	_cleanup_close_ int fd = -1;
	char *data = malloc(size);

	memset(data, 'c', size);
	tree_file(f->tree.fd, "f", data, size);
	fd = openat(f->tree.fd, "f", O_RDONLY);
	fsync(fd);
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	if (resident(fd, size) > pages / 16) {
		free(data);
		print_message("this file system keeps its pages\n");
		skip();
	}
	read_all(f, "f");
	assert_true(resident(fd, size) <= pages / 16); /* a cold file leaves nothing behind */
	assert_int_equal(pread(fd, data, size, 0), size);
	if (resident(fd, size) < pages / 2) {
		free(data);
		skip(); /* memory is short */
	}
	read_all(f, "f");
	assert_true(resident(fd, size) >= pages / 2); /* a warm one stays warm */
	free(data);
}

/* --- paths */

static void test_open_parent(void **state)
{
	struct fixture *f = *state;
	const char *name = NULL;
	struct stat st, want;
	char path[300 * 40 + 10];
	int at = dup(f->tree.fd), fd = -1;
	size_t len = 0;

	tree_folder(f->tree.fd, "d");
	assert_int_equal(symlinkat("d", f->tree.fd, "link"), 0);
	tree_text(f->tree.fd, "d/f", "x");
	assert_int_equal(file_open_parent(f->tree.fd, "/d/f", &fd, &name), 0);
	assert_string_equal(name, "f");
	assert_int_equal(fstatat(fd, name, &st, 0), 0);
	close(fd);
	assert_int_equal(file_open_parent(f->tree.fd, "/", &fd, &name), 0);
	assert_string_equal(name, "");
	close(fd);
	assert_true(file_open_parent(f->tree.fd, "/link/f", &fd, &name) < 0);
	assert_int_equal(file_open_parent(f->tree.fd, "/none/f", &fd, &name), -ENOENT);
	assert_int_equal(file_open_parent(f->tree.fd, "relative", &fd, &name), -EINVAL);
	/* three times PATH_MAX */
	for (int i = 0; i < 50; i++) {
		char component[251];
		int next;

		memset(component, 'a' + i % 26, 250);
		component[250] = '\0';
		tree_folder(at, component);
		next = openat(at, component, O_PATH | O_DIRECTORY);
		assert_true(next >= 0);
		close(at);
		at = next;
		if (i >= 45)
			continue;
		len += (size_t)snprintf(path + len, sizeof(path) - len, "/%s", component);
		assert_int_equal(fstat(at, &want), 0);
	}
	close(at);
	assert_int_equal(file_open_parent(f->tree.fd, path, &fd, &name), 0);
	assert_int_equal(fstatat(fd, name, &st, 0), 0);
	assert_int_equal(st.st_ino, want.st_ino);
	close(fd);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_regular),
		TEST(test_mime),
		TEST(test_masks),
		TEST(test_xattrs),
		TEST(test_many_xattrs),
		TEST(test_xattrs_by_name),
		TEST(test_flags),
		TEST(test_special),
		TEST(test_became),
		TEST(test_too_large),
		TEST(test_step),
		TEST(test_links),
		TEST(test_prefix),
		TEST(test_cache),
		TEST(test_replaced_while_read),
		TEST(test_written_while_read),
		TEST(test_shrinks_while_read),
		TEST(test_open_parent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
