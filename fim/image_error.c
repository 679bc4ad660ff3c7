/* Texts of failures of the readers of images. No state; any thread. */
#include "fim/image_error.h"

#include <stdio.h>
#include <string.h>

#include "lib/text.h"

#define SHOWN_MAX 1024 /* bytes of a name */

static _printf_(2, 0) void fail_text(struct buf *err, const char *fmt, va_list ap)
{
	char text[512];

	vsnprintf(text, sizeof(text), fmt, ap);
	text_sanitize(err, text, strlen(text));
}

int image_fail(struct buf *err, int r, const char *fmt, ...)
{
	va_list ap;

	if (err->len)
		return r;
	va_start(ap, fmt);
	fail_text(err, fmt, ap);
	va_end(ap);
	return r;
}

int image_fail_name(struct buf *err, int r, const char *name, const char *fmt, ...)
{
	size_t len = strlen(name);
	va_list ap;

	if (err->len)
		return r;
	va_start(ap, fmt);
	fail_text(err, fmt, ap);
	va_end(ap);
	buf_str(err, ": ");
	text_escape(err, name, len > SHOWN_MAX ? SHOWN_MAX : len);
	if (len > SHOWN_MAX)
		buf_str(err, "...");
	return r;
}

void image_fail_where(struct buf *err, const char *fmt, ...)
{
	_cleanup_buf_ struct buf old = BUF_INIT;
	va_list ap;

	buf_add(&old, err->data, err->len);
	buf_reset(err);
	va_start(ap, fmt);
	fail_text(err, fmt, ap);
	va_end(ap);
	if (old.len)
		buf_printf(err, ": %s", old.data);
}
