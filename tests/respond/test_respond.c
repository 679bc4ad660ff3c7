/* The responder as a whole: ladders on real processes and cgroups, release, limits, restart, and its end by SIGKILL. */
#include "tests/respond/rig.h"

#include <pthread.h>

#include "proc/read.h"
#include "respond/quarantine.h"
#include "respond/respond.h"

#define TOLD_MAX 128

struct told {
	enum action_kind action;
	enum action_result result;
	uint64_t response;
	char text[256], user[32];
};

struct bench {
	char dir[64];
	struct conf *conf;
	struct warden *warden;
	struct respond *r;
	pthread_mutex_t lock;
	struct told told[TOLD_MAX];
	size_t n;
	bool trusted;
	int denies; /* what the deny hook answers */
	unsigned denied;
	uint64_t until;
	char reason[128];
	unsigned losing, kept_up; /* how often that was told */
	uint64_t lost;
};

static void on_tell(struct event *e, void *data)
{
	struct bench *b = data;

	pthread_mutex_lock(&b->lock);
	if (b->n < TOLD_MAX) {
		struct told *t = &b->told[b->n++];

		*t = (struct told){ .action = e->action, .result = e->result, .response = e->response };
		snprintf(t->text, sizeof(t->text), "%s", e->text ? e->text : "");
		snprintf(t->user, sizeof(t->user), "%s", e->user ? e->user : "");
	}
	pthread_mutex_unlock(&b->lock);
	event_unref(e);
}

static void on_lost(bool losing, uint64_t lost, void *data)
{
	struct bench *b = data;

	pthread_mutex_lock(&b->lock);
	b->losing += losing;
	b->kept_up += !losing;
	b->lost = lost;
	pthread_mutex_unlock(&b->lock);
}

static bool on_trusted(const uint8_t digest[32] _unused_, const char *path _unused_, void *data)
{
	return ((struct bench *)data)->trusted;
}

static int on_deny(const uint8_t digest[32], const char *path _unused_, const char *reason, uint64_t until, void *data)
{
	struct bench *b = data;

	assert_int_equal(digest[0], 0x23); /* sha256 of "payload" */
	b->denied++;
	b->until = until;
	snprintf(b->reason, sizeof(b->reason), "%s", reason);
	return b->denies;
}

static size_t tellings(struct bench *b)
{
	size_t n;

	pthread_mutex_lock(&b->lock);
	n = b->n;
	pthread_mutex_unlock(&b->lock);
	return n;
}

/* How often action had that result. */
static unsigned told(struct bench *b, enum action_kind action, enum action_result result)
{
	unsigned n = 0;

	pthread_mutex_lock(&b->lock);
	for (size_t i = 0; i < b->n; i++)
		n += b->told[i].action == action && b->told[i].result == result;
	pthread_mutex_unlock(&b->lock);
	return n;
}

static void bench_run(struct bench *b)
{
	_cleanup_buf_ struct buf err = BUF_INIT;
	const struct respond_options o = { .conf = b->conf,
					   .state_dir = b->dir,
					   .procfs = "/proc",
					   .warden = b->warden,
					   .resume_ns = 300 * NSEC_PER_MSEC,
					   .tell = on_tell,
					   .lost = on_lost,
					   .deny = on_deny,
					   .trusted = on_trusted,
					   .data = b };

	if (respond_start(&o, &b->r, &err) < 0)
		fail_msg("%s", err.data);
}

static void bench_begin(struct bench *b, const char *yaml)
{
	_cleanup_buf_ struct buf err = BUF_INIT;

	*b = (struct bench){ .dir = "/tmp/holdfast-respond-XXXXXX" };
	pthread_mutex_init(&b->lock, NULL);
	assert_non_null(mkdtemp(b->dir));
	if (conf_parse("test", yaml, strlen(yaml), &b->conf, &err) < 0)
		fail_msg("%s", err.data);
	assert_int_equal(warden_start(&b->warden), 0);
	bench_run(b);
}

static void bench_end(struct bench *b)
{
	respond_stop(b->r);
	warden_stop(b->warden);
	conf_unref(b->conf);
	remove_tree(b->dir);
}

