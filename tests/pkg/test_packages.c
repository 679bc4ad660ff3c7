/* Package databases: a dpkg tree made here, malformed ones, and the host's own where it has one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "lib/cleanup.h"
#include "lib/util.h"
#include "pkg/packages.h"

#define A "0123456789abcdef0123456789abcdef"
#define B "fedcba9876543210fedcba9876543210"
#define C "00000000000000000000000000000001"

static char root[64];

static void put(const char *path, const char *text)
{
	char full[512];

	snprintf(full, sizeof(full), "%s/%s", root, path);
	for (char *slash = full + strlen(root) + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		mkdir(full, 0755);
		*slash = '/';
	}
	_cleanup_fclose_ FILE *f = fopen(full, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
}

static int setup(void **state _unused_)
{
	snprintf(root, sizeof(root), "/tmp/holdfast-pkg.XXXXXX");
	return mkdtemp(root) ? 0 : -1;
}

static int teardown(void **state _unused_)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", root);
	return system(command);
}

static void small_host(void)
{
	char link[128];

	snprintf(link, sizeof(link), "%s/bin", root);
	assert_int_equal(symlink("usr/bin", link), 0);
	put("var/lib/dpkg/status",
	    "Package: tool\nStatus: install ok installed\nVersion: 1.2-3\nArchitecture: amd64\n"
	    "Conffiles:\n /etc/tool.conf " B "\n /etc/new.conf newconffile\n /etc/old.conf " C " obsolete\n"
	    "Description: x\n Conffiles: not one\n\n"
	    "Package: libx\nStatus: install ok half-configured\nVersion: 2\nArchitecture: amd64\nMulti-Arch: same\n\n"
	    "Package: gone\nStatus: deinstall ok config-files\nVersion: 9\nArchitecture: all\n\n"
	    "Package: pusher\nStatus: install ok installed\nVersion: 7\nArchitecture: all\n");
	put("var/lib/dpkg/info/tool.md5sums", A "  bin/tool\n" B "  usr/share/a file\n" C "  usr/bin/shared\n");
	put("var/lib/dpkg/info/libx:amd64.md5sums", A "  usr/lib/libx.so\n");
	put("var/lib/dpkg/info/gone.md5sums", A "  usr/bin/gone\n");
	put("var/lib/dpkg/info/pusher.md5sums", A "  usr/bin/shared\n");
	put("var/lib/dpkg/diversions", "/usr/bin/shared\n/usr/bin/shared.tool\npusher\n");
}

static void test_dpkg(void **state _unused_)
{
	static const struct {
		const char *path, *package, *version;
		uint8_t first;
		bool conffile;
	} cases[] = {
		{ "/usr/bin/tool", "tool", "1.2-3", 0x01, false }, /* listed as bin/tool, the host has /bin -> usr/bin */
		{ "/bin/tool", "tool", "1.2-3", 0x01, false },
		{ "/usr/share/a file", "tool", "1.2-3", 0xfe, false },
		{ "/etc/tool.conf", "tool", "1.2-3", 0xfe, true },
		{ "/etc/old.conf", "tool", "1.2-3", 0x00, true },
		{ "/usr/lib/libx.so", "libx", "2", 0x01, false },
		{ "/usr/bin/shared", "pusher", "7", 0x01, false },
		{ "/usr/bin/shared.tool", "tool", "1.2-3", 0x00, false },
		{ "/usr/bin/gone", NULL, NULL, 0, false },
		{ "/etc/new.conf", NULL, NULL, 0, false },
		{ "/usr/bin", NULL, NULL, 0, false },
		{ "/", NULL, NULL, 0, false },
		{ "", NULL, NULL, 0, false },
	};
	_cleanup_packages_ struct packages *p = NULL;
	_cleanup_buf_ struct buf warnings = BUF_INIT;

	small_host();
	assert_int_equal(packages_load(root, &p, &warnings), 0);
	assert_int_equal(warnings.len, 0);
	assert_int_equal(packages_count(p), 3);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct package_file f;
		int r = packages_find(p, cases[i].path, &f);
		if (!cases[i].package) {
			assert_int_equal(r, -ENOENT);
			continue;
		}
		assert_int_equal(r, 0);
		assert_string_equal(f.package, cases[i].package);
		assert_string_equal(f.version, cases[i].version);
		assert_int_equal(f.digest_len, 16);
		assert_int_equal(f.digest[0], cases[i].first);
		assert_int_equal(f.conffile, cases[i].conffile);
	}
}

