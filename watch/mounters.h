/* Who mounted and unmounted what: the last ones that the kernel told of. Belongs to its caller, lock and all. */
#ifndef WATCH_MOUNTERS_H
#define WATCH_MOUNTERS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/fanotify.h>

#include "event/process.h"
#include "lib/cleanup.h"

#define MOUNTERS_MAX 4096

struct mounter {
	uint64_t mount; /* as mountids_find */
	struct process *process;
	bool gone; /* unmounted by it */
};

struct mounters {
	struct mounter list[MOUNTERS_MAX];
	unsigned int n; /* counts up without end */
};

struct mounters *mounters_new(void);
void mounters_free(struct mounters *m);
/* An event of a FAN_REPORT_MNT group, with whoever it names; who may be NULL: then it is one that nobody is known of.
 */
void mounters_event(struct mounters *m, const struct fanotify_event_metadata *e, struct process *who);
/* A reference, or NULL. */
struct process *mounters_find(const struct mounters *m, uint64_t mount, bool gone);

DEFINE_CLEANUP(struct mounters *, mounters_free)

#endif