/* An alert about what a process did. */
static int ask(struct bench *b, pid_t pid, const char *path, uint64_t wrong_start)
{
	_cleanup_arena_ struct arena a = ARENA_INIT;
	_cleanup_event_ struct event *e = event_new(path ? EVENT_CHANGE : EVENT_EXEC);
	struct respond_request q = { .event = e, .rule = "Some rule", .priority = PRIORITY_CRITICAL };
	struct process p = { 0 };
	int r;

	if (pid && proc_read("/proc", pid, &a, &p) == 0) {
		p.start_ns += wrong_start;
		e->process = process_new(&p);
	}
	e->path = path ? arena_strdup(&e->arena, path) : NULL;
	r = respond_put(b->r, &q);
	return r;
}

static uint64_t first_id(struct bench *b)
{
	json_t *list = respond_list(b->r);
	uint64_t id = (uint64_t)json_integer_value(json_object_get(json_array_get(list, 0), "id"));

	json_decref(list);
	return id;
}

static size_t active(struct bench *b)
{
	struct respond_stats s;

	respond_get_stats(b->r, &s);
	return s.active;
}

#define LADDER(mode, steps) "respond: {mode: " mode ", ladders: [{name: l, steps: [" steps "]}]}\n"

/* --- processes of the host */

static void test_kill(void **state _unused_)
{
	struct bench b;
	pid_t pid = orphan(NULL, NULL, NULL);

	bench_begin(&b, LADDER("act", "log, kill"));
	assert_int_equal(ask(&b, pid, NULL, 0), 1);
	until(told(&b, ACTION_KILL, RESULT_DONE));
	assert_true(is_gone(pid));
	until(active(&b) == 0);
	assert_int_equal(told(&b, ACTION_LOG, RESULT_DONE), 1);
	/* It is gone by now. */
	assert_int_equal(ask(&b, pid, NULL, 0), 1);
	until(told(&b, ACTION_KILL, RESULT_GONE));
	bench_end(&b);
}

static bool keeps_up(struct bench *b)
{
	bool r;

	pthread_mutex_lock(&b->lock);
	r = b->kept_up > 0;
	pthread_mutex_unlock(&b->lock);
	return r;
}

/* More than there is room for while it is busy: nobody waits, and what was lost is counted and told once. */
static void test_loss(void **state _unused_)
{
	struct respond_stats s;
	struct bench b;
	unsigned refused = 0;

	bench_begin(&b, LADDER("act", "log, kill"));
	pthread_mutex_lock(&b.lock); /* it waits for that in on_tell */
	for (unsigned i = 0; i < RESPOND_QUEUE + 10; i++)
		refused += ask(&b, 0, NULL, 0) == -EAGAIN;
	pthread_mutex_unlock(&b.lock);
	assert_true(refused >= 9);
	until(keeps_up(&b));
	respond_get_stats(b.r, &s);
	assert_int_equal(s.lost, refused);
	assert_int_equal(b.losing, 1);
	assert_int_equal(b.lost, refused);
	bench_end(&b);
}

/* What is fast and has just been asked for comes before what is slow of others. */
static void test_fast_first(void **state _unused_)
{
	struct bench b;
	pid_t one = orphan(NULL, NULL, NULL), two = orphan(NULL, NULL, NULL);

	bench_begin(&b, LADDER("act", "freeze, evidence, kill"));
	pthread_mutex_lock(&b.lock); /* it waits for that in on_tell, with the first process frozen */
	assert_int_equal(ask(&b, one, NULL, 0), 1);
	assert_int_equal(ask(&b, two, NULL, 0), 1);
	pthread_mutex_unlock(&b.lock);
	until(told(&b, ACTION_KILL, RESULT_DONE) == 2);
	assert_int_equal(b.told[0].action, ACTION_FREEZE);
	assert_int_equal(b.told[1].action, ACTION_FREEZE);
	assert_int_equal(told(&b, ACTION_EVIDENCE, RESULT_DONE), 2);
	assert_true(is_gone(one) && is_gone(two));
	bench_end(&b);
}

