/*
 * Ways around a guarded name that fanotify does tell of, but under another name: hard links, and the block device under
 * the file system. Notify thread; stats names in /dev and opens inodes that got another name (O_PATH), nothing else.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/clock.h"
#include "watch/fan.h"
#include "lib/hash.h"
#include "watch/marks.h"

#define WRITE_OPS (FS_MODIFY | FS_CLOSE_WRITE)
/* A new link is known by then to whoever asked for it with watch_add_linked. */
#define FRESH_NS (5 * NSEC_PER_SEC)

/* --- device nodes */

static bool is_our_device(struct fan *f, const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0 || !S_ISBLK(st.st_mode))
		return false;
	for (const struct fan_fs *fs = f->filesystems; fs; fs = fs->next)
		if (fs->marked && (fs->rdev[0] == st.st_rdev || fs->rdev[1] == st.st_rdev))
			return true;
	return false;
}

/* Everything writes to /dev/null: what is no block device of ours is remembered, until a node is made or renamed. */
void side_device(struct fan *f, const struct fan_name *n)
{
	uint64_t hash = hash_bytes(1, n->path, n->len), *slot = &f->block_cache[hash % ARRAY_SIZE(f->block_cache)];
	struct emit_event ev = { .ops = FS_DEVICE, .pid = n->pid, .path = n->path, .len = n->len };

	if (n->ops & FAN_NAME_OPS)
		memset(f->block_cache, 0, sizeof(f->block_cache));
	if (!(n->ops & WRITE_OPS) || *slot == hash)
		return;
	if (is_our_device(f, n->path))
		emit_add(&f->w->emit, &ev);
	else
		*slot = hash;
}

/* --- hard links */

static void collect_path(const char *path, void *data)
{
	buf_add(data, path, strlen(path) + 1);
}

/*
 * False: path is surely another file now, or none. It was renamed over, which no event tells of the old inode. Asks the
 * kernel's cache of names alone: a lookup may take for ever.
 */
static bool still_named(const char *path, const struct decode_fid *target)
{
	struct open_how how = { .flags = O_PATH | O_NOFOLLOW | O_CLOEXEC, .resolve = RESOLVE_CACHED };
	_Alignas(struct file_handle) uint8_t key[sizeof(struct file_handle) + DECODE_HANDLE_MAX];
	struct file_handle *handle = (struct file_handle *)key;
	_cleanup_close_ int fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
	int mount_id;

	if (fd < 0)
		return errno != ENOENT;
	handle->handle_bytes = DECODE_HANDLE_MAX;
	if (name_to_handle_at(fd, "", handle, &mount_id, AT_EMPTY_PATH) < 0)
		return true;
	return target->len == DECODE_FSID_LEN + sizeof(*handle) + handle->handle_bytes &&
	       memcmp(target->key + DECODE_FSID_LEN, key, target->len - DECODE_FSID_LEN) == 0;
}

/* What happens to the content or the attributes of an inode happens to all its names. */
void side_linked(struct fan *f, const struct decode_event *ev, uint32_t ops, const char *path)
{
	struct buf *paths = &f->spare;

	ops &= WRITE_OPS | FS_ATTRIB | FS_OPEN;
	if (!ops || !ev->target.key || !linked_count(f->w->linked))
		return;
	buf_reset(paths);
	linked_each(f->w->linked, ev->target.key, ev->target.len, collect_path, paths);
	for (size_t at = 0; !paths->failed && at < paths->len; at += strlen(paths->data + at) + 1) {
		const char *guarded = paths->data + at;
		struct emit_event out = { .ops = ops, .pid = ev->pid, .path = guarded, .len = strlen(guarded) };

		if (path && streq(path, guarded))
			continue;
		if (!still_named(guarded, &ev->target)) {
			linked_remove(f->w->linked, ev->target.key, ev->target.len, guarded);
			continue;
		}
		if ((ops & FS_OPEN) && !(f->w->conf->opens == CONF_OPENS_ALL || conf_is_sensitive(f->w->conf, guarded)))
			out.ops &= ~(uint32_t)FS_OPEN;
		if (out.ops)
			emit_add(&f->w->emit, &out);
	}
}

/*
 * link(2) tells two things: that the number of links changed (ATTRIB on the inode, with no name), and a name that was
 * created. Only the second follows a file that is really new. Remembered by hash; one that is overwritten or met by
 * chance costs a look too few or too many.
 */
bool side_is_link(struct fan *f, const struct decode_event *ev)
{
	uint64_t hash, *slot;

	if (!ev->target.key || (ev->mask & FAN_ONDIR))
		return false;
	hash = hash_mix(handles_hash(f->handles, ev->target.key, ev->target.len), (uint64_t)ev->pid) | 1;
	slot = &f->links[(hash >> 8) % ARRAY_SIZE(f->links)];
	if ((ev->mask & FAN_ATTRIB) && !ev->dir.key)
		*slot = hash;
	return (ev->mask & FAN_CREATE) && *slot == hash;
}

/*
 * Whether the inode is that of a guarded file is for others to find out. What happens to it until they have is told
 * with its number as well. The inode is asked for by its handle: the new name may be gone already.
 */
void side_fresh_link(struct fan *f, struct fan_fs *fs, const struct decode_event *ev, uint32_t ops, bool link)
{
	uint64_t hash, now = f->w->emit.boot_ns;
	struct emit_event out = { .ops = FS_LINK | (ops & (WRITE_OPS | FS_ATTRIB)), .pid = ev->pid };
	struct fan_fresh *slot;

	if (!ev->target.key || (!link && (out.ops == FS_LINK || now > f->fresh_until)))
		return;
	hash = handles_hash(f->handles, ev->target.key, ev->target.len);
	slot = &f->fresh[hash % ARRAY_SIZE(f->fresh)];
	if (link) {
		if (resolve_inode(fs, &ev->target, &out.dev, &out.ino) < 0)
			return;
		*slot = (struct fan_fresh){ hash, out.dev, out.ino, now + FRESH_NS };
		f->fresh_until = slot->until;
		out.ops |= FS_ATTRIB;
	} else if (slot->hash != hash || now > slot->until) {
		return;
	}
	out.dev = slot->dev;
	out.ino = slot->ino;
	out.path = f->path.len ? f->path.data : fs->point;
	out.len = strlen(out.path);
	emit_add(&f->w->emit, &out);
}
