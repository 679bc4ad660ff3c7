/* The head file (head.h). Any thread; writers exclude each other by a lock on the folder. */
#include "db/head.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "conf/conf.h"
#include "lib/text.h"

#define HEAD_WORD "holdfast-head 1 "

static int unhex(const char **p, uint8_t *ret, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned v = 0;

		for (int k = 0; k < 2; k++, (*p)++) {
			char c = **p;

			if (c >= '0' && c <= '9')
				v = v * 16 + (unsigned)(c - '0');
			else if (c >= 'a' && c <= 'f')
				v = v * 16 + (unsigned)(c - 'a') + 10;
			else
				return -EBADMSG;
		}
		ret[i] = (uint8_t)v;
	}
	return *(*p)++ == ' ' ? 0 : -EBADMSG;
}

static int parse(const char *text, struct head *ret)
{
	const char *p = text + strlen(HEAD_WORD);
	char *end;

	if (strncmp(text, HEAD_WORD, strlen(HEAD_WORD)) != 0 || *p < '1' || *p > '9')
		return -EBADMSG;
	errno = 0;
	ret->seq = strtoll(p, &end, 10);
	if (errno || *end != ' ')
		return -EBADMSG;
	p = end + 1;
	return unhex(&p, ret->digest, sizeof(ret->digest)) < 0 ? -EBADMSG
							       : unhex(&p, ret->signature, sizeof(ret->signature));
}

int head_read(const char *path, struct head *ret)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	char text[512];
	ssize_t n;

	if (fd < 0)
		return errno == ELOOP ? -EBADMSG : -errno;
	n = read(fd, text, sizeof(text) - 1);
	if (n < 0)
		return errno == EISDIR ? -EBADMSG : -errno;
	text[n] = '\0';
	return parse(text, ret);
}

static void format(struct buf *b, const struct batch *batch)
{
	char time[TEXT_TIME_MAX];

	buf_printf(b, HEAD_WORD "%lld ", (long long)batch->seq);
	buf_hex(b, batch->digest, sizeof(batch->digest));
	buf_char(b, ' ');
	buf_hex(b, batch->signature, sizeof(batch->signature));
	text_time(time, batch->time, 3);
	buf_printf(b, " %s\n", time);
}

static int replace(int dir, const char *name, const struct buf *text, bool sync)
{
	_cleanup_buf_ struct buf tmp = BUF_INIT;
	_cleanup_close_ int fd = -1;
	int r = 0;

	buf_printf(&tmp, "%s" CONF_NEW, name);
	if (tmp.failed)
		return -ENOMEM;
	unlinkat(dir, tmp.data, 0);
	fd = openat(dir, tmp.data, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	/* One short write: it is whole or the disk is full. */
	if (write(fd, text->data, text->len) != (ssize_t)text->len)
		r = -ENOSPC;
	if (r == 0 && sync && fsync(fd) < 0)
		r = -errno;
	if (r == 0 && renameat(dir, tmp.data, dir, name) < 0)
		r = -errno;
	if (r < 0)
		unlinkat(dir, tmp.data, 0);
	else if (sync && fsync(dir) < 0)
		r = -errno;
	return r;
}

int head_write(const char *path, const struct batch *b, bool sync)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	_cleanup_buf_ struct buf folder = BUF_INIT;
	_cleanup_close_ int dir = -1;
	const char *slash = strrchr(path, '/');
	struct head now;

	buf_add(&folder, path, slash ? (size_t)(slash - path) + 1 : 0);
	buf_char(&folder, '.');
	format(&text, b);
	if (text.failed || folder.failed)
		return -ENOMEM;
	dir = open(folder.data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 || flock(dir, LOCK_EX) < 0)
		return -errno;
	if (head_read(path, &now) == 0 && now.seq >= b->seq)
		return 0;
	return replace(dir, slash ? slash + 1 : path, &text, sync);
}
