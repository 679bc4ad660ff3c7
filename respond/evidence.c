/*
 * What is kept of a process before something is done to it. Everything is read through the descriptor of its /proc
 * folder, so it is of that process and no other. Runs on the responder's thread; reads no file system but /proc, except
 * for the program itself, through /proc/PID/exe.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "event/json.h"
#include "lib/text.h"
#include "lib/util.h"
#include "respond/quarantine-internal.h"

#define EVIDENCE_TEXT_MAX MIB
#define EVIDENCE_FDS_MAX  1024

static int evidence_write(struct quarantine_entry *e, const char *name, const struct buf *b)
{
	_cleanup_close_ int fd = -1;
	size_t at = 0;
	int r = b->failed ? -ENOMEM : quarantine_room(e, b->len);

	if (r < 0)
		return r;
	fd = openat(e->fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	while (at < b->len) {
		ssize_t n = write(fd, b->data + at, b->len - at);

		if (n < 0)
			return -errno;
		at += (size_t)n;
	}
	return 0;
}

/* NAME=VALUE with NULs between: the names alone, since values are where the secrets are. */
static void redact(const struct buf *in, struct buf *out)
{
	const char *p = in->data, *end = in->data + in->len;

	while (p < end) {
		size_t len = strnlen(p, (size_t)(end - p));
		const char *equals = memchr(p, '=', len);

		if (equals)
			text_escape(out, p, (size_t)(equals - p));
		/* What has no '=' is a value of somebody's making, or cut. */
		buf_str(out, equals ? "=(redacted)\n" : "(redacted)\n");
		p += len + 1;
	}
}

static const struct evidence_text {
	const char *name;
	bool redacted;
} evidence_texts[] = {
	{ "cmdline", false }, { "maps", false }, { "status", false }, { "cgroup", false }, { "environ", true },
};

static int evidence_text(struct quarantine_entry *e, const struct target *t, const struct evidence_text *text,
			 json_t *missing)
{
	_cleanup_buf_ struct buf raw = BUF_INIT, redacted = BUF_INIT;
	bool cut = false;
	int r = target_read(t, text->name, EVIDENCE_TEXT_MAX, &raw, &cut);

	if (r < 0 || cut)
		json_object_set_new(missing, text->name, json_string(cut ? "cut" : strerror(-r)));
	if (r < 0)
		return r == -ENOMEM ? r : 0;
	if (text->redacted && raw.len)
		redact(&raw, &redacted);
	return evidence_write(e, text->name, text->redacted ? &redacted : &raw);
}

/* "3 /path" for each open file. */
static int evidence_fds(struct quarantine_entry *e, const struct target *t)
{
	_cleanup_close_ int fd = openat(t->dirfd, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_closedir_ DIR *d = fd < 0 ? NULL : fdopendir(fd);
	_cleanup_buf_ struct buf b = BUF_INIT;
	struct dirent *entry;
	unsigned left = EVIDENCE_FDS_MAX;

	if (!d)
		return 0;
	TAKE_FD(fd);
	while (left-- && (entry = readdir(d))) {
		char link[PATH_MAX];
		ssize_t n = entry->d_name[0] == '.' ? 0 : readlinkat(dirfd(d), entry->d_name, link, sizeof(link));

		if (n <= 0)
			continue;
		buf_printf(&b, "%s ", entry->d_name);
		text_escape(&b, link, (size_t)n);
		buf_char(&b, '\n');
	}
	return evidence_write(e, "fds", &b);
}

/* The program as it runs, from where the kernel has it: its name may be gone or another's. */
static int evidence_exe(struct quarantine_entry *e, const struct target *t, json_t *process, json_t *missing)
{
	_cleanup_close_ int in = openat(t->dirfd, "exe", O_RDONLY | O_NONBLOCK | O_CLOEXEC), out = -1;
	uint8_t digest[32];
	uint64_t size;
	struct stat st;
	char link[PATH_MAX];
	ssize_t n = readlinkat(t->dirfd, "exe", link, sizeof(link) - 1);
	int r;

	if (n > 0) {
		link[n] = '\0';
		json_put_string(process, "exe", link);
	}
	if (in < 0 || fstat(in, &st) < 0) {
		json_object_set_new(missing, "exe", json_string(strerror(errno)));
		return 0;
	}
	if ((uint64_t)st.st_size > e->q->bounds.file) {
		json_object_set_new(missing, "exe", json_string("too large"));
		return 0;
	}
	r = quarantine_room(e, (uint64_t)st.st_size);
	if (r < 0)
		return r;
	out = openat(e->fd, "exe", O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	r = out < 0 ? -errno : copy_fd(in, out, e->q->bounds.file, digest, &size);
	if (r == 0 && fsync(out) < 0)
		r = -errno;
	if (r < 0) {
		json_object_set_new(missing, "exe", json_string(strerror(-r)));
		return r == -ENOSPC || r == -EDQUOT || r == -ENOMEM ? r : 0;
	}
	quarantine_put_digest(process, "sha256", digest, sizeof(digest));
	return 0;
}

int quarantine_evidence(struct quarantine_entry *e, const struct target *t)
{
	json_t *process = json_object(), *missing = json_object();
	int r = 0;

	if (target_wait(t, 0) == 0)
		r = -ESRCH;
	json_object_set_new(process, "pid", json_integer(t->pid));
	json_object_set_new(process, "start_ns", json_u64(t->start_ns));
	for (size_t i = 0; i < ARRAY_SIZE(evidence_texts) && r == 0; i++)
		r = evidence_text(e, t, &evidence_texts[i], missing);
	if (r == 0)
		r = evidence_fds(e, t);
	if (r == 0)
		r = evidence_exe(e, t, process, missing);
	if (json_object_size(missing))
		json_object_set(process, "missing", missing);
	json_decref(missing);
	json_object_set_new(e->meta, "process", process);
	return r;
}
