/* Which file a response is about, and where it can be reached. Inside of the responder. */
#ifndef RESPOND_FILE_H
#define RESPOND_FILE_H

#include "event/json.h"
#include "respond/internal.h"

struct file {
	struct quarantine_file what;
	char *path;
	uint8_t digest[32];
	int rootfd;
};

#define FILE_INIT                                                                                                      \
	{                                                                                                              \
		.rootfd = -1                                                                                           \
	}

/*
 * The file that was started, made or changed; of an event of another kind (a file was read) the program that did it. In
 * a container it is reached through the container's own view, so that the overlay learns of what is done. The digest is
 * that of its present content. RESULT_COUNT: found; else what the action came to, with a sentence in why: one that the
 * never-touch or keep list holds, or somebody vouches for, is refused.
 */
int file_find(struct respond *r, const struct response *x, struct file *ret, struct buf *why);
void file_close(struct file *f);

/* What a response is about, for meta.json and for programs. */
void file_describe(const struct response *x, json_t *o);
json_t *file_json(const struct response *x);

#endif
