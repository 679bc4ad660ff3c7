/*
 * Which of the configuration's policies counts for a container, and what it leaves out. Pure; any thread.
 */
#ifndef CONF_POLICY_H
#define CONF_POLICY_H

#include "conf/conf.h"
#include "event/container.h"

/* The first policy that matches the container; NULL: none does. Borrowed. */
const struct conf_policy *conf_policy_of(const struct conf *conf, const struct container *c);
/* A pattern of the list matches the path in the container. */
bool conf_policy_matches(const struct conf_list *patterns, const char *path);
/*
 * What may change there: the path, or a folder above it, matches `exclude` of the policy; NULL: its default. A path of
 * 8 KiB and more is never left out.
 */
bool conf_policy_excludes(const struct conf_policy *p, const char *path);

#endif
