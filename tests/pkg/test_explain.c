/* Which changes packages explain: the rules as a table over small package databases, and who counts as a manager. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/cleanup.h"
#include "lib/util.h"
#include "pkg/explain.h"

#define A "0123456789abcdef0123456789abcdef"
#define B "fedcba9876543210fedcba9876543210"

static const uint8_t a_bytes[16] = { 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,
				     0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef };

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

static void wipe(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", root);
	assert_int_equal(system(command), 0);
}

static struct packages *load(void)
{
	_cleanup_buf_ struct buf warnings = BUF_INIT;
	struct packages *p;

	assert_int_equal(packages_load_lists(root, &p, &warnings), 0);
	assert_int_equal(warnings.len, 0);
	return p;
}

/* tool 1 is replaced by tool 2, extra is purged, quiet stays. */
static void before(void)
{
	put("var/lib/dpkg/status", "Package: tool\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n\n"
				   "Package: extra\nStatus: deinstall ok config-files\nVersion: 9\nArchitecture: all\n"
				   "Conffiles:\n /etc/extra.conf " A "\n");
	put("var/lib/dpkg/info/tool.md5sums", B "  usr/bin/tool\n" B "  usr/bin/old\n");
}

static void after(void)
{
	put("var/lib/dpkg/status", "Package: tool\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n\n");
	put("var/lib/dpkg/updates/0001",
	    "Package: tool\nStatus: install ok unpacked\nVersion: 2\nArchitecture: all\nConffiles:\n /etc/tool.conf " A
	    "\n");
	put("var/lib/dpkg/updates/0002", "Package: half\nStatus: install reinstreq half-installed\nVersion: 5\n"
					 "Architecture: all\n");
	put("var/lib/dpkg/info/half.md5sums", A "  usr/bin/half\n");
	put("var/lib/dpkg/updates/tmp.i", "Package: tool\nStatus: install ok installed\nVersion: 3\n");
	put("var/lib/dpkg/info/tool.md5sums", A "  usr/bin/tool\n" A "  usr/bin/suid\n");
	put("var/lib/dpkg/info/tool.list", "/.\n/usr\n/usr/bin\n/usr/bin/tool\n/usr/bin/suid\n/usr/bin/link\n"
					   "/usr/share/tool\n/usr/bin/nodigest\n");
}

enum { NOBODY = 0, MANAGER = 1, SCRIPT = 2 };
enum { RIGHT = 0, WRONG = 1, UNREAD = 2 };
#define MODE ATTR_BIT(ATTR_MODE)
#define DATA (ATTR_BIT(ATTR_DIGEST) | ATTR_BIT(ATTR_MTIME))

