/*
 * MIME type of content by libmagic. Threads may share one: its magic database is some 10 MiB of memory, loaded at the
 * first question.
 */
#ifndef FIM_MIME_H
#define FIM_MIME_H

#include <stddef.h>

#include "lib/arena.h"
#include "lib/cleanup.h"

#define MIME_HEAD 4096 /* first bytes of a file that are looked at */

struct mime;

int mime_new(struct mime **ret);
void mime_free(struct mime *m);
/*
 * Type of the first bytes of a file, in a; NULL when there is no answer (no magic database). A script is judged by its
 * first line and an ELF file by its identification alone.
 */
const char *mime_type(struct mime *m, struct arena *a, const void *head, size_t len);

/* For who keeps one for long: gives the magic database back when it was not asked for some time. Loaded again when it
 * is. */
void mime_rest(struct mime *m);

DEFINE_CLEANUP(struct mime *, mime_free)

#endif