/* Another process under the same pid: nothing happens to it. */
static void test_reused_pid(void **state _unused_)
{
	struct bench b;
	pid_t pid = orphan(NULL, NULL, NULL);

	bench_begin(&b, LADDER("act", "kill, kill-tree, freeze, evidence"));
	assert_int_equal(ask(&b, pid, NULL, 10000000), 1);
	until(told(&b, ACTION_EVIDENCE, RESULT_GONE));
	assert_int_equal(told(&b, ACTION_KILL, RESULT_GONE), 1);
	assert_int_equal(told(&b, ACTION_KILL_TREE, RESULT_GONE), 1);
	assert_int_equal(told(&b, ACTION_FREEZE, RESULT_GONE), 1);
	until(state_of(pid) == 'S');
	kill(pid, SIGKILL);
	bench_end(&b);
}

static void test_dry_run(void **state _unused_)
{
	struct bench b;
	pid_t pid = orphan(NULL, NULL, NULL);

	bench_begin(&b,
		    "respond: {ladders: [{name: l, steps: [freeze, evidence, kill, kill-tree, run /bin/false]}]}\n");
	assert_int_equal(ask(&b, pid, NULL, 0), 1);
	until(told(&b, ACTION_RUN, RESULT_DRY_RUN));
	assert_int_equal(told(&b, ACTION_KILL, RESULT_DRY_RUN), 1);
	assert_int_equal(told(&b, ACTION_FREEZE, RESULT_DRY_RUN), 1);
	until(state_of(pid) == 'S');
	kill(pid, SIGKILL);
	bench_end(&b);
}

static void test_never(void **state _unused_)
{
	struct bench b;
	pid_t pid = sleeper(), other = orphan(NULL, NULL, NULL);
	char yaml[512], exe[256];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	/* A child of the monitor; and a program of the list. */
	bench_begin(&b, LADDER("act", "kill, log"));
	ask(&b, pid, NULL, 0);
	until(told(&b, ACTION_KILL, RESULT_REFUSED));
	until(active(&b) == 0);
	assert_int_equal(told(&b, ACTION_LOG, RESULT_DONE), 0);
	bench_end(&b);
	exe[n > 0 ? n : 0] = '\0';
	snprintf(yaml, sizeof(yaml),
		 "respond: {mode: act, never_touch: ['%s'], ladders: [{name: l, steps: [freeze]}]}\n", exe);
	bench_begin(&b, yaml);
	ask(&b, other, NULL, 0);
	until(told(&b, ACTION_FREEZE, RESULT_REFUSED));
	until(state_of(other) == 'S');
	bench_end(&b);
	reap(pid);
	kill(other, SIGKILL);
}

static void test_limits(void **state _unused_)
{
	struct bench b;
	pid_t pid[8];

	bench_begin(&b, "respond: {mode: act, per_minute: 3, ladders: [{name: l, steps: [kill]}]}\n");
	for (size_t i = 0; i < ARRAY_SIZE(pid); i++) {
		pid[i] = orphan(NULL, NULL, NULL);
		assert_int_equal(ask(&b, pid[i], NULL, 0), 1);
	}
	until(told(&b, ACTION_KILL, RESULT_LIMITED));
	until(told(&b, ACTION_KILL, RESULT_DONE) == 3);
	for (size_t i = 0; i < ARRAY_SIZE(pid); i++) {
		if (i < 3)
			until(is_gone(pid[i]));
		else
			assert_false(is_gone(pid[i]));
		kill(pid[i], SIGKILL);
	}
	bench_end(&b);
	/* Told once. */
	assert_int_equal(told(&b, ACTION_KILL, RESULT_LIMITED), 1);
}