static const struct explain_case {
	const char *path, *path2;
	enum change change;
	char was, is; /* type; 0: not there */
	uint16_t was_mode, is_mode;
	attr_mask attributes;
	int by, bytes;
	bool late; /* the package's records were not written in this transaction */
	bool excused;
	const char *cause;
} cases[] = {
	{ "/usr/bin/tool", NULL, CHANGE_REPLACED, 'f', 'f', 0755, 0755, DATA, MANAGER, RIGHT, false, true,
	  "package tool 2" },
	{ "/bin/tool", NULL, CHANGE_REPLACED, 'f', 'f', 0755, 0755, DATA, MANAGER, RIGHT, false, true,
	  "package tool 2" },
	{ "/usr/bin/tool", NULL, CHANGE_REPLACED, 'f', 'f', 0755, 0755, DATA, MANAGER, WRONG, false, false,
	  "package tool 2: the bytes are not the package's" },
	{ "/usr/bin/tool", NULL, CHANGE_REPLACED, 'f', 'f', 0755, 0755, DATA, MANAGER, UNREAD, false, false,
	  "package tool 2: its bytes could not be compared" },
	{ "/usr/bin/tool", NULL, CHANGE_REPLACED, 'f', 'l', 0755, 0777, DATA, MANAGER, UNREAD, false, false,
	  "package tool 2: lists a regular file there" },
	{ "/usr/bin/tool", NULL, CHANGE_CHANGED, 'f', 'f', 0755, 0755, DATA, SCRIPT, WRONG, false, false,
	  "package tool 2: the bytes are not the package's (by postinst of tool)" },
	/* Bytes that are right are right whoever of the transaction wrote them. */
	{ "/usr/bin/tool", NULL, CHANGE_CHANGED, 'f', 'f', 0755, 0755, DATA, SCRIPT, RIGHT, true, true,
	  "package tool 2" },
	/* Rights are in no package's records: the manager is believed, its scripts are not. */
	{ "/usr/bin/tool", NULL, CHANGE_ATTRIBUTES, 'f', 'f', 0755, 0700, MODE, MANAGER, RIGHT, false, true,
	  "package tool 2" },
	{ "/usr/bin/tool", NULL, CHANGE_ATTRIBUTES, 'f', 'f', 0755, 0700, MODE, SCRIPT, RIGHT, false, false,
	  "package tool 2: its bytes are right, its rights are not as they were (by postinst of tool)" },
	{ "/usr/bin/tool", NULL, CHANGE_ATTRIBUTES, 'f', 'f', 0755, 0700, MODE, MANAGER, RIGHT, true, false,
	  "package tool 2: its bytes are right, its rights are not as they were" },
	{ "/usr/bin/suid", NULL, CHANGE_ADDED, 0, 'f', 0, 04755, 0, MANAGER, RIGHT, false, false,
	  "package tool 2: its bytes are right, but that it is setuid or setgid now is not for a package to vouch "
	  "for" },
	{ "/usr/bin/suid", NULL, CHANGE_REPLACED, 'f', 'f', 04755, 04755, DATA, MANAGER, RIGHT, false, true,
	  "package tool 2" },
	{ "/usr/bin/suid", NULL, CHANGE_REPLACED, 'f', 'f', 0755, 0777, DATA, MANAGER, RIGHT, false, false,
	  "package tool 2: anybody may write to it now" },
	/* Links and folders: listed, made by the manager itself, in this transaction. */
	{ "/usr/bin/link", NULL, CHANGE_ADDED, 0, 'l', 0, 0777, 0, MANAGER, UNREAD, false, true, "package tool 2" },
	{ "/usr/bin/link", NULL, CHANGE_ADDED, 0, 'l', 0, 0777, 0, MANAGER, UNREAD, true, false,
	  "package tool 2: lists it, but there is nothing to verify it by" },
	{ "/usr/bin/link", NULL, CHANGE_CHANGED, 'l', 'l', 0777, 0777, ATTR_BIT(ATTR_TARGET), SCRIPT, UNREAD, false,
	  false, "package tool 2: lists it, but there is nothing to verify it by (by postinst of tool)" },
	{ "/usr/share/tool", NULL, CHANGE_ADDED, 0, 'd', 0, 0755, 0, MANAGER, UNREAD, false, true, "package tool 2" },
	{ "/usr/share/tool", NULL, CHANGE_ADDED, 0, 'd', 0, 0777, 0, MANAGER, UNREAD, false, false,
	  "package tool 2: anybody may write to it now" },
	{ "/usr/bin/nodigest", NULL, CHANGE_ADDED, 0, 'f', 0, 0644, 0, MANAGER, RIGHT, false, false,
	  "package tool 2: has no digest of it" },
	{ "/usr/bin", NULL, CHANGE_ATTRIBUTES, 'd', 'd', 0755, 0755, ATTR_BIT(ATTR_MTIME), SCRIPT, UNREAD, false, true,
	  "package transaction (dpkg): what is in the folder changed" },
	{ "/usr/bin", NULL, CHANGE_ATTRIBUTES, 'd', 'd', 0755, 0777, MODE, SCRIPT, UNREAD, false, false,
	  "package tool 2: anybody may write to it now (by postinst of tool)" },
	/* What goes away. */
	{ "/usr/bin/old", NULL, CHANGE_REMOVED, 'f', 0, 0755, 0, 0, MANAGER, UNREAD, false, true,
	  "package tool 2 does not have it any more" },
	{ "/etc/extra.conf", NULL, CHANGE_REMOVED, 'f', 0, 0644, 0, 0, MANAGER, UNREAD, false, true,
	  "package extra 9 removed" },
	{ "/usr/bin/tool", NULL, CHANGE_REMOVED, 'f', 0, 0755, 0, 0, MANAGER, UNREAD, false, false,
	  "package tool 2: still lists it" },
	{ "/etc/passwd", NULL, CHANGE_REMOVED, 'f', 0, 0644, 0, 0, SCRIPT, UNREAD, false, false,
	  "no package listed it (by postinst of tool)" },
	{ "/usr/bin/half", NULL, CHANGE_ADDED, 0, 'f', 0, 0755, 0, MANAGER, RIGHT, false, false,
	  "package half 5: it is not unpacked completely" },
	/* What no package has. */
	{ "/usr/bin/made", NULL, CHANGE_ADDED, 0, 'f', 0, 0755, 0, SCRIPT, RIGHT, false, false,
	  "no package lists it (by postinst of tool)" },
	{ "/usr/bin/made", NULL, CHANGE_ADDED, 0, 'f', 0, 0755, 0, MANAGER, RIGHT, false, false,
	  "no package lists it" },
	/* Configuration files. */
	{ "/etc/tool.conf", NULL, CHANGE_REPLACED, 'f', 'f', 0644, 0644, DATA, MANAGER, RIGHT, false, true,
	  "package tool 2" },
	{ "/etc/tool.conf", NULL, CHANGE_CHANGED, 'f', 'f', 0644, 0644, DATA, SCRIPT, WRONG, false, false,
	  "package tool 2: the bytes are not the package's (by postinst of tool)" },
	{ "/etc/tool.conf.dpkg-dist", NULL, CHANGE_ADDED, 0, 'f', 0, 0644, 0, MANAGER, RIGHT, false, true,
	  "package tool 2: its version of a configuration file" },
	{ "/etc/tool.conf.dpkg-dist", NULL, CHANGE_ADDED, 0, 'f', 0, 0644, 0, MANAGER, WRONG, false, false,
	  "no package lists it" },
	/* The new name counts. */
	{ "/usr/bin/made", "/usr/bin/tool", CHANGE_RENAMED, 'f', 'f', 0755, 0755, 0, MANAGER, RIGHT, false, true,
	  "package tool 2" },
	{ "/usr/bin/tool", "/usr/bin/made", CHANGE_RENAMED, 'f', 'f', 0755, 0755, 0, MANAGER, RIGHT, false, false,
	  "no package lists it" },
	/* The manager's own records. */
	{ "/var/lib/dpkg/status", NULL, CHANGE_REPLACED, 'f', 'f', 0644, 0644, DATA, MANAGER, WRONG, false, true,
	  "dpkg: its own records" },
	{ "/var/lib/dpkg/status", NULL, CHANGE_CHANGED, 'f', 'f', 0644, 0644, DATA, SCRIPT, WRONG, false, false,
	  "no package lists it (by postinst of tool)" },
	{ "/var/lib/dpkg-evil", NULL, CHANGE_ADDED, 0, 'f', 0, 0644, 0, MANAGER, WRONG, false, false,
	  "no package lists it" },
	{ "/usr/bin/tool", "/var/lib/dpkg/x", CHANGE_RENAMED, 'f', 'f', 0755, 0755, 0, MANAGER, WRONG, false, false,
	  "no package lists it" },
};

