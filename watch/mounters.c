/* A ring of mounts, newest last. No system calls. */
#include "watch/mounters.h"

#include <stdlib.h>
#include <string.h>

#include "lib/util.h"
#include "watch/fan.h"

struct mounters *mounters_new(void)
{
	return calloc(1, sizeof(struct mounters));
}

void mounters_free(struct mounters *m)
{
	for (size_t i = 0; m && i < MOUNTERS_MAX; i++)
		if (m->list[i].process)
			process_unref(m->list[i].process);
	free(m);
}

static void note(struct mounters *m, uint64_t mount, bool gone, struct process *who)
{
	struct mounter *slot = &m->list[m->n++ % MOUNTERS_MAX];

	if (slot->process)
		process_unref(slot->process);
	*slot = (struct mounter){ mount, process_ref(who), gone };
}

void mounters_event(struct mounters *m, const struct fanotify_event_metadata *e, struct process *who)
{
	const char *at = (const char *)e + e->metadata_len, *end = (const char *)e + e->event_len;
	struct {
		struct fanotify_event_info_header head;
		uint64_t mount;
	} info;

	for (; who && end - at >= (ptrdiff_t)sizeof(info.head); at += info.head.len) {
		memcpy(&info.head, at, sizeof(info.head));
		if (info.head.len < sizeof(info.head) || info.head.len > end - at)
			return;
		if (info.head.info_type != FAN_EVENT_INFO_TYPE_MNT || info.head.len < sizeof(info))
			continue;
		memcpy(&info, at, sizeof(info));
		if (e->mask & FAN_MNT_DETACH)
			note(m, info.mount, true, who);
		if (e->mask & FAN_MNT_ATTACH)
			note(m, info.mount, false, who);
	}
}

struct process *mounters_find(const struct mounters *m, uint64_t mount, bool gone)
{
	for (unsigned int i = 0; mount && i < MIN(m->n, (unsigned int)MOUNTERS_MAX); i++) {
		const struct mounter *who = &m->list[(m->n - 1 - i) % MOUNTERS_MAX];

		if (who->mount == mount && who->gone == gone)
			return process_ref(who->process);
	}
	return NULL;
}
