/*
 * Reads the content of an open regular file once: digest, MIME type from the same bytes, page cache given back.
 */
#ifndef FIM_CONTENT_H
#define FIM_CONTENT_H

#include "fim/mime.h"
#include "fim/read.h"

struct content {
	struct read_options o;
	struct digest *digest;
	struct digest *extra; /* a second one of the same bytes; NULL: not wanted */
	bool with_extra, has_extra;
	uint8_t extra_digest[DIGEST_MAX];
	uint64_t unanswered_ns; /* all the time spent waiting for types that did not come */
	uint8_t *buffer;
	bool no_cachestat; /* the kernel has no cachestat(2): Linux 6.5 */
};

int content_init(struct content *c, const struct read_options *o);
void content_done(struct content *c);

/*
 * Digest of the first rec->size bytes, and with `mime` the type of the first MIME_HEAD of them (in a). -ENODATA when
 * the file is shorter, -ECANCELED when step said so, or a negative errno of read.
 */
int content_digest(struct content *c, struct arena *a, int fd, bool mime, struct record *rec);
/* The MIME type alone. */
int content_mime(struct content *c, struct arena *a, int fd, struct record *rec);

#endif
