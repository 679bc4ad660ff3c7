/*
 * Output http: what is posted goes to a process that has a network and nothing else (role sink, daemon/role_sink.c) and
 * that is asked one request at a time. On the output's thread, which goes on taking alerts into the spool meanwhile.
 * The files of certificates and the key are read here, the network's bytes there.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alert/output.h"
#include "alert/post.h"

#define HTTP_FILE_MAX MIB

/* --- settings */

/* Content of a file of certificates or a key as a string, in b. */
static int http_read(struct output *o, const char *path, struct buf *b, const char **ret)
{
	_cleanup_close_ int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
	struct stat st;
	ssize_t n;

	if (!path)
		return 0;
	if (fd < 0 || fstat(fd, &st) < 0)
		return output_fail(o, -errno, path);
	if (!S_ISREG(st.st_mode) || st.st_size > (off_t)HTTP_FILE_MAX || !buf_reserve(b, (size_t)st.st_size))
		return output_fail(o, -EFBIG, path);
	n = pread(fd, b->data, (size_t)st.st_size, 0);
	if (n < 0)
		return output_fail(o, -errno, path);
	b->len = (size_t)n;
	b->data[n] = '\0';
	*ret = b->data;
	return 0;
}

static int http_settings(struct output *o, struct buf *ret)
{
	_cleanup_buf_ struct buf ca = BUF_INIT, cert = BUF_INIT, key = BUF_INIT;
	const struct conf_output *c = o->c;
	struct post_settings s = { .timeout = c->timeout, .url = c->url };
	int r = http_read(o, c->ca, &ca, &s.ca);

	if (r == 0)
		r = http_read(o, c->cert, &cert, &s.cert);
	if (r == 0)
		r = http_read(o, c->key, &key, &s.key);
	if (r < 0)
		return r;
	if (c->headers.n > POST_HEADERS_MAX)
		return output_fail(o, -E2BIG, "headers");
	s.n_headers = c->headers.n;
	for (size_t i = 0; i < s.n_headers; i++)
		s.headers[i] = c->headers.items[i];
	post_settings_encode(&s, ret);
	/* What was secret in there does not stay behind. */
	if (key.len)
		explicit_bzero(key.data, key.len);
	return ret->failed ? output_fail(o, -ENOMEM, "http") : 0;
}

/* --- requests */

static int http_open(struct output *o)
{
	_cleanup_buf_ struct buf settings = BUF_INIT;
	int r = http_settings(o, &settings);

	if (r == 0)
		r = output_sink_open(o, &settings);
	if (settings.len)
		explicit_bzero(settings.data, settings.len);
	return r;
}

static void http_body(const struct output *o, const struct buf *b, struct buf *ret)
{
	struct reader r = { (const uint8_t *)b->data, (const uint8_t *)b->data + b->len, false };
	const char *record;
	size_t len, n = 0;
	bool list = o->c->batch > 1;

	if (list)
		buf_char(ret, '[');
	while (output_next(&r, &record, &len)) {
		if (n++)
			buf_char(ret, ',');
		buf_add(ret, record, len);
	}
	if (list)
		buf_char(ret, ']');
}

static int http_send(struct output *o, const struct buf *b, size_t n _unused_)
{
	_cleanup_buf_ struct buf body = BUF_INIT;

	http_body(o, b, &body);
	return body.failed ? output_fail(o, -ENOMEM, "http") : output_sink_send(o, &body);
}

const struct output_type output_http = {
	.name = "http",
	.on_disk = true,
	.role = "sink",
	.open = http_open,
	.send = http_send,
	.close = output_sink_close,
};