static void test_outdated_and_busy(void **state _unused_)
{
	_cleanup_packages_ struct packages *p = NULL;
	_cleanup_buf_ struct buf warnings = BUF_INIT;
	char lock[128];

	small_host();
	put("var/lib/dpkg/lock", "");
	assert_int_equal(packages_load(root, &p, &warnings), 0);
	assert_false(packages_outdated(p));
	assert_false(packages_busy(p));

	/* A record lock of one's own process does not show: another process holds it, and tells by a pipe. */
	int ready[2], done[2];
	assert_int_equal(pipe(ready) | pipe(done), 0);
	snprintf(lock, sizeof(lock), "%s/var/lib/dpkg/lock", root);
	pid_t pid = fork();
	if (pid == 0) {
		struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
		int fd = open(lock, O_RDWR);
		char c = fcntl(fd, F_SETLK, &l) == 0 ? 'y' : 'n';
		close(done[1]);
		if (write(ready[1], &c, 1) != 1 || read(done[0], &c, 1) < 0)
			_exit(1);
		_exit(0);
	}
	char c = 'n';
	assert_int_equal(read(ready[0], &c, 1), 1);
	assert_int_equal(c, 'y');
	assert_true(packages_busy(p));
	close(done[1]);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_false(packages_busy(p));
	close(ready[0]), close(ready[1]), close(done[0]);

	put("var/lib/dpkg/status", "Package: tool\nStatus: install ok installed\nVersion: 2\n");
	assert_true(packages_outdated(p));
}

static void test_malformed(void **state _unused_)
{
	static const struct {
		const char *file, *text;
		size_t files, skipped;
	} cases[] = {
		{ "info/tool.md5sums", "", 0, 0 },
		{ "info/tool.md5sums", "short\n" A "  ok\n", 1, 1 },
		{ "info/tool.md5sums", "X123456789abcdef0123456789abcdef  a\n", 0, 1 },
		{ "info/tool.md5sums", A "  no newline at the end", 1, 0 },
		{ "info/tool.md5sums", A "  \n\n\n", 0, 3 },
		{ "info/tool.md5sums", "0123456789abcdef0123456789abcdef0  usr/bin/long\n", 0, 1 },
		{ "info/tool.md5sums", "0123456789abcdef0123456789abcde", 0, 1 }, /* cut off */
		{ "info/tool.md5sums", A "  \xff\xfe\x01\x1b[2J\n" A "  with  blanks\n", 2, 0 },
		{ "diversions", "/one\n/two\n", 0, 1 },
		{ "diversions", "relative\nx\ny\n", 0, 1 },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_packages_ struct packages *p = NULL;
		_cleanup_buf_ struct buf warnings = BUF_INIT;
		char path[128];
		put("var/lib/dpkg/status", "Package: tool\nStatus: install ok installed\n");
		put("var/lib/dpkg/diversions", "");
		put("var/lib/dpkg/info/tool.md5sums", "");
		snprintf(path, sizeof(path), "var/lib/dpkg/%s", cases[i].file);
		put(path, cases[i].text);
		assert_int_equal(packages_load(root, &p, &warnings), 0);
		assert_int_equal(packages_files(p), cases[i].files);
		assert_int_equal(packages_skipped(p), cases[i].skipped);
		assert_int_equal(warnings.len > 0, cases[i].skipped > 0);
	}
}

/* A status file that is a FIFO must not block; a root without a database is an empty snapshot. */
static void test_odd_roots(void **state _unused_)
{
	_cleanup_buf_ struct buf warnings = BUF_INIT;
	struct packages *p = NULL;
	char fifo[128];

	assert_int_equal(packages_load(root, &p, &warnings), 0);
	assert_int_equal(packages_files(p), 0);
	packages_unref(p);
	put("var/lib/dpkg/x", "");
	snprintf(fifo, sizeof(fifo), "%s/var/lib/dpkg/status", root);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(packages_load(root, &p, &warnings), -EINVAL);
	assert_int_equal(packages_load("/nonexistent", &p, &warnings), -ENOENT);
}

static void test_this_host(void **state _unused_)
{
	_cleanup_packages_ struct packages *p = NULL;
	_cleanup_buf_ struct buf warnings = BUF_INIT;
	struct package_file f;

	if (access("/var/lib/dpkg/status", R_OK) != 0) {
		print_message("skip: no dpkg on this host\n");
		skip();
	}
	assert_int_equal(packages_load("/", &p, &warnings), 0);
	assert_true(packages_count(p) > 50);
	assert_true(packages_files(p) > 1000);
	assert_int_equal(packages_find(p, "/usr/bin/dpkg", &f), 0);
	assert_string_equal(f.package, "dpkg");
}

/* Read once for all who ask, and again only when something was written. */
static void test_store(void **state _unused_)
{
	_cleanup_packages_ struct packages *a = NULL, *b = NULL;
	_cleanup_buf_ struct buf warnings = BUF_INIT;
	struct packages_store *s;

	if (access("/var/lib/dpkg/status", R_OK) != 0) {
		print_message("skip: no dpkg on this host\n");
		skip();
	}
	assert_int_equal(packages_store_new(&s), 0);
	assert_int_equal(packages_store_get(s, &a, &warnings), 0);
	assert_int_equal(packages_store_get(s, &b, &warnings), 0);
	assert_true(a == b || packages_touched(a));
	packages_store_free(s);
	/* Who holds a reference goes on reading. */
	assert_true(packages_count(a) > 50);
	packages_unref(TAKE_PTR(b));
	assert_int_equal(packages_store_get(NULL, &b, &warnings), 0);
	assert_ptr_not_equal(a, b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_dpkg, setup, teardown),
		cmocka_unit_test_setup_teardown(test_outdated_and_busy, setup, teardown),
		cmocka_unit_test_setup_teardown(test_malformed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_odd_roots, setup, teardown),
		cmocka_unit_test(test_this_host),
		cmocka_unit_test(test_store),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
