/* The rules of a configuration: its files, loaded, with its selection in force. */
#ifndef ALERT_RULESET_H
#define ALERT_RULESET_H

#include "conf/conf.h"
#include "rules/rules.h"

/*
 * A folder stands for its *.yaml in the order of their names. What the configuration names has to be there; the default
 * files need not. only, when not NULL, is read in their place. Errors and warnings, one a line, are appended to
 * messages. 0, -EINVAL, -ENOMEM. Any thread.
 */
int ruleset_load(const struct conf *conf, const char *only, struct rules **ret, struct buf *messages);

/* The files themselves, in order, for commands; paths live in a. -EINVAL: something is not there (said). */
int ruleset_files(const struct conf *conf, const char *only, struct arena *a, const char *const **ret, size_t *ret_n,
		  struct buf *messages);

#endif
