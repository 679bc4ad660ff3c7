/*
 * fim/upper, fim/drift: what a writable layer makes of an image, by the kernel's own overlayfs: layers are written
 * through a mount of it and compared as they lie.
 */
#include "tests/db/store.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "conf/conf.h"
#include "fim/drift.h"
#include "fim/image.h"

#define LOWER                                                                                                          \
	"mkdir -p etc usr/bin usr/share/a/b opt && echo one >etc/one && echo two >etc/two && ln -s one etc/link && "   \
	"echo prog >usr/bin/prog && chmod 755 usr/bin/prog && echo deep >usr/share/a/b/deep && echo x >usr/share/a/x"

/* what: "CHANGE PATH" lines in the order of sort(1). */
struct layer_case {
	const char *name, *options, *commands, *what;
};

static const struct layer_case cases[] = {
	{ "nothing", "", "true", "" },
	{ "read and copied up without a change", "", ": >>etc/one", "" },
	{ "written", "", "echo more >>etc/one", "changed /etc/one\n" },
	{ "mode", "", "chmod 700 usr/bin/prog", "attributes /usr/bin/prog\n" },
	{ "mode of a folder", "", "chmod 700 usr/share/a", "attributes /usr/share/a\n" },
	{ "removed", "", "rm etc/one", "removed /etc/one\n" },
	{ "link made anew", "", "ln -sf two etc/link", "replaced /etc/link\n" },
	{ "removed and made anew", "", "rm etc/one && echo other >etc/one", "replaced /etc/one\n" },
	{ "the same content made anew", "", "cp -p etc/one c && mv c etc/one", "" },
	{ "added", "", "mkdir -p new/er && echo f >new/er/f", "added /new\nadded /new/er\nadded /new/er/f\n" },
	{ "folder removed", "", "rm -r usr/share/a",
	  "removed /usr/share/a\nremoved /usr/share/a/b\nremoved /usr/share/a/b/deep\nremoved /usr/share/a/x\n" },
	{ "opaque folder", "", "rm -r usr/share/a && mkdir usr/share/a && echo n >usr/share/a/n",
	  "added /usr/share/a/n\nremoved /usr/share/a/b\nremoved /usr/share/a/b/deep\nremoved /usr/share/a/x\n" },
	{ "file over a folder", "", "rm -r usr/share/a && echo f >usr/share/a",
	  "removed /usr/share/a/b\nremoved /usr/share/a/b/deep\nremoved /usr/share/a/x\nreplaced /usr/share/a\n" },
	{ "folder over a file", "", "rm etc/one && mkdir etc/one && echo f >etc/one/f",
	  "added /etc/one/f\nreplaced /etc/one\n" },
	{ "file renamed", "", "mv etc/one etc/three", "added /etc/three\nremoved /etc/one\n" },
	{ "folder redirected", "redirect_dir=on", "mv usr/share/a opt/z",
	  "added /opt/z\nadded /opt/z/b\nadded /opt/z/b/deep\nadded /opt/z/x\nremoved /usr/share/a\nremoved "
	  "/usr/share/a/b\nremoved /usr/share/a/b/deep\nremoved /usr/share/a/x\n" },
	{ "folder redirected, and written", "redirect_dir=on",
	  "mv usr/share/a usr/share/c && rm usr/share/c/x && echo more >>usr/share/c/b/deep",
	  "added /usr/share/c\nadded /usr/share/c/b\nadded /usr/share/c/b/deep\nremoved /usr/share/a\nremoved "
	  "/usr/share/a/b\nremoved /usr/share/a/b/deep\nremoved /usr/share/a/x\n" },
	{ "metadata alone", "metacopy=on", "chmod 600 etc/one", "attributes /etc/one\n" },
	{ "metadata alone, renamed", "metacopy=on,redirect_dir=on", "chmod 600 etc/one && mv etc/one etc/three",
	  "added /etc/three\nremoved /etc/one\n" },
	{ "what policies let change", "",
	  "mkdir -p tmp run var/log && echo t >tmp/t && echo r >run/r && echo l >var/log/l", "added /var\n" },
	{ "mount points", "", "mkdir -p data/in proc dev && echo d >data/in/d && mkdir -p way/to/vol && echo w >way/w",
	  "added /way/w\n" },
};

struct rig {
	struct store s;
	char top[64];
	struct baseline_info info;
	struct arena arena;
	struct buf told;
	int64_t id;
};
static struct rig rig;

static void run(const char *dir, const char *commands)
{
	struct buf b = BUF_INIT;

	buf_printf(&b, "cd %s/%s && %s", rig.top, dir, commands);
	if (system(b.data) != 0)
		fail_msg("%s", b.data);
	buf_free(&b);
}

