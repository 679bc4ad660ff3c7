/*
 * What somebody mounted in a container over a file or folder of its image: who opens it sees something else, though
 * nothing in the writable layer changed. As one mount namespace of the container has it.
 */
#ifndef FIM_MOUNTED_H
#define FIM_MOUNTED_H

#include "db/baseline.h"
#include "event/container.h"
#include "fim/read.h"
#include "fim/scan.h"
#include "watch/mounts.h"

/* Behind the cause, when it is so. */
#define MOUNTED_OUTSIDE "; by a process outside of the container"

struct mounted_view {
	const struct container *container;
	const struct mount_table *table;
	bool second;		      /* not the namespace that the container was started in */
	struct baseline_reader *base; /* of its image */
	struct file_reader *files;
	struct arena *arena; /* of what is returned */
};

/* Its root is one of its own: where a runtime has not come so far yet, it is the host's still. */
bool mounted_is_entered(const struct mount_table *t);
/* The runtime mounts it, or something below it, as it wrote down. */
bool mounted_by_runtime(const struct mounted_view *v, const char *point);
/*
 * As the deviation that it is: REPLACED; before is what the image has there (NULL: nothing), after what is shown in its
 * place where that is a file of the container's own (else NULL: it is never touched). cause: what is mounted, in words.
 * 0 or -ENOMEM. ret->path is m's.
 */
int mounted_difference(const struct mounted_view *v, const struct mount *m, struct scan_difference *ret,
		       struct buf *cause);

#endif
