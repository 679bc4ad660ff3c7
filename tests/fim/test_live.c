/*
 * Live integrity end to end on real files: what people do to files, and the one change that each of it is. The same
 * cases run with each sensor. Every case has a folder of its own.
 */
#include "tests/fim/rig.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/clock.h"

struct live_case {
	const char *name;
	const char *prepare; /* before the baseline */
	const char *script;
	const char *told;   /* sorted, "; " between */
	const char *author; /* of the first of them: command name; NULL not asked */
	const char
		*inotify; /* what it tells instead; NULL the same; "" what the recheck has found by then, if anything */
};

#define SAME  NULL
#define LATER "?" /* found by this sensor or only by the next recheck: not asked here */
static const struct live_case cases[] = {
	{ "edit in place", "echo a >f", "echo b >>f", "changed f", "sh", SAME },
	{ "temporary file and rename", "echo a >f", "cp f f.new; echo b >>f.new; mv f.new f", "replaced f", "mv",
	  SAME },
	{ "sed -i", "echo a >f", "sed -i s/a/b/ f", "replaced f", "sed", SAME },
	{ "vim with backup", "echo a >f", "mv f f~; echo b >f; rm f~", "replaced f", NULL, SAME },
	{ "dpkg", "echo a >f", "echo b >f.dpkg-new; ln f f.dpkg-tmp; mv f.dpkg-new f; rm f.dpkg-tmp", "replaced f",
	  "mv", SAME },
	{ "remove and create", "echo a >f", "rm f; echo b >f", "replaced f", NULL, SAME },
	{ "folders that did not exist", "true", "mkdir -p a/b/c && echo x >a/b/c/f",
	  "added a; added a/b; added a/b/c; added a/b/c/f", NULL, SAME },
	{ "removed", "echo a >f", "rm f", "removed f", "rm", SAME },
	{ "removed with all below", "mkdir -p d/e; echo a >d/e/f", "rm -r d", "removed d; removed d/e; removed d/e/f",
	  NULL, SAME },
	{ "moved in", "true", "echo x >$OUT/in1; mv $OUT/in1 f", "added f", "mv", SAME },
	{ "moved out", "echo a >f", "mv f $OUT/out1", "removed f", "mv", SAME },
	{ "moved within", "echo a >f; mkdir d", "mv f d/g", "renamed f -> d/g", "mv", SAME },
	{ "moved on", "echo a >f", "mv f g; mv g h; mv h i", "renamed f -> i", "mv", SAME },
	{ "moved over another", "echo a >f; echo b >g", "mv f g", "removed f; replaced g", NULL, SAME },
	{ "swapped", "echo a >f; echo b >g", "mv f t; mv g f; mv t g", "replaced f; replaced g", NULL, SAME },
	{ "log rotation", "echo a >log", "mv log log.1; echo b >log", "added log.1; replaced log", NULL, SAME },
	{ "folder moved in", "true", "mkdir -p $OUT/in2/d; echo x >$OUT/in2/d/f; mv $OUT/in2 n",
	  "added n; added n/d; added n/d/f", "mv", SAME },
	{ "folder moved out", "mkdir -p d/e; echo a >d/e/f", "mv d $OUT/out2", "removed d; removed d/e; removed d/e/f",
	  "mv", SAME },
	{ "folder renamed", "mkdir -p d/e; echo a >d/e/f", "mv d n",
	  "renamed d -> n; renamed d/e -> n/e; renamed d/e/f -> n/e/f", "mv", SAME },
	{ "folder exchanged for another", "mkdir d $OUT/other; echo a >d/f; echo b >$OUT/other/evil",
	  "mv d $OUT/away; mv $OUT/other d", "added d/evil; removed d/f", NULL, SAME },
	{ "folder exchanged for one with a file alike", "mkdir d $OUT/same; echo a >d/f; echo bb >$OUT/same/f",
	  "mv d $OUT/away2; mv $OUT/same d", "replaced d/f", NULL, SAME },
	{ "folder made, filled and renamed", "true", "mkdir t; echo x >t/f; mv t n", "added n; added n/f", NULL, SAME },
	{ "permissions", "echo a >f", "chmod 600 f", "attributes f", "chmod", SAME },
	{ "owner", "echo a >f", "chown 1234 f", "attributes f", "chown", SAME },
	{ "time", "echo a >f", "touch -d '2001-01-01' f", "attributes f", "touch", SAME },
	{ "truncate", "echo abc >f", "truncate -s 1 f", "changed f", "truncate", SAME },
	{ "link target", "ln -s a l", "ln -sfn b l", "replaced l", "ln", SAME },
	{ "file becomes folder", "echo a >f", "rm f; mkdir f", "replaced f", NULL, SAME },
	{ "fifo", "true", "mkfifo p", "added p", "mkfifo", SAME },
	{ "hard link", "echo a >f", "ln f g", "added g; attributes f", "ln", LATER },
	{ "empty file", "true", "touch f", "added f", "touch", SAME },
	{ "opened for writing, not written", "echo a >f", "true >>f", "", NULL, SAME },
	{ "came and went", "true", "echo a >t1; echo a >t2; rm t1 t2", "transient ", NULL, SAME },
	{ "came, was renamed and went", "true", "echo a >t1; mv t1 t2; rm t2", "transient ", NULL, SAME },
	{ "an editor's temporary file", "true", "echo a >t~; rm t~", "", NULL, SAME },
	{ "one that was run", "true", "cp /bin/true t~; ./t~; rm t~", "transient ", NULL, "" },
	{ "through a second link outside", "echo a >f; ln f $OUT/second", "echo b >>$OUT/second", "changed f", "sh",
	  LATER },
	{ "second link made outside", "echo a >f", "ln f $OUT/late; echo b >>$OUT/late", "changed f", "sh", LATER },
	/* On a machine that is late the link is gone before it could be followed: then it is found by the next recheck.
	 */
	{ "written through a link outside that is gone", "echo a >f",
	  "ln f $OUT/gone; exec 3>>$OUT/gone; rm $OUT/gone; echo b >&3", NULL, NULL, LATER },
	{ "link outside to a file that was replaced", "echo a >f",
	  "echo b >f.new; mv f.new f; sleep 0.5; ln f $OUT/late2; echo c >>$OUT/late2", NULL, NULL, SAME },
	{ "link outside, no change", "echo a >f", "ln f $OUT/idle", "attributes f", "ln", LATER },
	{ "links outside of other files", "echo a >f",
	  "echo x >$OUT/x; for i in $(seq 300); do ln $OUT/x $OUT/x$i; echo $i >>$OUT/x$i; done; echo b >>f",
	  "changed f", "sh", SAME },
	{ "written through a second link inside", "echo a >f; ln f g", "echo b >>g", "changed f; changed g", NULL,
	  LATER },
	{ "line feed in the name", "true", "echo a >\"$(printf 'a\\nb')\"", "added a\nb", NULL, SAME },
	{ "not UTF-8", "true", "echo a >\"$(printf 'a\\377b')\"", "added a\377b", NULL, SAME },
	{ "longest name", "true", "touch $(printf 'n%.0s' $(seq 255))", NULL, NULL, SAME },
	{ "held open", "echo a >f", "exec 3>>f; echo b >&3; echo c >&3; exec 3>&-", "changed f", NULL, SAME },
	{ "many writes", "echo a >f", "for i in $(seq 200); do echo $i >>f; done; chmod 640 f", NULL, NULL, SAME },
	{ "excluded", "true", "echo a >x.skip", "", NULL, SAME },
};