static void test_stopped(void **state _unused_)
{
	struct bench b;
	pid_t pid = orphan(NULL, NULL, NULL);

	bench_begin(&b, "respond: {mode: act, thaw: 1s, ladders: [{name: l, steps: [freeze, kill after 60s]}]}\n");
	ask(&b, pid, NULL, 0);
	until(told(&b, ACTION_FREEZE, RESULT_DONE));
	until(state_of(pid) == 'T');
	/* The same again is at work. */
	ask(&b, pid, NULL, 0);
	/* It runs on when the time is over, and when the monitor ends. */
	until(told(&b, ACTION_THAW, RESULT_DONE));
	until(state_of(pid) == 'S');
	assert_int_equal(told(&b, ACTION_FREEZE, RESULT_DONE), 1);
	assert_int_equal(active(&b), 1);
	assert_int_equal(respond_release(b.r, first_id(&b) + 1, "me"), -ENOENT);
	assert_int_equal(respond_release(b.r, first_id(&b), "me"), 0);
	until(told(&b, ACTION_RELEASE, RESULT_DONE));
	until(active(&b) == 0);
	assert_false(is_gone(pid));
	kill(pid, SIGKILL);
	bench_end(&b);
	assert_string_equal(b.told[b.n - 1].user, "me");
}

/* --- programs */

static void test_run(void **state _unused_)
{
	char script[128], yaml[512], text[4096] = "";
	struct bench b;
	json_t *o;
	FILE *f;

	snprintf(script, sizeof(script), "/tmp/holdfast-run-%d", getpid());
	put(script, "#!/bin/sh\ncase $1 in slow) sleep 60;; *) cat >\"$1\";; esac\n", 0755);
	snprintf(yaml, sizeof(yaml),
		 "respond: {mode: act, run_timeout: 1s, ladders: [{name: l, steps: [run %s %s.out, run %s slow, "
		 "run /nonexistent, log]}]}\n",
		 script, script, script);
	bench_begin(&b, yaml);
	ask(&b, getpid(), NULL, 0);
	until(told(&b, ACTION_LOG, RESULT_DONE));
	assert_int_equal(told(&b, ACTION_RUN, RESULT_DONE), 1);
	assert_int_equal(told(&b, ACTION_RUN, RESULT_FAILED), 2);
	bench_end(&b);
	strcat(strcpy(yaml, script), ".out");
	f = fopen(yaml, "r");
	assert_non_null(f);
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	fclose(f);
	o = json_loads(text, 0, NULL);
	assert_non_null(o);
	assert_string_equal(json_string_value(json_object_get(o, "rule")), "Some rule");
	json_decref(o);
	unlink(script);
	unlink(yaml);
}

/* --- files */

static void test_quarantine(void **state _unused_)
{
	struct bench b;
	char path[128];
	pid_t pid = orphan(NULL, NULL, NULL);
	struct quarantine q;
	_cleanup_buf_ struct buf why = BUF_INIT;

	bench_begin(&b, LADDER("act", "evidence, quarantine"));
	snprintf(path, sizeof(path), "/tmp/holdfast-dropped-%d", getpid());
	put(path, "payload", 0755);
	/* Somebody vouches for it. */
	b.trusted = true;
	ask(&b, pid, path, 0);
	until(told(&b, ACTION_QUARANTINE, RESULT_REFUSED));
	assert_int_equal(access(path, F_OK), 0);
	until(active(&b) == 0);
	b.trusted = false;
	ask(&b, pid, path, 0);
	until(told(&b, ACTION_QUARANTINE, RESULT_DONE));
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(quarantine_open(b.dir, false, NULL, &q), 0);
	assert_int_equal(quarantine_restore(&q, 2, NULL, &why), 0);
	assert_int_equal(access(path, F_OK), 0);
	quarantine_close(&q);
	bench_end(&b);
	unlink(path);
	kill(pid, SIGKILL);
}

