/*
 * What stands beside a long run: a progress line on a terminal (files, bytes, rate, time left), and SIGINT, SIGTERM and
 * SIGHUP, which end the run early instead of killing it.
 */
#ifndef CMD_PROGRESS_H
#define CMD_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "fim/scan.h"

struct progress_options {
	struct scan_progress *scan; /* read; its stop is set by a signal */
	const char *verb;	    /* "reading" */
	uint64_t expected;	    /* entries, while the walker is not through; 0: unknown */
	uint64_t expected_bytes;    /* that will be read; 0: unknown */
	bool quiet;		    /* no line: the signals only */
};

struct progress;

/* The line goes to stderr, and only when that is a terminal. 0 or a negative errno. */
int progress_start(const struct progress_options *o, struct progress **ret);
/* Removes the line, gives the signals back. NULL is fine. Returns the signal that ended the run, or 0. */
int progress_stop(struct progress *p);
static inline void progress_stopp(struct progress **p)
{
	progress_stop(*p);
}
#define _cleanup_progress_ __attribute__((cleanup(progress_stopp)))

#endif
