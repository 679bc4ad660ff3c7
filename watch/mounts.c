/*
 * The mount table: parses mountinfo. Owns nothing but the table it fills; any thread. Must not touch the file systems
 * it describes (a dead server behind one of them would hang the caller).
 */
#include "watch/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/cleanup.h"
#include "lib/fstype.h"
#include "lib/text.h"
#include "lib/io.h"
#include "lib/util.h"

#define MOUNTS_MAX  100000
#define MOUNTS_SIZE (64 * MIB)

/* The next word of the line, NULL at its end. */
static char *next_word(char **line)
{
	char *word = *line + strspn(*line, " "), *end;

	if (!*word)
		return NULL;
	end = word + strcspn(word, " ");
	*line = *end ? end + 1 : end;
	*end = '\0';
	return word;
}

static bool parse_number(const char *s, char stop, long max, long *ret, const char **ret_end)
{
	char *end;
	long value;

	if (*s < '0' || *s > '9')
		return false;
	errno = 0;
	value = strtol(s, &end, 10);
	if (errno || *end != stop || value > max)
		return false;
	*ret = value;
	if (ret_end)
		*ret_end = end + 1;
	return true;
}

static bool parse_dev(const char *word, uint64_t *ret)
{
	long major, minor;
	const char *rest;

	if (!parse_number(word, ':', 0xffffffffL, &major, &rest) ||
	    !parse_number(rest, '\0', 0xffffffffL, &minor, NULL))
		return false;
	*ret = makedev((unsigned)major, (unsigned)minor);
	return true;
}

/* "36 35 98:0 /root /point rw,noatime master:1 - ext3 /dev/sda rw": any number of optional fields before the dash. */
static bool parse_line(char *line, struct mount *ret)
{
	char *words[6], *word, *tail[3] = { NULL, NULL, NULL };
	struct mount m = { 0 };
	long id, parent;

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		words[i] = next_word(&line);
		if (!words[i])
			return false;
	}
	while ((word = next_word(&line)) && !streq(word, "-"))
		;
	/* The source may be empty, and then there are two spaces: do not skip what next_word would. */
	tail[0] = word ? next_word(&line) : NULL;
	if (!tail[0])
		return false;
	if (*line == ' ') {
		*line++ = '\0';
		tail[1] = line - 1;
	} else {
		tail[1] = next_word(&line);
	}
	tail[2] = next_word(&line);
	if (!tail[1] || !parse_number(words[0], '\0', INT32_MAX, &id, NULL) ||
	    !parse_number(words[1], '\0', INT32_MAX, &parent, NULL) || !parse_dev(words[2], &m.dev))
		return false;
	text_unescape_octal(words[3]);
	text_unescape_octal(words[4]);
	text_unescape_octal(tail[0]);
	text_unescape_octal(tail[1]);
	if (words[4][0] != '/')
		return false;
	m.id = (int)id;
	m.parent = (int)parent;
	m.root = words[3];
	m.point = words[4];
	m.options = words[5];
	m.fstype = tail[0];
	m.source = tail[1];
	m.super_options = tail[2] ? tail[2] : "";
	*ret = m;
	return true;
}

static size_t count_lines(const char *text, size_t len)
{
	size_t n = 1;

	for (const char *p = text; (p = memchr(p, '\n', len - (size_t)(p - text))); p++)
		n++;
	return MIN(n, MOUNTS_MAX);
}

int mounts_parse(const char *text, size_t len, struct mount_table *ret, size_t *ret_bad)
{
	_cleanup_arena_ struct arena arena = ARENA_INIT;
	struct mount *mounts;
	char *copy, *line, *end;
	size_t n = 0, bad = 0, lines;

	if (len > MOUNTS_SIZE)
		return -EFBIG;
	lines = count_lines(text, len);
	copy = arena_strndup(&arena, text, len);
	mounts = copy ? arena_alloc(&arena, lines * sizeof(*mounts)) : NULL;
	if (!mounts)
		return -ENOMEM;
	end = copy + len;
	for (line = copy; line < end;) {
		char *next = memchr(line, '\n', (size_t)(end - line));

		if (!next)
			next = end;
		*next = '\0';
		if (*line) {
			if (n < lines && parse_line(line, &mounts[n]))
				n++;
			else
				bad++;
		}
		line = next + 1;
	}
	*ret = (struct mount_table){ .arena = arena, .mounts = mounts, .n = n };
	arena = (struct arena)ARENA_INIT;
	if (ret_bad)
		*ret_bad = bad;
	return 0;
}

