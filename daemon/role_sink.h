/* The parts of the role sink that send: role_sink_curl.c, role_sink_curl-none.c; role_sink_syslog.c. Inside daemon/
 * only. */
#ifndef DAEMON_ROLE_SINK_H
#define DAEMON_ROLE_SINK_H

#include "alert/post.h"

/* Loads what is needed while there are files. */
int sink_prepare(void);
/* Strings in s are borrowed, also by sink_post. Text of what is wrong in why. */
enum post_outcome sink_settings(const struct post_settings *s, char why[160]);
/* Posts, and waits for the answer. */
enum post_outcome sink_post(const struct buf *body, char why[160]);
/* The same for udp:// and tcp://: a body is a message of syslog. */
enum post_outcome sink_syslog_settings(const struct post_settings *s, char why[160]);
enum post_outcome sink_syslog_post(const struct buf *body, char why[160]);

#endif
