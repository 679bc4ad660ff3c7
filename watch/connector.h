/*
 * The netlink proc connector (initial network and pid namespace, CAP_NET_ADMIN): feeds a proc_table on a thread of its own ("proc"),
 * which reads /proc at once after each exec. Lost messages (ENOBUFS, sequence gaps per CPU) are counted and told; the table is
 * then scanned anew.
 */
#ifndef WATCH_CONNECTOR_H
#define WATCH_CONNECTOR_H

#include "lib/buf.h"
#include "proc/table.h"

struct connector;

struct connector_stats {
	uint64_t messages, lost, overflows;
};

/* lost: called on the connector's thread when messages were lost (n: how many, 0 unknown). -EPERM, -ENOTSUP... with text in err. */
int connector_start(struct proc_table *t, void (*lost)(uint64_t n, void *data), void *data, struct connector **ret,
		    struct buf *err);
void connector_stop(struct connector *c);
void connector_get_stats(struct connector *c, struct connector_stats *ret);

#endif