static const char yaml[] = "exclude: ['*.skip']\nlimits: {settle: 50ms, recheck: 0, rehash: 0}\n";

static void case_dir(size_t i, char *ret, size_t size)
{
	snprintf(ret, size, "g/c%zu", i);
}

static void check_case(struct rig *r, size_t i, const char *sensor)
{
	_cleanup_free_ char *told = NULL;
	const struct event *e = NULL;
	const char *want = streq(sensor, "inotify") && cases[i].inotify ? cases[i].inotify : cases[i].told;
	char dir[32], prefix[128];

	case_dir(i, dir, sizeof(dir));
	told = rig_told(r, dir);
	if (want && !streq(want, LATER) && !streq(told, want))
		fail_msg("%s: %s:\n  told \"%s\"\n  want \"%s\"", sensor, cases[i].name, told, want);
	if (!cases[i].author || streq(sensor, "inotify") || !r->connector)
		return;
	snprintf(prefix, sizeof(prefix), "%s/%s/", r->dir, dir);
	for (size_t k = 0; k < r->n && !e; k++) {
		if (r->events[k]->path && strncmp(r->events[k]->path, prefix, strlen(prefix)) == 0)
			e = r->events[k];
	}
	assert_non_null(e);
#if SANITIZED
	/* Several times slower: a program of a millisecond may be gone before /proc was read. What is told must be
	 * right. */
	if (!e->process)
		return;
#endif
	if (!e->process || !strstr(process_name(e->process) ?: "", cases[i].author))
		fail_msg("%s: %s: by %s (%s), not %s", sensor, cases[i].name,
			 e->process ? process_name(e->process) : e->process_why, e->cause, cases[i].author);
}

