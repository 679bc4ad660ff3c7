/*
 * Layers that a store has unpacked (containers/storage, docker): headers and padding are kept beside (tar-split),
 * contents lie in diff/. The role unpack decompresses the former. Put together they are the archive again, byte for
 * byte, and its digest says so. One thread; the files are hostile, and nothing outside of diff/ is opened.
 */
#include "fim/image_split.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/stat.h>

#include "fim/image_error.h"
#include "fim/read.h"
#include "lib/cleanup.h"

#define LINE_MAX_LEN (4 * MIB) /* of tar-split: a header in base 64 */

void image_split_close(struct image_split *s)
{
	int *const fds[] = { &s->packed, &s->diff, &s->file };

	if (s->unpack)
		image_pass_free(TAKE_PTR(s->unpack));
	if (s->stream)
		image_stream_free(TAKE_PTR(s->stream));
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
	buf_reset(&s->lines);
	buf_reset(&s->out);
	s->at = s->given = 0;
	s->content.left = 0;
	s->ended = false;
}

void image_split_free(struct image_split *s)
{
	image_split_close(s);
	buf_free(&s->lines);
	buf_free(&s->out);
}

static int split_bad(struct image_split *s, const char *what)
{
	return image_fail(s->err, -EBADMSG, "tar-split: %s", what);
}

/* The next line, without its newline; 0 at the end. */
static int next_line(struct image_split *s, char **ret, size_t *ret_len)
{
	char *start, *newline;

	for (;;) {
		uint8_t data[32 * KIB];
		ssize_t n;

		start = s->lines.len > s->at ? s->lines.data + s->at : NULL;
		newline = start ? memchr(start, '\n', s->lines.len - s->at) : NULL;
		if (newline || (s->ended && start)) {
			*ret = start;
			*ret_len = newline ? (size_t)(newline - start) : s->lines.len - s->at;
			s->at += *ret_len + (newline != NULL);
			return 1;
		}
		if (s->ended)
			return 0;
		if (s->at > 0) {
			memmove(s->lines.data, s->lines.data + s->at, s->lines.len - s->at);
			s->lines.len -= s->at;
			s->at = 0;
		}
		if (s->lines.len > LINE_MAX_LEN)
			return split_bad(s, "a line without end");
		n = image_pass_read(s->unpack, data, sizeof(data));
		if (n < 0)
			return (int)n;
		s->ended = n == 0;
		buf_add(&s->lines, data, (size_t)n);
		if (s->lines.failed)
			return -ENOMEM;
	}
}

static int decode(const char *text, struct buf *ret)
{
	size_t len = strlen(text);
	int n;

	buf_reset(ret);
	if (len % 4 || len > LINE_MAX_LEN || !buf_reserve(ret, len / 4 * 3 + 4))
		return len % 4 ? -EBADMSG : -ENOMEM;
	n = EVP_DecodeBlock((unsigned char *)ret->data, (const unsigned char *)text, (int)len);
	if (n < 0)
		return -EBADMSG;
	/* It counts the padding as bytes. */
	n -= len > 0 && text[len - 1] == '=';
	n -= len > 1 && text[len - 2] == '=';
	ret->len = (size_t)n;
	ret->data[n] = '\0';
	return 0;
}

/* The content of a file, from where it is unpacked. Below diff/ only, whatever its name says. */
static int open_content(struct image_split *s, const char *name, uint64_t size)
{
	_cleanup_close_ int dirfd = -1;
	_cleanup_buf_ struct buf path = BUF_INIT;
	const char *last;
	struct stat st;
	int r;

	while (strncmp(name, "./", 2) == 0)
		name += 2;
	/* Components are not followed through links, but ".." is one of them. */
	if (strstr(name, "..") && (strncmp(name, "../", 3) == 0 || strstr(name, "/../")))
		return image_fail_name(s->err, -EBADMSG, name, "leaves the tree");
	buf_printf(&path, "/%s", name);
	if (path.failed)
		return -ENOMEM;
	r = file_open_parent(s->diff, path.data, &dirfd, &last);
	if (r == 0 && (!*last || streq(last, "..")))
		r = -EINVAL;
	if (r == 0) {
		s->file = openat(dirfd, last, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW);
		r = s->file < 0 ? -errno : fstat(s->file, &st) < 0 ? -errno : 0;
	}
	if (r < 0)
		return image_fail_name(s->err, -EBADMSG, name, "the store has it unpacked no longer (%s)",
				       strerror(-r));
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != size)
		return image_fail_name(s->err, -EBADMSG, name, "what is unpacked in the store is another file");
	s->content = (struct image_range){ s->file, 0, size };
	return 0;
}

static int file_entry(struct image_split *s, json_t *o)
{
	json_int_t size = json_integer_value(json_object_get(o, "size"));
	const char *name = json_string_value(json_object_get(o, "name"));
	const char *raw = json_string_value(json_object_get(o, "name_raw"));
	_cleanup_buf_ struct buf bytes = BUF_INIT;

	if (size <= 0)
		return 0;
	if (raw && decode(raw, &bytes) < 0)
		return split_bad(s, "a name");
	if (raw ? memchr(bytes.data, '\0', bytes.len) != NULL : !name)
		return split_bad(s, "a name");
	return open_content(s, raw ? bytes.data : name, (uint64_t)size);
}

static int entry(struct image_split *s, const char *line, size_t len)
{
	json_error_t error;
	json_t *o = json_loadb(line, len, 0, &error);
	json_int_t type = json_integer_value(json_object_get(o, "type"));
	const char *payload = json_string_value(json_object_get(o, "payload"));
	int r = 0;

	if (type == 2)
		r = payload ? decode(payload, &s->out) : 0;
	else if (type == 1)
		r = file_entry(s, o);
	else
		r = -EBADMSG;
	json_decref(o);
	return r == -EBADMSG ? split_bad(s, "an entry of no known form") : r;
}

static ssize_t split_read(void *ctx, uint8_t *data, size_t room)
{
	struct image_split *s = ctx;

	for (;;) {
		size_t n = MIN(room, s->out.len - s->given), len;
		char *line;
		int r;

		if (n > 0) {
			memcpy(data, s->out.data + s->given, n);
			s->given += n;
			return (ssize_t)n;
		}
		if (s->content.left > 0)
			return image_range_read(&s->content, data, room);
		if (s->file >= 0)
			close(TAKE_FD(s->file));
		buf_reset(&s->out);
		s->given = 0;
		r = next_line(s, &line, &len);
		if (r <= 0)
			return r;
		r = len ? entry(s, line, len) : 0;
		if (r < 0)
			return r;
	}
}

int image_split_open(struct image_split *s, struct image_roles *roles, int packed, int diff, struct buf *err,
		     struct image_bytes *ret)
{
	struct image_bytes bytes = { image_range_read, &s->range };
	struct stat st;
	int r;

	s->packed = packed;
	s->diff = diff;
	s->err = err;
	if (fstat(packed, &st) < 0)
		return -errno;
	s->range = (struct image_range){ packed, 0, (uint64_t)st.st_size };
	r = image_stream_new(&bytes, DIGEST_SHA256, &s->stream);
	if (r == 0)
		r = image_pass_new(roles, IMAGE_ROLE_SPLIT, IMAGE_WORK_GZIP, DIGEST_SHA256, s->stream, err, &s->unpack);
	if (r == 0)
		*ret = (struct image_bytes){ split_read, s };
	return r;
}
