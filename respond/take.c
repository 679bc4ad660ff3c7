/*
 * Taking a file away into an entry. Runs on the responder's thread. The folder it stands in may belong to an attacker
 * who renames, swaps and links while this runs: whatever was moved is checked to be the file that was meant, and put
 * back when it is not.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "event/attr.h"
#include "event/json.h"
#include "fim/read.h"
#include "lib/util.h"
#include "respond/quarantine-internal.h"

struct take {
	struct quarantine_entry *e;
	const struct quarantine_file *f;
	int dirfd; /* that the file stands in */
	const char *name;
	int fd; /* the file, O_RDONLY; -1 */
	struct stat st;
	struct record rec;
	struct arena arena;
	uint8_t digest[32];
	unsigned flags; /* inode flags that were in the way */
};

static bool take_same(const struct take *t, int dirfd, const char *name)
{
	struct stat st;

	return fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_dev == t->st.st_dev &&
	       st.st_ino == t->st.st_ino;
}

/* Is the file that stands there the one that is meant? By identity, else by content. */
static int take_identify(struct take *t, struct buf *why)
{
	const struct quarantine_file *f = t->f;
	uint64_t size;
	int r;

	if (f->has_identity && (t->st.st_ino != f->ino || (f->dev && t->st.st_dev != f->dev))) {
		buf_str(why, "another file stands there by now");
		return -ESTALE;
	}
	r = copy_digest(t->fd, t->digest, &size);
	if (r < 0) {
		buf_printf(why, "it cannot be read: %s", strerror(-r));
		return r;
	}
	if (f->has_digest && memcmp(t->digest, f->digest, sizeof(t->digest)) != 0) {
		buf_str(why, "its content is not what was judged");
		return -ESTALE;
	}
	return 0;
}