static void run_cases(const char *sensor)
{
	struct rig r;
	char dir[32];

	rig_make(&r);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_buf_ struct buf make = BUF_INIT;

		case_dir(i, dir, sizeof(dir));
		buf_printf(&make, "mkdir %s; cd %s; %s", dir, dir, cases[i].prepare);
		rig_shell(&r, ".", make.data);
	}
	rig_baseline(&r, yaml);
	rig_start(&r, sensor);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		rig_forget(&r);
		case_dir(i, dir, sizeof(dir));
		/* A script may take long between two steps of one change; but what waits means to be looked at. */
		if (!strstr(cases[i].script, "sleep"))
			rig_hold(&r);
		rig_shell(&r, dir, cases[i].script);
		rig_settle(&r);
		check_case(&r, i, sensor);
	}
	rig_free(&r);
}

static void test_fanotify(void **state)
{
	(void)state;
	run_cases("fanotify");
}

static void test_inotify(void **state)
{
	(void)state;
	run_cases("inotify");
}

#define FLOOD_CYCLES 3000

/* Full speed, by a process of its own: the files of one cycle come and go before anybody can look at them. */
static void flood(const char *dir)
{
	char temporary[32], name[32];
	int dirfd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

	for (int i = 0; i < FLOOD_CYCLES; i++) {
		snprintf(temporary, sizeof(temporary), "t%d", i);
		snprintf(name, sizeof(name), "n%d", i);
		close(openat(dirfd, temporary, O_WRONLY | O_CREAT | O_EXCL, 0644));
		renameat(dirfd, temporary, dirfd, name);
		/* Most go; some stay; some old names are used again at once. */
		if (i % 1000 == 500)
			close(openat(dirfd, temporary, O_WRONLY | O_CREAT | O_EXCL, 0644));
		if (i % 1000)
			unlinkat(dirfd, name, 0);
	}
	_exit(0);
}

static void test_flood(void **state)
{
	_cleanup_free_ char *told = NULL;
	struct live_stats stats;
	char dir[96];
	struct rig r;
	pid_t pid;
	int status;

	(void)state;
	rig_make(&r);
	rig_shell(&r, "g", "mkdir d");
	rig_baseline(&r, yaml);
	rig_start(&r, "fanotify");
	snprintf(dir, sizeof(dir), "%s/g/d", r.dir);
	rig_hold(&r);
	pid = fork();
	if (pid == 0)
		flood(dir);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	rig_settle(&r);
	told = rig_told(&r, "g/d");
	/* What went is told in numbers, of the folder. */
	while (strncmp(told + strlen(told) - MIN(strlen(told), 12), "; transient ", 12) == 0)
		told[strlen(told) - 12] = '\0';
	assert_string_equal(told, "added n0; added n1000; added n2000; added t1500; added t2500; added t500");
	live_get_stats(r.live, &stats);
	assert_int_equal(stats.transient, FLOOD_CYCLES - 3);
	assert_int_equal(stats.pending, 0);
	rig_free(&r);
}

static uint64_t recheck_rounds(struct rig *r, uint64_t wanted, uint64_t for_ns)
{
	uint64_t until = clock_mono_ns() + for_ns;
	struct live_stats stats;

	do {
		usleep(20000);
		live_get_stats(r->live, &stats);
	} while (stats.recheck_rounds < wanted && clock_mono_ns() < until);
	return stats.recheck_rounds;
}