static void test_deny(void **state _unused_)
{
	static const struct {
		const char *yaml;
		int answer;
		bool trusted, asked;
		enum action_result result;
		const char *text;
	} cases[] = {
		{ LADDER("act", "deny"), 0, false, true, RESULT_DONE, "sha256 239f59ed" },
		{ LADDER("act", "deny"), 1, false, true, RESULT_DONE, "denied already" },
		{ LADDER("act", "deny"), -ENOSYS, false, true, RESULT_FAILED, "nothing judges program starts" },
		{ LADDER("act", "deny"), -EAGAIN, false, true, RESULT_FAILED, "sha256 239f59ed" },
		{ LADDER("act", "deny"), 0, true, false, RESULT_REFUSED, "vouches" },
		{ LADDER("dry-run", "deny"), 0, false, false, RESULT_DRY_RUN, "sha256 239f59ed" },
		{ "respond: {mode: act, deny: 7d, ladders: [{name: l, steps: [deny]}]}\n", 0, false, true, RESULT_DONE,
		  "sha256" },
	};
	char path[128];

	snprintf(path, sizeof(path), "/tmp/holdfast-denied-%d", getpid());
	put(path, "payload", 0755);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t week = clock_real_ns() + 7 * 24 * 3600 * NSEC_PER_SEC;
		struct bench b;

		bench_begin(&b, cases[i].yaml);
		b.denies = cases[i].answer;
		b.trusted = cases[i].trusted;
		ask(&b, 0, path, 0);
		until(told(&b, ACTION_DENY, cases[i].result));
		assert_non_null(strstr(b.told[0].text, cases[i].text));
		until(active(&b) == 0);
		assert_int_equal(b.denied, cases[i].asked);
		if (cases[i].asked)
			assert_string_equal(b.reason, "ladder l, response 1: Some rule");
		assert_true(strstr(cases[i].yaml, "7d") ? b.until >= week : b.until == 0);
		bench_end(&b);
	}
	unlink(path);
}

/* respond.keep: the file, a folder above it, the outermost one, a glob. (Files of the test's own: should a check fail,
 * they are what is taken.) */
static void test_keep(void **state _unused_)
{
	static const char *const keeps[] = { "/tmp", "/tmp/holdfast-keep-%d", "/tmp/holdfast-keep-%d/a/b", "/tmp/*/a",
					     "/tmp/holdfast-keep-%d/a/b/file" };
	char dir[64], path[128], keep[128], yaml[512];

	snprintf(dir, sizeof(dir), "/tmp/holdfast-keep-%d", getpid());
	snprintf(path, sizeof(path), "%s/a/b", dir);
	assert_int_equal(mkdir(dir, 0755), 0);
	snprintf(path, sizeof(path), "%s/a", dir);
	assert_int_equal(mkdir(path, 0755), 0);
	strcat(path, "/b");
	assert_int_equal(mkdir(path, 0755), 0);
	strcat(path, "/file");
	put(path, "payload", 0755);
	for (size_t i = 0; i < ARRAY_SIZE(keeps); i++) {
		const char *number = strstr(keeps[i], "%d");
		struct bench b;

		if (number)
			snprintf(keep, sizeof(keep), "%.*s%d%s", (int)(number - keeps[i]), keeps[i], getpid(),
				 number + 2);
		else
			strcpy(keep, keeps[i]);
		snprintf(yaml, sizeof(yaml),
			 "respond: {mode: act, keep: ['%s'], ladders: [{name: l, steps: [quarantine, log]}]}\n", keep);
		bench_begin(&b, yaml);
		ask(&b, 0, path, 0);
		until(tellings(&b) > 0);
		assert_int_equal(told(&b, ACTION_QUARANTINE, RESULT_REFUSED), 1);
		assert_int_equal(access(path, F_OK), 0);
		bench_end(&b);
	}
	remove_tree(dir);
}

/* --- containers */

static void each_hierarchy(void (*fn)(struct rig *g))
{
	unsigned n = 0;

	for (int legacy = 0; legacy < 2; legacy++) {
		struct rig g;

		if (!rig_make(&g, legacy))
			continue;
		fn(&g);
		rig_end(&g);
		n++;
	}
	if (!n) {
		print_message("skipped: no freezer here\n");
		skip();
	}
}

static bool stands_still(const struct rig *g)
{
	uint64_t before[ARRAY_SIZE(g->pid)];

	for (size_t i = 0; i < ARRAY_SIZE(g->pid); i++)
		before[i] = atomic_load(&counts[i]);
	nanosleep(&(struct timespec){ 0, 20000000 }, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(g->pid); i++)
		if (atomic_load(&counts[i]) != before[i])
			return false;
	return true;
}

