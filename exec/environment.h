/*
 * What of a process's environment makes the dynamic loader run code that the program does not name. Any bytes are safe;
 * no more is kept than a few values.
 */
#ifndef EXEC_ENVIRONMENT_H
#define EXEC_ENVIRONMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/buf.h"

#define ENVIRONMENT_TEXT_MAX 1024 /* of what is told, about */

struct environment {
	struct buf said; /* "LD_PRELOAD=/tmp/x.so LD_AUDIT=...", escaped; len 0: nothing of the kind is set */
	bool cut;	 /* there was more of it */
	size_t len;	 /* of entry */
	bool over;	 /* the present entry is longer than what is kept of it */
	char entry[512];
};

/* The environment in pieces, each string with its NUL; then the end. The caller frees said. */
void environment_add(struct environment *e, const char *data, size_t len);
void environment_end(struct environment *e);

/*
 * That of a process, from procfd ("/proc"), up to 6 MiB, which is what the kernel takes. 0; -ESRCH: gone, or it has
 * none any more; another negative errno. Where the loader runs in secure mode, in which it does not follow most of
 * this, the text says so.
 */
int environment_read(int procfd, int32_t pid, struct environment *ret);

#endif