static const struct package_manager *dpkg(void)
{
	struct package_actor actor;
	static const struct process p = { .known = PROCESS_EXE, .exe = "/usr/bin/dpkg" };

	assert_true(package_actor(&p, &actor));
	return actor.manager;
}

static void test_rules(void **state _unused_)
{
	_cleanup_packages_ struct packages *old = NULL, *new = NULL;
	uint8_t wrong[16] = { 0 };
	char link[128];

	snprintf(root, sizeof(root), "/tmp/holdfast-explain.XXXXXX");
	assert_non_null(mkdtemp(root));
	snprintf(link, sizeof(link), "%s/bin", root);
	assert_int_equal(symlink("usr/bin", link), 0);
	before();
	old = load();
	after();
	new = load();
	assert_int_equal(packages_count(old), 1);
	assert_int_equal(packages_count(new), 2);
	assert_string_equal(packages_version(new, "tool"), "2");
	assert_null(packages_version(old, "extra"));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct explain_case *c = &cases[i];
		_cleanup_buf_ struct buf cause = BUF_INIT;
		const attr_mask have = ATTR_BIT(ATTR_TYPE) | ATTR_BIT(ATTR_MODE);
		const struct record was = { .have = have, .type = c->was, .mode = c->was_mode };
		const struct record is = { .have = have, .type = c->is, .mode = c->is_mode };
		const struct explain_input in = {
			.before = { old },
			.after = new,
			.manager = dpkg(),
			.itself = c->by == MANAGER,
			.script = c->by == SCRIPT ? "postinst of tool" : NULL,
			.since = c->late ? UINT64_MAX : 1,
			.change = c->change,
			.attributes = c->attributes,
			.path = c->path,
			.path2 = c->path2,
			.was = c->was ? &was : NULL,
			.is = c->is ? &is : NULL,
			.digest = c->bytes == UNREAD  ? NULL
				  : c->bytes == RIGHT ? a_bytes
						      : wrong,
			.digest_len = sizeof(wrong),
		};
		bool excused = explain_change(&in, &cause);

		if (excused != c->excused || !cause.len || !streq(cause.data, c->cause))
			fail_msg("case %zu, %s: %s, \"%s\"", i, c->path, excused ? "excused" : "open",
				 cause.len ? cause.data : "");
	}
	wipe();
}

