/*
 * MIME type of content by libmagic. Threads may share one: its magic database is some 10 MiB of memory, loaded at the
 * first question. The monitor asks the role inspect (lib/role.h), which has no rights; commands, which are started by
 * somebody, look at what he named and end, ask libmagic themselves.
 */
#ifndef FIM_MIME_H
#define FIM_MIME_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/arena.h"
#include "lib/cleanup.h"
#include "lib/role.h"

#define MIME_HEAD     4096 /* first bytes of a file that are looked at */
#define MIME_TYPE_MAX 96   /* longer ones are none */

struct mime;

int mime_new(struct mime **ret);
/* Asks that role, and nobody else; it is this object's from now on. */
int mime_new_role(struct role *role, struct mime **ret);
void mime_free(struct mime *m);
/*
 * Type of the first bytes of a file, in a; NULL when there is no answer (no magic database, or the role does not
 * answer, which is waited for a few seconds). A script is judged by its
 * first line and an ELF file by its identification alone.
 */
const char *mime_type(struct mime *m, struct arena *a, const void *head, size_t len);

/* What ROLE_TYPE_IS says; its sender may be somebody else's by now. NULL: no type. */
const char *mime_said(const struct role_message *m, char ret[MIME_TYPE_MAX]);

/* For who keeps one for long: gives the magic database back, or ends the role, when it was not asked for some time. It
 * comes back when it is. Never waits. */
void mime_rest(struct mime *m);
/* Any thread. False: there is no role. */
bool mime_get_role(struct mime *m, struct role_stats *ret);

DEFINE_CLEANUP(struct mime *, mime_free)

#endif
