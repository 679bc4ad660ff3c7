/*
 * Events a second of processor time through a rule set, beside a loop that only walks the events. File events that
 * match nothing, program starts that match nothing, and a mix; each line: the loop alone, with rules, and what one
 * event costs.
 *
 * usage: bench/rules FILE...
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "event/event.h"
#include "lib/util.h"
#include "rules/rules.h"

#define EVENTS 1024
#define RUN_NS (2 * NSEC_PER_SEC)

static struct event *events[EVENTS];

/* Processor time: what others run on the machine does not count. */
static uint64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

static struct process *make_process(const char *exe, const char *comm, const char *argv, uint32_t len,
				    struct process *parent)
{
	struct process p = { .known = PROCESS_EXE | PROCESS_COMM | PROCESS_CMDLINE | PROCESS_IDS | PROCESS_CGROUP |
				      PROCESS_NO_TTY | PROCESS_START | PROCESS_NO_LOGINUID,
			     .pid = 4242,
			     .exe = exe,
			     .cmdline = argv,
			     .cmdline_len = len,
			     .cgroup = "/system.slice/app.service",
			     .start_ns = 1,
			     .parent = parent };

	strncpy(p.comm, comm, sizeof(p.comm) - 1);
	return process_new(&p);
}

static void fill(bool files, bool execs)
{
	struct process *init = make_process("/lib/systemd/systemd", "systemd", "/sbin/init", 11, NULL);
	struct process *app = make_process("/usr/bin/app", "app",
					   "app\0--serve\0--port\0"
					   "8080",
					   24, init);

	for (size_t i = 0; i < EVENTS; i++) {
		bool exec = execs && (!files || i % 2);
		struct event *e = event_new(exec ? EVENT_EXEC : EVENT_CHANGE);
		char path[64];

		snprintf(path, sizeof(path), "/srv/data/%zu/file-%zu.dat", i % 16, i);
		e->path = exec ? "/usr/bin/app" : arena_strdup(&e->arena, path);
		e->change = CHANGE_CHANGED;
		e->attributes = ATTR_BIT(ATTR_SIZE) | ATTR_BIT(ATTR_MTIME);
		e->process = process_ref(app);
		e->boot_time = 1000;
		if (events[i])
			event_unref(events[i]);
		events[i] = e;
	}
	process_unref(app);
	process_unref(init);
}

/* Walks over the events again and again; with a rule set, evaluates it. Events a second. */
static double run(struct rules_state *s, struct field_view *v, uint64_t *ret_matches)
{
	uint64_t start = cpu_ns(), end = start, n = 0, seen = 0;
	const struct rule *found[16];

	while (end - start < RUN_NS) {
		for (size_t i = 0; i < EVENTS; i++) {
			field_view_begin(v, events[i]);
			seen += (uint64_t)events[i]->path[5];
			if (s)
				*ret_matches += rules_eval(s, v, false, found, NULL, ARRAY_SIZE(found));
		}
		n += EVENTS;
		end = cpu_ns();
	}
	return seen ? (double)n * (double)NSEC_PER_SEC / (double)(end - start) : 0;
}

static void measure(const char *name, struct rules_state *s, struct field_view *v)
{
	uint64_t matches = 0;
	double bare = run(NULL, v, &matches), with = run(s, v, &matches);

	printf("%-14s %12.0f %12.0f events/s %8.0f ns an event, %llu matches\n", name, bare, with,
	       1e9 / with - 1e9 / bare, (unsigned long long)matches);
}

int main(int argc, char **argv)
{
	struct field_view *v = field_view_new();
	struct rules_messages m = { 0 };
	struct rules *r = NULL;
	struct rules_state *s;
	size_t active = 0;

	if (rules_load((const char *const *)argv + 1, (size_t)argc - 1, &r, &m) < 0) {
		fputs(m.text.data ? m.text.data : "no memory\n", stderr);
		return 1;
	}
	s = rules_state_new(r);
	for (size_t i = 0; i < rules_count(r); i++)
		active += rules_get(r, i)->enabled;
	printf("%zu rules, %zu active\n%-14s %12s %12s\n", rules_count(r), active, "events", "walk alone",
	       "with rules");
	fill(true, false);
	measure("files", s, v);
	fill(false, true);
	measure("programs", s, v);
	fill(true, true);
	measure("half and half", s, v);
	rules_state_free(s);
	rules_unref(r);
	field_view_free(v);
	buf_free(&m.text);
	return 0;
}
