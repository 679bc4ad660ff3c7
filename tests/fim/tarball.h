/* Tar archives for tests, byte by byte, good and bad ones. */
#ifndef TESTS_FIM_TARBALL_H
#define TESTS_FIM_TARBALL_H

#include "tests/test.h"

#include <stdio.h>

#include "fim/image_tar.h"
#include "lib/buf.h"

struct tarball_header {
	char type;
	const char *name, *link;
	unsigned mode;
	unsigned long uid, gid, mtime;
	unsigned long long size;
	unsigned major, minor;
};

static inline void tarball_checksum(uint8_t *b)
{
	unsigned sum = 0;

	memset(b + 148, ' ', 8);
	for (size_t i = 0; i < 512; i++)
		sum += b[i];
	snprintf((char *)b + 148, 8, "%06o", sum);
}

static inline void tarball_block(struct buf *b, const struct tarball_header *h)
{
	char block[513] = "";

	strncpy(block, h->name, 100);
	snprintf(block + 100, 8, "%07o", h->mode);
	snprintf(block + 108, 8, "%07lo", h->uid);
	snprintf(block + 116, 8, "%07lo", h->gid);
	snprintf(block + 124, 12, "%011llo", h->size);
	snprintf(block + 136, 12, "%011lo", h->mtime);
	block[156] = h->type;
	strncpy(block + 157, h->link ? h->link : "", 100);
	memcpy(block + 257, "ustar\00000", 8);
	snprintf(block + 329, 8, "%07o", h->major);
	snprintf(block + 337, 8, "%07o", h->minor);
	tarball_checksum((uint8_t *)block);
	buf_add(b, block, 512);
}

static inline void tarball_content(struct buf *b, const void *data, size_t len)
{
	static const char zeros[512];

	buf_add(b, data, len);
	buf_add(b, zeros, -len % 512);
}

static inline void tarball_end(struct buf *b)
{
	static const char zeros[1024];

	buf_add(b, zeros, sizeof(zeros));
}

static inline void tarball_entry(struct buf *b, char type, const char *name, const char *link, const char *content)
{
	size_t len = content ? strlen(content) : 0;
	struct tarball_header h = { type, name, link, type == '5' ? 0755 : 0644, 0, 0, 1700000000, len, 0, 0 };

	tarball_block(b, &h);
	tarball_content(b, content ? content : "", len);
}

/* Records as "key=value" in a NULL-terminated list; one header 'x' in front of the next entry. */
static inline void tarball_pax(struct buf *b, const char *const *records)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	struct tarball_header h = { .type = 'x', .name = "pax" };

	for (; *records; records++) {
		size_t body = strlen(*records) + 2, digits = 1, len;

		for (len = body + digits; (size_t)snprintf(NULL, 0, "%zu", len) != digits; len = body + digits)
			digits++;
		buf_printf(&text, "%zu %s\n", len, *records);
	}
	h.size = text.len;
	tarball_block(b, &h);
	tarball_content(b, text.data, text.len);
}

/* --- reading one from memory, in pieces of odd sizes */

struct tarball_source {
	const uint8_t *p;
	size_t left, piece;
};

static inline ssize_t tarball_next(void *data, const uint8_t **ret)
{
	struct tarball_source *s = data;
	size_t n = MIN(s->left, s->piece);

	*ret = s->p;
	s->p += n;
	s->left -= n;
	return (ssize_t)n;
}

#endif