/* --- who */

static struct process proc(const char *exe, const char *cmdline, size_t len, struct process *parent)
{
	return (struct process){ .known = PROCESS_EXE | (cmdline ? PROCESS_CMDLINE : 0),
				 .exe = exe,
				 .cmdline = cmdline,
				 .cmdline_len = (uint32_t)len,
				 .parent = parent };
}
#define ARGV(s) s, sizeof(s)

static void test_actor(void **state _unused_)
{
	static const struct {
		const char *text;
		size_t len;
		const char *script;
	} scripts[] = {
		{ ARGV("/bin/sh\0/var/lib/dpkg/info/foo.postinst\0configure"), "postinst of foo" },
		{ ARGV("/var/lib/dpkg/info/libx:amd64.prerm\0remove"), "prerm of libx:amd64" },
		{ ARGV("/bin/sh\0-e\0/var/lib/dpkg/tmp.ci/preinst\0install"), "preinst of a package" },
		{ ARGV("/bin/sh\0/var/lib/dpkg/info/foo.list"), NULL },
		{ ARGV("/bin/sh\0/var/lib/dpkg/info/a\x1b[31m.postinst"), NULL },
		{ ARGV("/bin/sh\0/var/lib/dpkg/info/.postinst"), NULL },
		{ ARGV("/bin/sh\0-c\0x\0y\0z\0/var/lib/dpkg/info/foo.postinst"), NULL },
		{ "/var/lib/dpkg/info/foo.postinst", 31, NULL }, /* no NUL behind it */
		{ ARGV("/bin/sh"), NULL },
	};
	struct process shell = proc("/bin/bash", NULL, 0, NULL);
	struct process main = proc("/usr/bin/dpkg", ARGV("dpkg\0-i"), &shell);
	struct process fork = proc("/usr/bin/dpkg", ARGV("dpkg\0-i"), &main);
	struct package_actor a;

	assert_false(package_actor(&shell, &a));
	assert_true(package_actor(&fork, &a));
	assert_true(a.itself && a.image == &main && a.manager->installs);
	for (size_t i = 0; i < ARRAY_SIZE(scripts); i++) {
		struct process script = proc("/bin/dash", scripts[i].text, scripts[i].len, &fork);
		struct process child = proc("/bin/cp", ARGV("cp\0a\0b"), &script);
		_cleanup_buf_ struct buf text = BUF_INIT;

		assert_true(package_actor(&child, &a));
		assert_true(!a.itself && a.image == &main);
		package_script_text(&a, &child, &text);
		if (!scripts[i].script)
			assert_int_equal(text.len, 0);
		else
			assert_string_equal(text.data, scripts[i].script);
	}
	struct process other = proc("/tmp/dpkg", NULL, 0, &shell), unknown = { .parent = &shell };
	assert_false(package_actor(&other, &a));
	assert_false(package_actor(&unknown, &a));
	struct process apt = proc("/usr/bin/apt-get", NULL, 0, &shell), run = proc("/usr/bin/dpkg", NULL, 0, &apt);
	assert_true(package_actor(&run, &a));
	assert_true(a.image == &run && streq(a.manager->name, "dpkg"));
	assert_true(package_actor(&apt, &a));
	assert_false(a.manager->installs);
	assert_true(package_manager_owns(a.manager, "/var/lib/apt/extended_states"));
	assert_false(package_manager_owns(a.manager, "/var/lib/aptx"));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_actor),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
