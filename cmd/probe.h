/*
 * The probes of holdfast doctor: each tries the real thing in a child process with a time limit, so that nothing that
 * hangs or dies takes the report with it.
 */
#ifndef CMD_PROBE_H
#define CMD_PROBE_H

#include <stddef.h>

enum probe_answer { PROBE_OK, PROBE_MISSING, PROBE_UNKNOWN };

#define PROBE_TEXT 256

struct probe_result {
	enum probe_answer answer;
	char detail[PROBE_TEXT];
};

struct probe {
	const char *name;
	/* What is lost without it. */
	const char *consequence;
	void (*run)(struct probe_result *r);
};

/* probe_roles.c */
void probe_inspect(struct probe_result *r);
void probe_sink(struct probe_result *r);
void probe_unpack(struct probe_result *r);

extern const struct probe probe_table[];
extern const size_t probe_count;

/* Runs it in a child. A probe that does not end in time, or dies, is PROBE_UNKNOWN and says so. */
void probe_run(const struct probe *p, struct probe_result *ret);
/* The same for one mount point: whether the group of the monitor takes a mark on its file system. */
void probe_mark(const char *mountpoint, struct probe_result *ret);

#endif