/*
 * A tiny tree is through at once: within an hour it is looked at sixty times, not each second. Content is read again
 * little by little, all of it, also where much lies in one folder: 64 KiB a second, or a file.
 */
static void test_recheck(void **state)
{
	uint64_t until = clock_mono_ns() + 60 * NSEC_PER_SEC;
	struct live_stats stats;
	struct rig r;

	(void)state;
	rig_make(&r);
	rig_shell(&r, "g", "mkdir a b; for i in $(seq 40); do echo a >a/$i; head -c 1M /dev/zero >b/$i; done");
	rig_baseline(&r, "limits: {settle: 50ms, recheck: 1h, rehash: 7d}\n");
	rig_start(&r, "fanotify");
	assert_int_equal(recheck_rounds(&r, 1, 30 * NSEC_PER_SEC), 1);
	assert_int_equal(recheck_rounds(&r, 2, 2500 * NSEC_PER_MSEC), 1);
	do {
		usleep(20000);
		live_get_stats(r.live, &stats);
	} while (stats.evaluated < 41 && clock_mono_ns() < until);
	assert_true(stats.evaluated > 40 && stats.evaluated < 60);
	rig_free(&r);
}

static void put_event(struct rig *r, uint32_t ops, const char *name, const char *name2)
{
	struct fs_batch *b = calloc(1, sizeof(*b));
	char path[128], path2[128];

	assert_non_null(b);
	snprintf(path, sizeof(path), "%s/g/%s", r->dir, name);
	snprintf(path2, sizeof(path2), "%s/g/%s", r->dir, name2 ?: "");
	b->boot_ns = clock_boot_ns();
	b->real_ns = clock_real_ns();
	b->events = arena_alloc(&b->arena, sizeof(*b->events));
	b->n = 1;
	b->events[0] = (struct fs_event){ .ops = ops,
					  .path = arena_strdup(&b->arena, path),
					  .path2 = name2 ? arena_strdup(&b->arena, path2) : NULL,
					  .boot_ns = b->boot_ns };
	assert_int_equal(queue_push(r->inbox, b), 0);
}

static void await_looks(struct rig *r, uint64_t n)
{
	uint64_t until = clock_mono_ns() + 60 * NSEC_PER_SEC;
	struct live_stats stats;

	do {
		usleep(1000);
		live_get_stats(r->live, &stats);
	} while (stats.evaluated < n && clock_mono_ns() < until);
	assert_true(stats.evaluated >= n);
}

/* On a machine that is late the disk is ahead of the events. */
static void test_late(void **state)
{
	static const struct {
		const char *script;
		uint32_t ops; /* of what comes late */
		const char *path, *path2, *told;
	} late[] = {
		{ "mv a b", FS_RENAME_TO, "b", "a", "renamed a -> b" },
		{ "rm a", FS_DELETE, "a", NULL, "removed a" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(late); i++) {
		uint64_t until = clock_mono_ns() + 60 * NSEC_PER_SEC;
		char *told = NULL;
		struct rig r;

		rig_make(&r);
		rig_shell(&r, "g", "echo a >a");
		rig_baseline(&r, "limits: {settle: 20ms, recheck: 0, rehash: 0}\n");
		r.late = clock_boot_ns();
		rig_start(&r, "none");
		rig_shell(&r, "g", late[i].script);
		put_event(&r, FS_ATTRIB, "a", NULL);
		/* It is found gone more than once, and that is all that is known. */
		await_looks(&r, 3);
		told = rig_told(&r, "g");
		assert_string_equal(told, "");
		put_event(&r, late[i].ops, late[i].path, late[i].path2);
		if (late[i].path2)
			put_event(&r, FS_RENAME_FROM, late[i].path2, late[i].path);
		r.late = UINT64_MAX;
		do {
			free(told);
			usleep(1000);
			told = rig_told(&r, "g");
		} while (!*told && clock_mono_ns() < until);
		assert_string_equal(told, late[i].told);
		free(told);
		rig_free(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fanotify), cmocka_unit_test(test_inotify), cmocka_unit_test(test_flood),
		cmocka_unit_test(test_recheck),	 cmocka_unit_test(test_late),
	};

	if (geteuid() != 0) {
		puts("skipped: needs root for fanotify");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
