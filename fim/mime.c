/*
 * libmagic behind one question. Owns one cookie, of one thread. Looks at bytes that were read already; opens no file
 * but the magic database.
 */
#include "fim/mime.h"

#include <errno.h>
#include <magic.h>
#include <stdlib.h>

#include "lib/util.h"

/* Nothing that runs a decompressor or parses containers: the bytes may be hostile, and the answer has to be cheap. */
#define MIME_FLAGS                                                                                                     \
	(MAGIC_MIME_TYPE | MAGIC_NO_CHECK_COMPRESS | MAGIC_NO_CHECK_TAR | MAGIC_NO_CHECK_APPTYPE |                     \
	 MAGIC_NO_CHECK_CDF | MAGIC_NO_CHECK_ELF | MAGIC_NO_CHECK_TOKENS | MAGIC_NO_CHECK_JSON | MAGIC_NO_CHECK_CSV)

struct mime {
	magic_t cookie;
	int failed; /* no magic database: not tried again */
};

int mime_new(struct mime **ret)
{
	struct mime *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	*ret = m;
	return 0;
}

void mime_free(struct mime *m)
{
	if (!m)
		return;
	if (m->cookie)
		magic_close(m->cookie);
	free(m);
}

static void mime_open(struct mime *m)
{
	m->cookie = magic_open(MIME_FLAGS);
	if (m->cookie && magic_load(m->cookie, NULL) == 0)
		return;
	m->failed = 1;
}

const char *mime_type(struct mime *m, const void *head, size_t len)
{
	if (!m->cookie && !m->failed)
		mime_open(m);
	if (m->failed)
		return NULL;
	return magic_buffer(m->cookie, head, MIN(len, MIME_HEAD));
}
