/*
 * Files that processes map to run, at whatever time, and those made executable after they were mapped: what the kernel
 * tells of them as perf events. One ring for each processor that is online at the start, read by the thread "mappings".
 */
#ifndef WATCH_MAPPINGS_H
#define WATCH_MAPPINGS_H

#include <stdint.h>

struct mappings;

/* Called on the thread, some milliseconds after. */
struct mappings_hooks {
	/* Of any process (in the initial pid namespace), also by exec; it may be gone, and the mapping too. */
	void (*mapped)(int32_t pid, uint64_t address, void *data);
	/* So many found no room. */
	void (*lost)(uint64_t n, void *data);
	void *data;
};

/* h: copied. What the kernel says where it does not tell (-EPERM, -EACCES, -ENOENT, -ENOSYS), -ENOMEM. */
int mappings_start(const struct mappings_hooks *h, struct mappings **ret);
/* When it returns no hook is being called any more. NULL is fine. */
void mappings_stop(struct mappings *m);

#endif
