/*
 * Files that came and went before anybody looked, as temporary files do by the thousand: each is a count in a line
 * about its folder. Their way is short: no place in the table of pending paths, no worker, no wake-ups. On the live
 * thread; opens folders (O_PATH) out of the kernel's cache of names and asks them for names, on file systems of this
 * host.
 *
 * In a flood the cache alone is asked: a name that it does not hold is looked up under the lock of the folder, for
 * which whoever writes there waits (a writer at full speed took twice as long). What it does not hold, a renamed file's
 * old name for one, is looked up when the flood is over.
 */
#include "fim/live-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "fim/skip.h"
#include "lib/util.h"
#include "watch/place.h"

#define BRIEF_CAME	 (FS_CREATE | FS_RENAME_TO)
#define BRIEF_WENT	 (FS_DELETE | FS_RENAME_FROM)
#define BRIEF_DOUBTS	 (256 * KIB) /* bytes of names */
#define BRIEF_CALM_NS	 (200 * NSEC_PER_MSEC)
#define BRIEF_LONGEST_NS (10 * NSEC_PER_SEC)

void brief_end(struct live *l)
{
	cleanup_close(&l->brief.fd);
	l->brief.fd = -1;
	buf_reset(&l->brief.dir);
}

/* The folder of path, kept until the end of the batch: events come in runs. */
static int brief_folder(struct live *l, const char *path, size_t len)
{
	struct open_how how = { .flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
				.resolve = RESOLVE_CACHED | RESOLVE_NO_SYMLINKS };
	struct brief *b = &l->brief;
	struct statfs fs;

	if (b->dir.len == len && b->dir.data && memcmp(b->dir.data, path, len) == 0)
		return b->fd;
	brief_end(l);
	buf_add(&b->dir, path, len);
	if (b->dir.failed)
		return -1;
	b->fd = (int)syscall(SYS_openat2, AT_FDCWD, b->dir.data, &how, sizeof(how));
	/* What others serve may let this thread wait. */
	if (b->fd >= 0 && (fstatfs(b->fd, &fs) < 0 || skip_class(fstype_by_magic((uint64_t)fs.f_type)->class))) {
		close(b->fd);
		b->fd = -1;
	}
	return b->fd;
}

enum brief_answer { BRIEF_GONE, BRIEF_UNSURE, BRIEF_THERE };

static enum brief_answer brief_look(struct live *l, const char *path, bool cached)
{
	struct open_how how = { .flags = O_PATH | O_NOFOLLOW | O_CLOEXEC, .resolve = cached ? RESOLVE_CACHED : 0 };
	const char *slash = strrchr(path, '/');
	int dir = slash == path ? -1 : brief_folder(l, path, (size_t)(slash - path)), fd;

	if (dir < 0)
		return BRIEF_THERE;
	fd = (int)syscall(SYS_openat2, dir, slash + 1, &how, sizeof(how));
	if (fd >= 0)
		close(fd);
	return fd >= 0 ? BRIEF_THERE : errno == ENOENT ? BRIEF_GONE : errno == EAGAIN ? BRIEF_UNSURE : BRIEF_THERE;
}

/* --- what the cache did not know */

static void brief_doubt(struct live *l, const char *path)
{
	struct brief *b = &l->brief;
	uint64_t now = clock_boot_ns();

	b->first = b->first ? b->first : now;
	b->last = now;
	if (b->doubts.len < BRIEF_DOUBTS && !b->above.len) {
		buf_add(&b->doubts, path, strlen(path) + 1);
		if (!b->doubts.failed)
			return;
		buf_free(&b->doubts);
	}
	/* Too many: the folder that holds them all is looked at. */
	if (!b->above.len)
		live_dirname(&b->above, path);
	while (b->above.len > 1 && !live_below(path, b->above.data)) {
		const char *slash = strrchr(b->above.data, '/');

		b->above.len = MAX((size_t)(slash - b->above.data), (size_t)1);
		b->above.data[b->above.len] = '\0';
	}
}

static void brief_resolve(struct live *l, const char *path)
{
	struct pending *p;

	if (brief_look(l, path, false) == BRIEF_GONE)
		return;
	if (settle_candidate(&l->settle, path, NULL, clock_boot_ns(), &p) < 0)
		live_overflow(l, path);
	else if (!p->facts.cause)
		p->facts.cause = "came among many files that were gone at once";
}

uint64_t brief_step(struct live *l, uint64_t now)
{
	struct brief *b = &l->brief;
	uint64_t due = MIN(b->last + BRIEF_CALM_NS, b->first + BRIEF_LONGEST_NS);

	if (!b->first)
		return UINT64_MAX;
	if (now < due)
		return due;
	for (size_t at = 0; at < b->doubts.len; at += strlen(b->doubts.data + at) + 1)
		brief_resolve(l, b->doubts.data + at);
	if (b->above.len)
		rescan_request(l, b->above.data, false, "among many files that were gone at once", NULL);
	brief_end(l);
	buf_free(&b->doubts);
	buf_free(&b->above);
	b->first = 0;
	return UINT64_MAX;
}

/* --- events */

/* Neither baseline nor history nor what is pending has ever heard of it. */
static bool brief_is_new(struct live *l, const char *path)
{
	return !states_know(l->states, path) && !settle_find(&l->settle, path);
}

bool brief_event(struct live *l, const struct fs_event *e, bool flood)
{
	const struct facts facts = { .process = e->process, .pid = e->pid };
	enum brief_answer answer;

	if (e->is_dir || !(e->ops & BRIEF_CAME) || !(e->ops & BRIEF_WENT) || e->actor != HOLD_OTHER)
		return false;
	if (!brief_is_new(l, e->path) || (e->ops & FS_RENAME_TO && e->path2 && !brief_is_new(l, e->path2)))
		return false;
	answer = brief_look(l, e->path, true);
	if (answer == BRIEF_THERE || (answer == BRIEF_UNSURE && !flood))
		return false;
	if (answer == BRIEF_UNSURE)
		brief_doubt(l, e->path);
	/* What was renamed is told under its new name. */
	if (!place_is_temporary(e->path) && !(e->ops & FS_RENAME_FROM && e->path2))
		merge_transient(l, e->path, &facts);
	return true;
}
