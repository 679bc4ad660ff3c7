/*
 * Reads an environment as it was given to a program: soon after the exec, on the thread that is told of it. The process
 * can write to that memory: what it does later is not seen, what it did before is.
 */
#include "exec/environment.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/text.h"
#include "lib/util.h"

#define READ_MAX (6 * MIB) /* the kernel takes three quarters of 8 MiB for argv and environment together */

static const char *const names[] = { "LD_PRELOAD=", "LD_AUDIT=", "LD_LIBRARY_PATH=" };

static bool is_told(const char *entry)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		size_t len = strlen(names[i]);

		if (strncmp(entry, names[i], len) == 0 && entry[len])
			return true;
	}
	return false;
}

static void end_entry(struct environment *e)
{
	bool over = e->over;

	e->entry[e->len] = '\0';
	e->len = 0;
	e->over = false;
	if (!is_told(e->entry))
		return;
	if (e->said.len >= ENVIRONMENT_TEXT_MAX) {
		e->cut = true;
		return;
	}
	if (e->said.len)
		buf_str(&e->said, " ");
	text_escape(&e->said, e->entry, strlen(e->entry));
	if (over)
		buf_str(&e->said, "...");
}

void environment_add(struct environment *e, const char *data, size_t len)
{
	while (len) {
		const char *end = memchr(data, '\0', len);
		size_t n = end ? (size_t)(end - data) : len, room = sizeof(e->entry) - 1 - e->len;

		memcpy(e->entry + e->len, data, MIN(n, room));
		e->len += MIN(n, room);
		e->over |= n > room;
		if (!end)
			return;
		end_entry(e);
		data += n + 1;
		len -= n + 1;
	}
}

void environment_end(struct environment *e)
{
	if (e->len)
		end_entry(e);
	if (e->cut)
		buf_str(&e->said, " ...");
}

static int open_of(int procfd, int32_t pid, const char *name)
{
	char path[40];

	snprintf(path, sizeof(path), "%d/%s", pid, name);
	return openat(procfd, path, O_RDONLY | O_CLOEXEC);
}

/* The kernel's word for it: the program has other rights than who started it. */
static bool is_secure(int procfd, int32_t pid)
{
	_cleanup_close_ int fd = open_of(procfd, pid, "auxv");
	ElfW(auxv_t) v[64];
	ssize_t n = fd < 0 ? -1 : read(fd, v, sizeof(v));

	for (ssize_t i = 0; i < n / (ssize_t)sizeof(v[0]); i++)
		if (v[i].a_type == AT_SECURE)
			return v[i].a_un.a_val != 0;
	return false;
}

static bool runs_something(int procfd, int32_t pid)
{
	char path[40], link[2];

	snprintf(path, sizeof(path), "%d/exe", pid);
	return readlinkat(procfd, path, link, sizeof(link)) > 0;
}

int environment_read(int procfd, int32_t pid, struct environment *ret)
{
	_cleanup_close_ int fd = open_of(procfd, pid, "environ");
	char piece[4096];
	size_t total = 0;
	ssize_t n;

	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	while (total < READ_MAX && (n = read(fd, piece, sizeof(piece))) != 0) {
		if (n < 0)
			return -errno;
		environment_add(ret, piece, (size_t)n);
		total += (size_t)n;
	}
	/* A process that has ended gives up its memory before its name. */
	if (total == 0 && !runs_something(procfd, pid))
		return -ESRCH;
	environment_end(ret);
	if (ret->said.len && is_secure(procfd, pid))
		buf_str(&ret->said, " (secure mode)");
	return 0;
}