static int take_open(struct take *t, struct buf *why)
{
	_cleanup_close_ int path = -1;
	struct stat now;
	int r = file_open_parent(t->f->rootfd, t->f->path, &t->dirfd, &t->name);

	if (r < 0) {
		buf_printf(why, "its folder: %s", strerror(-r));
		return r;
	}
	path = openat(t->dirfd, t->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (path < 0 || fstat(path, &t->st) < 0) {
		r = -errno;
		buf_printf(why, "%s", strerror(errno));
		return r;
	}
	if (!S_ISREG(t->st.st_mode)) {
		r = S_ISLNK(t->st.st_mode) ? -ELOOP : -EINVAL;
		buf_str(why, r == -ELOOP ? "a symbolic link stands there" : "no regular file stands there");
		return r;
	}
	t->fd = openat(t->dirfd, t->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (t->fd < 0 || fstat(t->fd, &now) < 0 || now.st_dev != t->st.st_dev || now.st_ino != t->st.st_ino) {
		buf_str(why, "it was swapped while it was opened");
		return -ESTALE;
	}
	return take_identify(t, why);
}

static void take_record(struct take *t)
{
	_cleanup_(file_reader_free_p) struct file_reader *reader = NULL;
	const struct read_options o = { .algo = DIGEST_SHA256 };

	if (file_reader_new(&o, &reader) < 0 || file_read_meta(reader, &t->arena, t->dirfd, t->name, &t->rec) < 0) {
		t->rec = (struct record){ 0 };
		return;
	}
	file_read_content(reader, &t->arena, t->dirfd, t->name, ATTR_BIT(ATTR_XATTRS) | ATTR_BIT(ATTR_FLAGS), &t->rec);
	t->rec.digest_len = sizeof(t->digest);
	memcpy(t->rec.digest, t->digest, sizeof(t->digest));
	t->rec.have |= ATTR_BIT(ATTR_DIGEST);
	t->rec.unread = 0;
}

/* Who made it immutable did not mean us. */
static bool take_unlock(struct take *t)
{
	unsigned flags, open = 0;

	if (ioctl(t->fd, FS_IOC_GETFLAGS, &flags) < 0 || !(flags & (FS_IMMUTABLE_FL | FS_APPEND_FL)))
		return false;
	open = flags & ~(unsigned)(FS_IMMUTABLE_FL | FS_APPEND_FL);
	if (ioctl(t->fd, FS_IOC_SETFLAGS, &open) < 0)
		return false;
	t->flags = flags;
	return true;
}

/* Moves it under a name that nobody guesses, in its own folder. */
static int take_aside(struct take *t, char ret_name[64])
{
	uint64_t random[2];

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return -EIO;
	snprintf(ret_name, 64, ".holdfast-%016llx%016llx", (unsigned long long)random[0],
		 (unsigned long long)random[1]);
	return renameat2(t->dirfd, t->name, t->dirfd, ret_name, RENAME_NOREPLACE) < 0 ? -errno : 0;
}

static int put_back(struct take *t, int dirfd, const char *name, struct buf *why)
{
	if (renameat2(dirfd, name, t->dirfd, t->name, RENAME_NOREPLACE) == 0)
		return 0;
	buf_printf(why, "; what was moved instead could not be put back (%s)", strerror(errno));
	return -errno;
}

static int take_across(struct take *t, struct buf *why)
{
	char aside[64];
	uint8_t digest[32];
	int r = t->st.st_size < 0 || (uint64_t)t->st.st_size > t->e->q->bounds.file ? -EFBIG : take_aside(t, aside);

	if (r < 0) {
		buf_str(why,
			r == -EFBIG ? "too large to be copied to the file system of the quarantine" : strerror(-r));
		return r;
	}
	if (!take_same(t, t->dirfd, aside)) {
		buf_str(why, "it was swapped while it was moved");
		put_back(t, t->dirfd, aside, why);
		return -ESTALE;
	}
	r = copy_over(t->dirfd, aside, t->e->fd, QUARANTINE_FILE, t->e->q->bounds.file, digest);
	if (r < 0) {
		buf_printf(why, "it could not be copied: %s", r == -EAGAIN ? "it kept changing" : strerror(-r));
		put_back(t, t->dirfd, aside, why);
		return r;
	}
	/* What counts is what was taken. */
	memcpy(t->digest, digest, sizeof(digest));
	memcpy(t->rec.digest, digest, sizeof(digest));
	return 0;
}

static int take_move(struct take *t, struct buf *why)
{
	int r = 0;

	for (unsigned attempt = 0; attempt < 2; attempt++) {
		r = renameat2(t->dirfd, t->name, t->e->fd, QUARANTINE_FILE, RENAME_NOREPLACE) < 0 ? -errno : 0;
		if (r != -EPERM || !take_unlock(t))
			break;
	}
	if (r == -EXDEV || r == -EINVAL)
		return take_across(t, why);
	if (r < 0) {
		buf_str(why, strerror(-r));
		return r;
	}
	if (take_same(t, t->e->fd, QUARANTINE_FILE))
		return 0;
	buf_str(why, "it was swapped while it was moved");
	put_back(t, t->e->fd, QUARANTINE_FILE, why);
	return -ESTALE;
}

static void take_describe(struct take *t)
{
	_cleanup_buf_ struct buf record = BUF_INIT, hex = BUF_INIT;
	json_t *file = json_object();

	json_put_string(file, "path", t->f->shown ? t->f->shown : t->f->path);
	record_encode(&record, &t->rec);
	if (!record.failed)
		buf_hex(&hex, record.data, record.len);
	json_put_string(file, "record", hex.failed ? NULL : hex.data);
	json_object_set_new(file, "attributes", attr_json(&t->rec, ATTR_ALL));
	quarantine_put_digest(file, "sha256", t->digest, sizeof(t->digest));
	if (t->flags)
		json_object_set_new(file, "flags", json_integer(t->flags));
	json_object_set_new(t->e->meta, "file", file);
}

static int take_file(struct take *t, struct buf *why)
{
	int r = take_open(t, why);

	if (r < 0)
		return r;
	r = quarantine_room(t->e, (uint64_t)MAX(t->st.st_size, 0));
	if (r < 0) {
		buf_str(why, "the quarantine is full");
		return r;
	}
	take_record(t);
	/* Known before it is done: whoever finds a file in an entry finds where it was from. */
	take_describe(t);
	r = quarantine_commit(t->e);
	if (r < 0) {
		buf_printf(why, "the quarantine cannot be written: %s", strerror(-r));
		return r;
	}
	r = take_move(t, why);
	if (r < 0) {
		json_object_del(t->e->meta, "file");
		quarantine_commit(t->e);
		return r;
	}
	take_describe(t);
	copy_sync_dir(t->dirfd);
	copy_sync_dir(t->e->fd);
	if (t->st.st_nlink > 1)
		buf_printf(why, "%llu other names of the same file remain", (unsigned long long)t->st.st_nlink - 1);
	return quarantine_commit(t->e);
}

int quarantine_take(struct quarantine_entry *e, const struct quarantine_file *f, struct buf *why)
{
	struct take t = { .e = e, .f = f, .dirfd = -1, .fd = -1 };
	int r = take_file(&t, why);

	cleanup_close(&t.dirfd);
	cleanup_close(&t.fd);
	arena_free(&t.arena);
	return r;
}
