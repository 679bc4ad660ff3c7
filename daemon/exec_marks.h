/*
 * Which file systems the gate holds program starts on: those that the sensor marked, and, when these stand for the
 * whole host (they hold /usr/bin), every other local one too. Those that are watched for layers of containers are gated
 * for these alone. They follow mounts and configuration.
 */
#ifndef DAEMON_EXEC_MARKS_H
#define DAEMON_EXEC_MARKS_H

#include "daemon/monitor.h"
#include "exec/gate.h"

struct exec_marks;

/* The sensor's marks hold this device. */
bool exec_marks_covers(struct monitor *m, uint64_t dev);
/* Marks what there is, then follows the sensor's rounds on its thread. */
int exec_marks_start(struct monitor *m, struct gate *g, bool host, struct exec_marks **ret);
/* Other policies of containers. Main thread. */
void exec_marks_policies(struct exec_marks *x, const struct conf *conf);
/* Before the gate stops; nothing is followed any more when it returns. NULL does nothing. */
void exec_marks_stop(struct exec_marks *x);
size_t exec_marks_count(struct exec_marks *x);

#endif
