/*
 * Opening the gate's fanotify group, or taking over the one that an earlier run opened. Before there are threads; it is
 * the owner of the descriptor who closes it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/fanotify.h>
#include <unistd.h>

#include "exec/gate-internal.h"
#include "lib/util.h"

/* FAN_INFO and FAN_RESPONSE_INFO_AUDIT_RULE, for builds with older headers. */
#define GATE_FAN_INFO	0x20
#define GATE_AUDIT_RULE 1

#define ORPHANS_MAX 65536 /* numbers of events that may wait: as many as the gate asks for descriptors */

/*
 * Where starts wait no descriptor of their process is asked for, which would be a fifth of the thread's work: it is
 * there until it is answered, and who is to be killed afterwards is known by what it runs. Earlier versions did ask.
 */
static const struct {
	const char *class;
	unsigned flags;
	bool enforce, earlier;
} groups[] = {
	{ "pre-content", FAN_CLASS_PRE_CONTENT | FAN_REPORT_FD_ERROR, true, false },
	{ "pre-content", FAN_CLASS_PRE_CONTENT, true, false },
	{ "content", FAN_CLASS_CONTENT, true, false },
	{ "notification", FAN_CLASS_NOTIF | FAN_REPORT_PIDFD | FAN_REPORT_FD_ERROR, false, false },
	{ "notification", FAN_CLASS_NOTIF | FAN_REPORT_PIDFD, false, false },
	{ "notification", FAN_CLASS_NOTIF, false, false },
	{ "pre-content", FAN_CLASS_PRE_CONTENT | FAN_REPORT_PIDFD | FAN_REPORT_FD_ERROR, true, true },
	{ "pre-content", FAN_CLASS_PRE_CONTENT | FAN_REPORT_PIDFD, true, true },
	{ "content", FAN_CLASS_CONTENT | FAN_REPORT_PIDFD, true, true },
};

/* Whether a start can be refused with an errno of ours: an answer to nobody is looked at all the same. */
static bool probe_deny_errno(int group)
{
	/* The only answer to nobody that the kernel checks carries an audit rule (linux/fanotify.h, 6.3). */
	const struct {
		struct fanotify_response answer;
		uint8_t type, pad;
		uint16_t len;
		uint32_t rule, subject_trust, object_trust;
	} r = { { FAN_NOFD, FAN_DENY_ERRNO(EBUSY) | GATE_FAN_INFO }, GATE_AUDIT_RULE, 0, 16, 0, 2, 2 };

	return write(group, &r, sizeof(r)) == sizeof(r);
}

static int open_new(struct gate *g)
{
	const unsigned common = FAN_CLOEXEC | FAN_NONBLOCK | FAN_UNLIMITED_QUEUE | FAN_UNLIMITED_MARKS;
	int r = -EINVAL;

	for (size_t i = 0; i < ARRAY_SIZE(groups) && r == -EINVAL; i++) {
		if (groups[i].enforce != g->o.enforce || groups[i].earlier)
			continue;
		/* O_NONBLOCK: or whoever has a write lease on a program keeps us waiting while we open it. */
		g->fanotify = fanotify_init(groups[i].flags | common, O_RDONLY | O_LARGEFILE | O_CLOEXEC | O_NONBLOCK);
		r = g->fanotify < 0 ? -errno : 0;
		g->class_name = groups[i].class;
		g->pidfds = groups[i].flags & FAN_REPORT_PIDFD;
	}
	return r;
}

/* How a group was opened, as fdinfo has it: "fanotify flags:FF event-flags:FF". */
static int group_flags(int group, unsigned *ret)
{
	_cleanup_fclose_ FILE *f = NULL;
	char line[256];

	snprintf(line, sizeof(line), "/proc/self/fdinfo/%d", group);
	f = fopen(line, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "fanotify flags:%x", ret) == 1)
			return 0;
	return -EMEDIUMTYPE;
}

/* The numbers of what was read there and never answered are not known: all are tried, before any of ours is one. */
static void answer_orphans(struct gate *g)
{
	struct judgement j;

	gate_by_policy(g, GATE_DEADLINE, &j);
	for (int fd = 0; fd < ORPHANS_MAX; fd++) {
		struct fanotify_response r = { .fd = fd, .response = gate_response(g, &j) };

		if (write(g->fanotify, &r, sizeof(r)) == sizeof(r))
			gate_count(g, COUNT_DEADLINES, 1);
	}
}

static int adopt_group(struct gate *g)
{
	const unsigned own = FAN_CLASS_PRE_CONTENT | FAN_CLASS_CONTENT | FAN_REPORT_PIDFD | FAN_REPORT_FD_ERROR;
	unsigned flags;
	int r = group_flags(g->o.group, &flags);

	for (size_t i = 0; i < ARRAY_SIZE(groups) && r == 0; i++) {
		if (!g->o.enforce || !groups[i].enforce || groups[i].flags != (flags & own))
			continue;
		g->fanotify = g->o.group;
		g->class_name = groups[i].class;
		g->pidfds = groups[i].flags & FAN_REPORT_PIDFD;
		return 0;
	}
	return -EMEDIUMTYPE;
}

int gate_open_group(struct gate *g, struct buf *err)
{
	int r = g->o.group > 0 ? adopt_group(g) : open_new(g);

	if (r == -EMEDIUMTYPE)
		buf_str(err, "the group that was kept for this start is no gate of ours");
	else if (r < 0)
		buf_printf(err, "fanotify_init: %s%s", strerror(-r), r == -EPERM ? " (CAP_SYS_ADMIN is needed)" : "");
	if (r < 0 || !g->o.enforce)
		return r;
	g->deny_errno = probe_deny_errno(g->fanotify);
	if (g->o.group > 0)
		answer_orphans(g);
	return 0;
}
