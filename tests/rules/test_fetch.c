/* Reads on demand, of real processes: the one that is meant, once, and none after it ended. */
#include "tests/rules/rule.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proc/table.h"
#include "rules/fetch.h"

/* A process that waits, with HOLDFAST_TEST in its environment; ready when its exec is done. */
static pid_t start(void)
{
	char *const argv[] = { "cat", NULL }, *const env[] = { "HOLDFAST_TEST=a b", "GLIBC_TUNABLES=x", NULL };
	int out[2], in[2];
	char byte = 'x';
	pid_t pid;

	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		execve("/bin/cat", argv, env);
		_exit(127);
	}
	/* What cat hands back, it reads after its exec. */
	assert_int_equal(write(in[1], &byte, 1), 1);
	assert_int_equal(read(out[0], &byte, 1), 1);
	fcntl(in[1], F_SETFD, 0); /* held until the test ends */
	close(in[0]);
	close(out[0]);
	close(out[1]);
	return pid;
}

static bool matches(struct rules_fetch *f, const struct event *e, const char *condition)
{
	_cleanup_(field_view_free_p) struct field_view *v = field_view_new();
	struct rules_messages m = { 0 };
	const struct rule *rule;
	struct rules_state *s;
	struct rules *r = NULL;
	bool found;

	if (load_condition(condition, &r, &m) < 0)
		fail_msg("%s", m.text.data);
	s = rules_state_new(r);
	v->fetch = rules_fetch;
	v->fetch_data = f;
	field_view_begin(v, e);
	found = rules_eval(s, v, true, &rule, NULL, 1) == 1;
	rules_state_free(s);
	rules_unref(r);
	buf_free(&m.text);
	return found;
}

static void test_process(void **state)
{
	static const char *const conditions[] = {
		"evt.type=execve and proc.env icontains glibc_tunables",
		"evt.type=execve and proc.env[HOLDFAST_TEST] = 'a b' and not proc.env[HOLDFAST] exists",
		"evt.type=execve and proc.vpid > 0 and proc.is_vpgid_leader = false",
		"evt.type=execve and thread.cap_effective exists",
	};
	_cleanup_event_ struct event *e = event_new(EVENT_EXEC);
	_cleanup_arena_ struct arena a = ARENA_INIT;
	struct rules_fetch *f = calloc(1, sizeof(*f));
	struct process p = { 0 };
	pid_t pid = start();
	uint64_t reads;

	(void)state;
	f->proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(proc_read("/proc", pid, &a, &p), 0);
	e->process = process_new(&p);
	for (size_t i = 0; i < ARRAY_SIZE(conditions); i++) {
		if (!matches(f, e, conditions[i]))
			fail_msg("%s", conditions[i]);
	}
	/* Once for the event, and only when a cheaper check did not settle it. */
	reads = f->reads;
	assert_false(
		matches(f, e, "evt.type=execve and proc.env contains q1 and proc.env contains q2 and proc.env[A]=b"));
	assert_int_equal(f->reads, reads + 1);
	assert_true(matches(f, e, "evt.type=execve and (proc.env contains q1 or proc.env contains HOLDFAST_TEST)"));
	assert_int_equal(f->reads, reads + 2);
	assert_false(matches(f, e, "evt.type=execve and proc.env contains HOLDFAST_TEST and proc.name=other"));
	assert_int_equal(f->reads, reads + 2);

	/* Another process of that number, then none. */
	e->process->start_ns += NSEC_PER_SEC;
	assert_false(matches(f, e, conditions[0]));
	e->process->start_ns -= NSEC_PER_SEC;
	assert_true(matches(f, e, conditions[0]));
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_false(matches(f, e, conditions[0]));
	assert_true(f->gone >= 1);
	/* Of one that is gone, what was told of it counts; when that is not known either, nothing. */
	assert_true(matches(f, e, conditions[2]));
	assert_true(matches(f, e, conditions[3]));
	e->process->known &= ~(uint32_t)PROCESS_STANDING;
	assert_false(matches(f, e, conditions[2]));
	assert_false(matches(f, e, conditions[3]));
	close(f->proc);
	free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_process) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