int mounts_read(const char *path, struct mount_table *ret, size_t *ret_bad)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	r = io_read_all(fd, MOUNTS_SIZE, &text);
	if (r < 0)
		return r;
	return mounts_parse(text.data ? text.data : "", text.len, ret, ret_bad);
}

void mounts_free(struct mount_table *t)
{
	arena_free(&t->arena);
	*t = (struct mount_table){ .arena = ARENA_INIT };
}

/* True when path is point or lies below it. */
static bool is_below(const char *point, const char *path)
{
	size_t len = strlen(point);

	if (len == 1)
		return true;
	return strncmp(point, path, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

static bool has_id(const struct mount_table *t, int id, const struct mount *but)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->mounts[i].id == id && &t->mounts[i] != but)
			return true;
	return false;
}

/* Where a walk from "/" begins: the mount whose parent is not in the table. */
static const struct mount *find_root(const struct mount_table *t, const char *path)
{
	const struct mount *root = NULL;

	for (size_t i = 0; i < t->n; i++) {
		const struct mount *m = &t->mounts[i];

		if (is_below(m->point, path) && !has_id(t, m->parent, m) &&
		    (!root || strlen(m->point) >= strlen(root->point)))
			root = m;
	}
	return root;
}

/*
 * The first mount that a walk meets after `from`: of its children the one with the shortest point. A longer one of the
 * same parent is hidden below the shorter.
 */
static const struct mount *find_step(const struct mount_table *t, const struct mount *from, const char *path)
{
	const struct mount *step = NULL;

	for (size_t i = 0; i < t->n; i++) {
		const struct mount *m = &t->mounts[i];

		if (m != from && m->parent == from->id && is_below(m->point, path) &&
		    (!step || strlen(m->point) <= strlen(step->point)))
			step = m;
	}
	return step;
}

const struct mount *mounts_find(const struct mount_table *t, const char *path)
{
	const struct mount *m = find_root(t, path), *step;

	/* n steps at most: a table with a loop of parents must not hang. */
	for (size_t i = 0; m && i < t->n; i++) {
		step = find_step(t, m, path);
		if (!step)
			break;
		m = step;
	}
	return m;
}

uint64_t mounts_dev(int fd, const struct stat *st)
{
	const struct fstype *type;
	struct mount_table t;
	struct statx stx;
	uint64_t dev = 0;

	if (fstype_of_fd(fd, &type) < 0)
		return 0;
	if (!streq(type->name, "btrfs"))
		return st->st_dev;
	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_MNT_ID, &stx) < 0 ||
	    !(stx.stx_mask & STATX_MNT_ID) || mounts_read("/proc/self/mountinfo", &t, NULL) < 0)
		return 0;
	for (size_t i = 0; i < t.n && !dev; i++)
		if ((uint64_t)t.mounts[i].id == stx.stx_mnt_id)
			dev = t.mounts[i].dev;
	mounts_free(&t);
	return dev;
}

static bool is_served_by_root(const struct mount *m)
{
	const char *option = strstr(m->super_options, "user_id=0");

	return option && (option[9] == ',' || !option[9]);
}

const char *mounts_why_skip(const struct mount *m)
{
	static const char *const why[FSTYPE_CLASS_COUNT] = {
		[FSTYPE_REMOTE] = "remote file system",
		[FSTYPE_PSEUDO] = "pseudo file system",
		[FSTYPE_FUSE] = "FUSE file system of a user",
	};
	enum fstype_class class = fstype_by_name(m->fstype)->class;

	return class == FSTYPE_FUSE && is_served_by_root(m) ? NULL : why[class];
}