static int group_setup(void **state)
{
	struct fim_image_options o = { .init = { .name = "image", .kind = BASELINE_IMAGE, .algo = DIGEST_SHA256 } };
	char source[96];

	(void)state;
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return 0;
	strcpy(rig.top, "/tmp/holdfast-upper-XXXXXX");
	assert_non_null(mkdtemp(rig.top));
	if (mount("rig", rig.top, "tmpfs", 0, "mode=755") < 0) {
		rmdir(rig.top);
		rig.top[0] = '\0';
		return 0;
	}
	store_new(&rig.s);
	run("", "mkdir lower && cd lower && " LOWER);
	snprintf(source, sizeof(source), "%s/lower", rig.top);
	o.init.key = rig.s.key;
	o.source = source;
	assert_int_equal(fim_init_image(rig.s.d, &o, &rig.id, &rig.s.err), 0);
	assert_int_equal(baseline_find(rig.s.d, "image", &rig.arena, &rig.info), 0);
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	if (!rig.top[0])
		return 0;
	umount2(rig.top, MNT_DETACH);
	rmdir(rig.top);
	arena_free(&rig.arena);
	buf_free(&rig.told);
	store_free(&rig.s);
	return 0;
}

static int told(void *data, const struct scan_difference *d, const char *host, const char *cause)
{
	(void)data;
	assert_int_equal(!host, !!cause);
	buf_printf(&rig.told, "%s %s%s%s\n", change_names[d->change], d->path, cause ? ": " : "", cause ?: "");
	if (cause)
		return 0;
	assert_non_null(strstr(host, d->path));
	assert_int_equal(d->before != NULL, d->change != CHANGE_ADDED);
	assert_int_equal(d->after != NULL, d->change != CHANGE_REMOVED);
	return 0;
}

static void no_gap(void *data, enum gap_reason reason, const char *path, const char *detail)
{
	(void)data;
	if (reason != GAP_FS_SKIPPED)
		fail_msg("gap at %s: %s", path, detail);
}

static int line_order(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The lines in order, in place of what was told. */
static void sort_told(void)
{
	char *lines[64], *copy = strdup(rig.told.data ?: ""), *rest = copy, *line;
	size_t n = 0;

	while ((line = strsep(&rest, "\n")))
		if (*line && n < ARRAY_SIZE(lines))
			lines[n++] = line;
	qsort(lines, n, sizeof(*lines), line_order);
	buf_reset(&rig.told);
	buf_str(&rig.told, "");
	for (size_t i = 0; i < n; i++)
		buf_printf(&rig.told, "%s\n", lines[i]);
	free(copy);
}

#define ID "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static int compare_layer(const char *upper, struct mountns *ns)
{
	static const struct container_mount mounts[] = { { "/data", NULL, "bind" }, { "/way/to/vol", NULL, "bind" } };
	struct container *c = container_new();
	struct drift_options o = {
		.container = c, .db = rig.s.d, .baseline = &rig.info, .mounts = ns, .difference = told, .gap = no_gap
	};
	int r;

	c->id = ID;
	c->upper = upper;
	c->have_mounts = true;
	c->mounts = mounts;
	c->n_mounts = ARRAY_SIZE(mounts);
	buf_reset(&rig.told);
	buf_str(&rig.told, "");
	buf_reset(&rig.s.err);
	r = drift_check(&o, &rig.s.err);
	container_unref(c);
	sort_told();
	return r;
}

/* False: this kernel does not take the options. */
static bool with_overlay(const struct layer_case *k)
{
	struct buf options = BUF_INIT, merged = BUF_INIT;
	bool good;

	run("", "rm -rf up work merged && mkdir up work merged");
	buf_printf(&options, "lowerdir=%s/lower,upperdir=%s/up,workdir=%s/work%s%s", rig.top, rig.top, rig.top,
		   *k->options ? "," : "", k->options);
	buf_printf(&merged, "%s/merged", rig.top);
	good = mount("overlay", merged.data, "overlay", 0, options.data) == 0;
	if (good) {
		run("merged", k->commands);
		assert_int_equal(umount(merged.data), 0);
	}
	buf_free(&options);
	buf_free(&merged);
	return good;
}

static void layers(void **state)
{
	char upper[96];
	size_t done = 0;

	(void)state;
	if (!rig.top[0]) {
		print_message("SKIP: no mounts of our own\n");
		skip();
	}
	snprintf(upper, sizeof(upper), "%s/up", rig.top);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		if (!with_overlay(&cases[i])) {
			print_message("SKIP: %s: overlay: %s\n", cases[i].name, strerror(errno));
			continue;
		}
		done++;
		if (compare_layer(upper, NULL) != 0)
			fail_msg("%s: %s", cases[i].name, rig.s.err.data);
		if (!streq(rig.told.data, cases[i].what))
			fail_msg("%s:\n%s---- and not\n%s", cases[i].name, rig.told.data, cases[i].what);
	}
	if (!done)
		skip();
}

