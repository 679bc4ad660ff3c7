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
#define PIECE  1024 /* records */

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
	off_t passed; /* in this read */
	struct line lines[UTMP_LINES_MAX];
	struct utmp records[PIECE];
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

enum utmp_kind utmp_kind(const struct utmp_file *u)
{
	return u->kind;
}

/* --- who is where */

static struct line *line_find(struct utmp_file *u, const char line[UT_LINESIZE])
{
	for (size_t i = 0; i < u->n_lines; i++)
		if (strncmp(u->lines[i].line, line, UT_LINESIZE) == 0)
			return &u->lines[i];
	return NULL;
}

static struct line *line_unused(struct utmp_file *u)
{
	if (u->n_lines < UTMP_LINES_MAX)
		return &u->lines[u->n_lines++];
	for (size_t i = 0; i < u->n_lines; i++)
		if (!*u->lines[i].user)
			return &u->lines[i];
	/* Of utmp all would be news again with the next change. */
	return u->kind == UTMP_NOW ? NULL : &u->lines[u->next_line++ % UTMP_LINES_MAX];
}

/* False: there is no room for it. */
static bool line_put(struct utmp_file *u, const struct utmp *r)
{
	struct line *l = line_find(u, r->ut_line) ?: line_unused(u);

	if (!l)
		return false;
	memcpy(l->line, r->ut_line, sizeof(l->line));
	memcpy(l->user, r->ut_user, sizeof(l->user));
	l->pid = r->ut_pid;
	return true;
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

		n->op = SESSION_LOGIN;
		if (!same && !line_put(u, r)) {
			u->passed++;
			return false;
		}
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

static int read_records(struct utmp_file *u, int fd, off_t from, off_t max, size_t *ret)
{
	ssize_t n = pread(fd, u->records, (size_t)(MIN(max, (off_t)PIECE) * RECORD), from);

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

/* n records from there on, as far as they are there. */
static int read_pieces(struct utmp_file *u, int fd, off_t *from, off_t n, uint64_t since,
		       void (*fn)(const struct session_note *n, void *data), void *data)
{
	size_t got = 1;
	int r = 0;

	for (; n > 0 && got > 0 && r == 0; n -= (off_t)got) {
		r = read_records(u, fd, *from, n, &got);
		if (r < 0)
			return r;
		tell(u, got, since, fn, data);
		*from += (off_t)got * RECORD;
	}
	return r;
}

/* Of a log that was not read before: whether what was passed over may be news too. */
static bool are_news(const struct utmp_file *u, int fd, off_t at)
{
	struct utmp r;

	return u->known || (u->since && pread(fd, &r, sizeof(r), at) == sizeof(r) && time_of(&r) >= u->since);
}

/* What is appended, at most UTMP_RECORDS_MAX records, the newest. */
static int read_log(struct utmp_file *u, int fd, off_t size, void (*fn)(const struct session_note *n, void *data),
		    void *data)
{
	off_t n = size / RECORD - u->at / RECORD, skipped = MAX(n - UTMP_RECORDS_MAX, (off_t)0);
	off_t at = u->at + skipped * RECORD;

	if (skipped && are_news(u, fd, at))
		u->passed += skipped;
	u->at = at;
	return read_pieces(u, fd, &u->at, n - skipped, u->since, fn, data);
}

static int read_now(struct utmp_file *u, int fd, off_t size, void (*fn)(const struct session_note *n, void *data),
		    void *data)
{
	off_t at = 0;
	int r = read_pieces(u, fd, &at, UTMP_RECORDS_MAX, 0, fn, data);

	u->passed += MAX(size / RECORD - UTMP_RECORDS_MAX, (off_t)0);
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
	u->passed = 0;
	r = u->kind == UTMP_NOW ? read_now(u, fd, st.st_size, fn, data) : read_log(u, fd, st.st_size, fn, data);
	u->known |= r >= 0;
	return r < 0 ? r : (int)MIN(u->passed, (off_t)INT32_MAX);
}
