/*
 * The monitor: a table of parts, each with start and stop, started in order and stopped in reverse. Runs until SIGTERM,
 * SIGINT, `seconds`, or the control socket's stop. SIGHUP reloads.
 */
#ifndef DAEMON_DAEMON_H
#define DAEMON_DAEMON_H

#include "conf/conf.h"
#include "event/event.h"

struct daemon_options {
	struct conf *conf;
	const char *conf_file; /* for reload; NULL: none */
	const char *baseline;  /* name; NULL: "host" */
	const char *sensor;    /* NULL: best; "fanotify", "inotify" */
	uint64_t seconds;      /* end after; 0: never */
	bool json;	       /* output format on stdout */
	bool colour;
	bool quiet;	     /* nothing on stdout */
	bool force;	     /* exec.mode enforce also when nobody vouches for what is needed to log in */
	int32_t session;     /* what the gate cannot hold up is judged in this session alone; 0: everywhere */
	const char *rules;   /* file, folder or glob in place of the configuration's; NULL: none */
	const char *control; /* socket path; NULL: conf->control */
};

/* sysexits value. Messages through log.h. */
int daemon_run(const struct daemon_options *o);

#endif
