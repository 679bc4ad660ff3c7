/*
 * Ways around a guarded name that fanotify does tell of, but under another name: hard links, and the block device under
 * the file system. Notify thread; stats names in /dev, nothing else.
 */
#include <string.h>
#include <sys/stat.h>

#include "watch/fan.h"
#include "watch/hash.h"
#include "watch/marks.h"

#define WRITE_OPS (FS_MODIFY | FS_CLOSE_WRITE)

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
	struct emit_event ev = { FS_DEVICE, false, n->pid, n->path, n->len, NULL, NULL };

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
		struct emit_event out = { ops, false, ev->pid, guarded, strlen(guarded), NULL, NULL };

		if (path && streq(path, guarded))
			continue;
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