/* Notes of user namespaces, whiteouts as attributes, and what no overlayfs would write: by hand. */
static void by_hand(void **state)
{
	char path[128], upper[96];

	(void)state;
	if (!rig.top[0])
		skip();
	run("", "rm -rf up && mkdir -p up/etc up/usr/share/a && : >up/etc/one");
	snprintf(upper, sizeof(upper), "%s/up", rig.top);
	snprintf(path, sizeof(path), "%s/etc/one", upper);
	assert_int_equal(setxattr(path, "trusted.overlay.whiteout", "y", 1, 0), 0);
	snprintf(path, sizeof(path), "%s/usr/share/a", upper);
	assert_int_equal(setxattr(path, "trusted.overlay.opaque", "y", 1, 0), 0);
	assert_int_equal(compare_layer(upper, NULL), 0);
	assert_string_equal(rig.told.data,
			    "removed /etc/one\nremoved /usr/share/a/b\nremoved /usr/share/a/b/deep\nremoved "
			    "/usr/share/a/x\n");
	/* A redirection to nowhere, and to itself. */
	run("", "rm -rf up && mkdir -p up/etc up/opt");
	snprintf(path, sizeof(path), "%s/opt", upper);
	assert_int_equal(setxattr(path, "trusted.overlay.redirect", "/no/such", 8, 0), 0);
	snprintf(path, sizeof(path), "%s/etc", upper);
	assert_int_equal(setxattr(path, "trusted.overlay.redirect", "/etc", 4, 0), 0);
	assert_int_equal(compare_layer(upper, NULL), 0);
	assert_string_equal(rig.told.data, "");
}

/* --- what is mounted over it */

static void say_pid(int fd)
{
	pid_t pid = getpid();

	if (write(fd, &pid, sizeof(pid)) != sizeof(pid))
		_exit(1);
}

static pid_t hear_pid(int fd)
{
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	pid_t pid = 0;

	if (poll(&wait, 1, 30000) != 1 || read(fd, &pid, sizeof(pid)) != sizeof(pid))
		fail_msg("no container");
	return pid;
}

/* A container of sorts: its root is the overlay; and a process in another namespace of it. They end with the other end.
 */
static void contained(int fd)
{
	char merged[96], c;

	snprintf(merged, sizeof(merged), "%s/merged", rig.top);
	if (unshare(CLONE_NEWNS) || chroot(merged) || chdir("/") || mkdir("data", 0755) ||
	    mount("volume", "/data", "tmpfs", 0, NULL) || mount("over", "/usr/share/a", "tmpfs", 0, NULL) ||
	    mount("/etc/two", "/etc/one", NULL, MS_BIND, NULL))
		_exit(1);
	say_pid(fd);
	if (fork() == 0) {
		if (unshare(CLONE_NEWNS) || mount("second", "/opt", "tmpfs", 0, NULL))
			_exit(1);
		say_pid(fd);
	}
	while (read(fd, &c, 1) == 1)
		;
	_exit(0);
}

/* As live: by the mount tables of its processes; what a copy of its namespace has is told once. */
static void mounted(void **state)
{
	const struct mountns_options o = { .procfs = "/proc", .look = true };
	_cleanup_(mountns_free_p) struct mountns *mounts = NULL;
	char upper[96], merged[96], options[320];
	int fds[2];
	pid_t pid;

	(void)state;
	snprintf(upper, sizeof(upper), "%s/up", rig.top);
	snprintf(merged, sizeof(merged), "%s/merged", rig.top);
	snprintf(options, sizeof(options), "lowerdir=%s/lower,upperdir=%s,workdir=%s/work", rig.top, upper, rig.top);
	if (!rig.top[0])
		skip();
	run("", "rm -rf up work merged && mkdir up work merged");
	if (mount("overlay", merged, "overlay", 0, options) < 0) {
		print_message("SKIP: overlay: %s\n", strerror(errno));
		skip();
	}
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	pid = fork();
	if (pid == 0) {
		close(fds[0]);
		contained(fds[1]);
	}
	close(fds[1]);
	assert_int_equal(mountns_new(&o, &mounts), 0);
	mountns_want(mounts, true);
	mountns_seen(mounts, ID, hear_pid(fds[0]));
	mountns_seen(mounts, ID, hear_pid(fds[0]));
	assert_int_equal(compare_layer(upper, mounts), 0);
	close(fds[0]);
	/* The one in the other namespace too. */
	while (waitpid(-1, NULL, 0) > 0)
		;
	assert_int_equal(umount(merged), 0);
	assert_string_equal(rig.told.data,
			    "replaced /etc/one: mounted over it: the container's own /etc/two\n"
			    "replaced /opt: mounted over it: tmpfs; in another mount namespace of the container\n"
			    "replaced /usr/share/a: mounted over it: tmpfs\n");
	/* With its processes went what was mounted. */
	assert_int_equal(compare_layer(upper, mounts), 0);
	assert_string_equal(rig.told.data, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(layers),
		cmocka_unit_test(by_hand),
		cmocka_unit_test(mounted),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