static void check_ladder(struct rig *g)
{
	struct bench b;

	bench_begin(&b, LADDER("act", "freeze, evidence, alert, kill-container after 500ms"));
	ask(&b, g->pid[3], NULL, 0);
	until(told(&b, ACTION_ALERT, RESULT_DONE));
	assert_int_equal(told(&b, ACTION_FREEZE, RESULT_DONE), 1);
	assert_true(stands_still(g));
	until(told(&b, ACTION_KILL_CONTAINER, RESULT_DONE));
	for (size_t i = 0; i < ARRAY_SIZE(g->pid); i++)
		until(is_gone(g->pid[i]));
	until(active(&b) == 0);
	assert_int_equal(told(&b, ACTION_EVIDENCE, RESULT_DONE), 1);
	bench_end(&b);
}

static void test_ladder(void **state _unused_)
{
	each_hierarchy(check_ladder);
}

static void check_released(struct rig *g)
{
	struct bench b;

	bench_begin(&b, LADDER("act", "freeze, kill-container after 60s"));
	ask(&b, g->pid[0], NULL, 0);
	until(told(&b, ACTION_FREEZE, RESULT_DONE));
	/* Another of the same container. */
	ask(&b, g->pid[1], NULL, 0);
	assert_true(stands_still(g));
	assert_int_equal(respond_release(b.r, first_id(&b), "me"), 0);
	until(!stands_still(g));
	until(active(&b) == 0);
	bench_end(&b);
	assert_int_equal(told(&b, ACTION_FREEZE, RESULT_DONE), 1);
}

static void test_released(void **state _unused_)
{
	each_hierarchy(check_released);
}

/* What waits goes on after a restart; in between nothing is frozen. */
static void check_restart(struct rig *g)
{
	struct bench b;

	bench_begin(&b, LADDER("act", "freeze, kill after 60s, log"));
	ask(&b, g->pid[0], NULL, 0);
	until(told(&b, ACTION_FREEZE, RESULT_DONE));
	assert_true(stands_still(g));
	respond_stop(b.r);
	assert_int_equal(told(&b, ACTION_THAW, RESULT_DONE), 1);
	until(!stands_still(g));
	bench_run(&b);
	until(told(&b, ACTION_FREEZE, RESULT_DONE) == 2);
	assert_true(stands_still(g));
	assert_int_equal(active(&b), 1);
	assert_int_equal(respond_release(b.r, first_id(&b), NULL), 0);
	until(!stands_still(g));
	bench_end(&b);
}

static void test_restart(void **state _unused_)
{
	each_hierarchy(check_restart);
}

/* Killed: the warden thaws. */
static void check_killed(struct rig *g)
{
	char *dir = (char *)(uintptr_t)counts + 2048; /* shared */
	pid_t pid = fork();

	if (pid == 0) {
		struct bench b;

		bench_begin(&b, LADDER("act", "freeze, kill after 60s"));
		strcpy(dir, b.dir);
		ask(&b, g->pid[0], NULL, 0);
		until(told(&b, ACTION_FREEZE, RESULT_DONE));
		kill(getpid(), stands_still(g) ? SIGKILL : SIGTERM);
		_exit(1);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	remove_tree(dir);
	until(!stands_still(g));
}

static void test_killed(void **state _unused_)
{
	each_hierarchy(check_killed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kill),	   cmocka_unit_test(test_loss),	   cmocka_unit_test(test_fast_first),
		cmocka_unit_test(test_reused_pid), cmocka_unit_test(test_dry_run), cmocka_unit_test(test_never),
		cmocka_unit_test(test_limits),	   cmocka_unit_test(test_stopped), cmocka_unit_test(test_run),
		cmocka_unit_test(test_quarantine), cmocka_unit_test(test_keep),	   cmocka_unit_test(test_ladder),
		cmocka_unit_test(test_released),   cmocka_unit_test(test_restart), cmocka_unit_test(test_killed),
		cmocka_unit_test(test_deny),
	};

	if (geteuid() != 0) {
		print_message("skipped: needs root\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
