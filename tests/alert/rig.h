/* Alerts without a monitor: rules from text, events made up, what came out in a list. */
#ifndef TESTS_ALERT_RIG_H
#define TESTS_ALERT_RIG_H

#include "tests/test.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alert/engine.h"
#include "alert/outputs.h"
#include "lib/clock.h"
#include "lib/log.h"

static inline struct conf *rig_conf(const char *text)
{
	_cleanup_buf_ struct buf errors = BUF_INIT;
	struct conf *c = NULL;

	if (conf_parse("test", text, strlen(text), &c, &errors) < 0)
		fail_msg("%s", errors.data);
	return c;
}

static inline struct rules *rig_rules(const char *text)
{
	const struct rules_text t = { "test.yaml", text, strlen(text) };
	struct rules_messages m = { 0 };
	struct rules *r = NULL;

	if (rules_parse(&t, 1, &r, &m) < 0)
		fail_msg("%s", m.text.data);
	buf_free(&m.text);
	return r;
}

static inline struct process *rig_process(const char *exe, int32_t pid)
{
	const char *slash = strrchr(exe, '/');
	struct process v = { .known = PROCESS_EXE | PROCESS_COMM | PROCESS_IDS | PROCESS_CGROUP,
			     .pid = pid,
			     .exe = exe,
			     .cgroup = "/system.slice",
			     .uid = 0 };

	snprintf(v.comm, sizeof(v.comm), "%.15s", slash ? slash + 1 : exe);
	return process_new(&v);
}

/* An alert of a rule of that name and priority about path by exe. */
static inline struct alert *rig_alert(const char *name, enum priority priority, const char *path, const char *exe)
{
	struct event *e = event_new(EVENT_CHANGE);
	struct field_view *v = field_view_new();
	struct rules_state *s;
	struct rules *r;
	struct alert *a;
	char text[1024];

	snprintf(text, sizeof(text),
		 "- rule: %s\n  desc: x\n  condition: hf.change = changed\n  output: \"%%hf.path by %%proc.name\"\n"
		 "  priority: %s\n  tags: [t1, T1053.003]\n",
		 name, priority_names[priority]);
	r = rig_rules(text);
	s = rules_state_new(r);
	e->change = CHANGE_CHANGED;
	e->time = 1700000000123456789u;
	e->path = arena_strdup(&e->arena, path);
	e->process = rig_process(exe, 42);
	field_view_begin(v, e);
	a = alert_new(s, v, FACE_NONE, rules_get(r, 0), e);
	assert_non_null(a);
	event_unref(e);
	field_view_free(v);
	rules_state_free(s);
	rules_unref(r);
	return a;
}

static inline bool rig_within(unsigned ms, bool (*is_true)(void *data), void *data)
{
	uint64_t until = clock_mono_ns() + ms * NSEC_PER_MSEC;

	while (!is_true(data)) {
		if (clock_mono_ns() > until)
			return false;
		usleep(1000);
	}
	return true;
}

struct rig_dir {
	char path[64];
};

static inline void rig_dir_new(struct rig_dir *d)
{
	strcpy(d->path, "/tmp/holdfast-alert.XXXXXX");
	assert_non_null(mkdtemp(d->path));
}

static inline void rig_dir_free(struct rig_dir *d)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", d->path);
	assert_int_equal(system(command), 0);
}

#endif
