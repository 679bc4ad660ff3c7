/*
 * Messages of the proc connector out of a datagram. No state; runs on the connector's thread, in tests and under the
 * fuzzer. Trusts no length and no alignment.
 */
#include <string.h>

#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>

#include "lib/util.h"
#include "watch/connector.h"

static void decode_event(const struct proc_event *ev, struct connector_msg *ret)
{
	switch (ev->what) {
	case PROC_EVENT_NONE:
		ret->err = ev->event_data.ack.err;
		break;
	case PROC_EVENT_FORK:
		ret->tid = ev->event_data.fork.child_pid;
		ret->tgid = ev->event_data.fork.child_tgid;
		ret->parent_tgid = ev->event_data.fork.parent_tgid;
		break;
	case PROC_EVENT_UID:
	case PROC_EVENT_GID:
		ret->real = ev->event_data.id.r.ruid;
		ret->effective = ev->event_data.id.e.euid;
		/* fallthrough */
	default:
		/* All others begin with thread and process. */
		ret->tid = ev->event_data.exec.process_pid;
		ret->tgid = ev->event_data.exec.process_tgid;
	}
}

int connector_decode(const void *data, size_t len, size_t *pos, struct connector_msg *ret)
{
	struct nlmsghdr h;
	struct cn_msg cn;
	struct proc_event ev;
	size_t have;

	if (*pos > len || len - *pos < NLMSG_LENGTH(sizeof(cn) + sizeof(ev)))
		return 0;
	memcpy(&h, (const char *)data + *pos, sizeof(h));
	if (h.nlmsg_len > len - *pos || h.nlmsg_len < NLMSG_LENGTH(sizeof(cn) + sizeof(ev)))
		return 0;
	memcpy(&cn, (const char *)data + *pos + NLMSG_HDRLEN, sizeof(cn));
	have = h.nlmsg_len - NLMSG_HDRLEN - sizeof(cn);
	if (cn.id.idx != CN_IDX_PROC || cn.id.val != CN_VAL_PROC || cn.len < sizeof(ev) || cn.len > have)
		return 0;
	/* The event follows 20 bytes of header and so is not aligned as its type wants. */
	memcpy(&ev, (const char *)data + *pos + NLMSG_HDRLEN + sizeof(cn), sizeof(ev));
	*pos += MIN((size_t)NLMSG_ALIGN(h.nlmsg_len), len - *pos);
	*ret = (struct connector_msg){ .what = ev.what,
				       .cpu = ev.cpu,
				       .seq = cn.seq,
				       .ack = cn.ack,
				       .sequenced = ev.cpu < CONNECTOR_CPU_MAX,
				       .mono_ns = ev.timestamp_ns };
	decode_event(&ev, ret);
	return 1;
}
