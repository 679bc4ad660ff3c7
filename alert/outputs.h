/*
 * Where alerts go. Each output of the configuration has a thread ("out-NAME"), a queue and a spool of its own: one that
 * hangs, refuses or is gone holds up neither whoever raises alerts nor another output.
 */
#ifndef ALERT_OUTPUTS_H
#define ALERT_OUTPUTS_H

#include "alert/alert.h"
#include "conf/conf.h"
#include "lib/role.h"
#include "lib/spawner.h"

struct outputs;

struct outputs_stats {
	const char *name, *type; /* borrowed for the call */
	uint64_t delivered, failures;
	uint64_t lost;	  /* no room, or refused for good */
	uint64_t pending; /* in the spool */
	size_t queue;
	bool failing;
	char why[160]; /* the last failure */
	bool has_role;
	struct role_stats role; /* of the process that sends */
};

struct outputs_options {
	const struct conf *conf;
	const char *state_dir;	 /* spools are in its folder "spool"; NULL: in memory */
	struct spawner *spawner; /* for programs and roles; NULL: there can be none */
	/* On the output's thread: begin and end of an episode of loss. NULL: not told. */
	void (*lost)(const char *name, bool losing, uint64_t lost, void *data);
	/* The same: the process that sends died, or did not answer. NULL: not told. */
	void (*role)(const char *name, bool failing, const char *why, void *data);
	void *data;
};

/* Negative errno, with text in err. What spools hold is sent first. */
int outputs_start(const struct outputs_options *o, struct outputs **ret, struct buf *err);
/* References a. Any thread; never blocks. */
void outputs_put(struct outputs *os, struct alert *a);
/* Files are opened anew. Any thread. */
void outputs_reopen(struct outputs *os);
/* Sends what can be sent within a moment. */
void outputs_stop(struct outputs *os);
size_t outputs_count(const struct outputs *os);
void outputs_get_stats(struct outputs *os, size_t i, struct outputs_stats *ret);
/* The same outputs, in the same order, under both configurations? */
bool outputs_same(const struct conf *a, const struct conf *b);

DEFINE_CLEANUP(struct outputs *, outputs_stop)

#endif
