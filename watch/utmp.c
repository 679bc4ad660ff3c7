/*
 * Reading utmp, wtmp and btmp. Of one thread. Holds no descriptor between two reads: the files are rotated.
 */
#include "watch/utmp.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utmp.h>

#include "lib/clock.h"

#define RECORD ((off_t)sizeof(struct utmp))

/* Who is on a terminal. */
struct line {
	char line[UT_LINESIZE], user[UT_NAMESIZE];
	int32_t pid;
};

struct utmp_file {
	char *path;
	enum utmp_kind kind;
	bool known; /* it was read before */
	dev_t dev;
	ino_t ino;
	off_t at; /* of a log: what was read */
	uint64_t since;
	size_t n_lines, next_line;
	struct line lines[UTMP_LINES_MAX];
	struct utmp records[UTMP_RECORDS_MAX];
};

static enum utmp_kind kind_of(const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;

	return strncmp(name, "btmp", 4) == 0 ? UTMP_FAILED : strncmp(name, "utmp", 4) == 0 ? UTMP_NOW : UTMP_LOG;
}

int utmp_open(const char *path, uint64_t since, struct utmp_file **ret)
{
	_cleanup_(utmp_close_p) struct utmp_file *u = calloc(1, sizeof(*u));

	if (u)
		u->path = strdup(path);
	if (!u || !u->path)
		return -ENOMEM;
	u->kind = kind_of(path);
	u->since = since;
	*ret = TAKE_PTR(u);
	return 0;
}

void utmp_close(struct utmp_file *u)
{
	if (!u)
		return;
	free(u->path);
	free(u);
}

const char *utmp_path(const struct utmp_file *u)
{
	return u->path;
}

/* --- who is where */

static struct line *line_find(struct utmp_file *u, const char line[UT_LINESIZE])
{
	for (size_t i = 0; i < u->n_lines; i++)
		if (strncmp(u->lines[i].line, line, UT_LINESIZE) == 0)
			return &u->lines[i];
	return NULL;
}

static void line_put(struct utmp_file *u, const struct utmp *r)
{
	struct line *l = line_find(u, r->ut_line);

	if (!l && u->n_lines < UTMP_LINES_MAX)
		l = &u->lines[u->n_lines++];
	else if (!l)
		l = &u->lines[u->next_line++ % UTMP_LINES_MAX];
	memcpy(l->line, r->ut_line, sizeof(l->line));
	memcpy(l->user, r->ut_user, sizeof(l->user));
	l->pid = r->ut_pid;
}

/* --- a record */

static void put_text(char *to, size_t size, const char *from, size_t len)
{
	snprintf(to, size, "%.*s", (int)strnlen(from, len), from);
}

static uint64_t time_of(const struct utmp *r)
{
	int64_t sec = r->ut_tv.tv_sec, usec = r->ut_tv.tv_usec;

	return sec > 0 && usec >= 0 && usec < 1000000 ? (uint64_t)sec * NSEC_PER_SEC + (uint64_t)usec * 1000 : 0;
}

static void fill(struct session_note *n, const struct utmp_file *u, const struct utmp *r)
{
	*n = (struct session_note){ .source = SESSION_BY_UTMP,
				    .record = u->kind == UTMP_NOW ? SESSION_RECORD_UTMP : SESSION_RECORD_WTMP,
				    .failed = u->kind == UTMP_FAILED,
				    .pid = MAX(r->ut_pid, 0) };
	put_text(n->account, sizeof(n->account), r->ut_user, sizeof(r->ut_user));
	put_text(n->remote, sizeof(n->remote), r->ut_host, sizeof(r->ut_host));
	put_text(n->tty, sizeof(n->tty), r->ut_line, sizeof(r->ut_line));
	/* sshd writes this where there is no terminal. */
	if (strncmp(n->tty, "ssh", 3) == 0 || strncmp(n->tty, "ftp", 3) == 0)
		*n->tty = '\0';
}

/* True when it says that somebody came, went, or was refused. */
static bool decode(struct utmp_file *u, const struct utmp *r, struct session_note *n)
{
	const struct line *l = line_find(u, r->ut_line);

	fill(n, u, r);
	if (u->kind == UTMP_FAILED) {
		n->op = SESSION_LOGIN;
		return *n->account || *n->remote || *n->tty;
	}
	if (r->ut_type == USER_PROCESS && *r->ut_user) {
		bool same = l && l->pid == r->ut_pid && strncmp(l->user, r->ut_user, UT_NAMESIZE) == 0;

		line_put(u, r);
		n->op = SESSION_LOGIN;
		return !same;
	}
	if (r->ut_type != DEAD_PROCESS || !l || !*l->user)
		return false;
	put_text(n->account, sizeof(n->account), l->user, sizeof(l->user));
	n->pid = MAX(l->pid, 0);
	n->op = SESSION_LOGOUT;
	*u->lines[l - u->lines].user = '\0';
	return true;
}

/* --- a file */

static int read_records(struct utmp_file *u, int fd, off_t from, size_t *ret)
{
	ssize_t n = pread(fd, u->records, sizeof(u->records), from);

	if (n < 0)
		return -errno;
	*ret = (size_t)n / sizeof(u->records[0]);
	return 0;
}

/* Who is logged in when the monitor starts is no news. */
static void tell(struct utmp_file *u, size_t n, uint64_t since, void (*fn)(const struct session_note *n, void *data),
		 void *data)
{
	struct session_note note;

	for (size_t i = 0; i < n; i++) {
		uint64_t t = time_of(&u->records[i]);
		bool news = decode(u, &u->records[i], &note);

		if (!news || (!u->known && (!since || u->kind == UTMP_NOW || t < since)))
			continue;
		note.found = !u->known;
		note.time = u->known ? clock_real_ns() : t;
		fn(&note, data);
	}
}

/* What is appended, at most UTMP_RECORDS_MAX records, the newest. */
static int read_log(struct utmp_file *u, int fd, off_t size, void (*fn)(const struct session_note *n, void *data),
		    void *data)
{
	off_t end = size - size % RECORD, from = u->at;
	off_t skipped = MAX(end - from - (off_t)UTMP_RECORDS_MAX * RECORD, (off_t)0);
	size_t n;
	int r = read_records(u, fd, from + skipped, &n);

	if (r < 0)
		return r;
	n = MIN(n, (size_t)((end - from - skipped) / RECORD));
	u->at = from + skipped + (off_t)n * RECORD;
	tell(u, n, u->since, fn, data);
	return u->known ? (int)MIN(skipped / RECORD, (off_t)INT32_MAX) : 0;
}

static int read_now(struct utmp_file *u, int fd, void (*fn)(const struct session_note *n, void *data), void *data)
{
	size_t n;
	int r = read_records(u, fd, 0, &n);

	if (r == 0)
		tell(u, n, 0, fn, data);
	return r;
}

int utmp_read(struct utmp_file *u, void (*fn)(const struct session_note *n, void *data), void *data)
{
	_cleanup_close_ int fd = open(u->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0) {
		r = -errno;
		/* One that comes to be is news from its first record on. */
		u->known |= r == -ENOENT;
		return r;
	}
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (st.st_dev != u->dev || st.st_ino != u->ino || st.st_size < u->at)
		u->at = 0;
	u->dev = st.st_dev;
	u->ino = st.st_ino;
	r = u->kind == UTMP_NOW ? read_now(u, fd, fn, data) : read_log(u, fd, st.st_size, fn, data);
	u->known |= r >= 0;
	return r;
}
