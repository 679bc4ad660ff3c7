/*
 * fanotify: the group, the file systems it has marks on, and how a folder's handle becomes paths of this host. Shared
 * by watch/fanotify.c (events), watch/marks.c (marks) and watch/resolve.c (paths). Notify thread.
 */
#ifndef WATCH_MARKS_H
#define WATCH_MARKS_H

#include "watch/decode.h"
#include "watch/handles.h"
#include "watch/internal.h"
#include "watch/sensitive.h"

/* A superblock. */
struct fan_fs {
	struct fan_fs *next;
	uint64_t dev; /* as in mountinfo */
	uint8_t fsid[DECODE_FSID_LEN];
	uint64_t rdev[2]; /* block devices that hold it: of dev itself and of the mount's source; 0 none */
	bool seen, marked, stand_in, is_dev;
	bool layers;	     /* wanted for layers of containers alone: nothing there is guarded */
	uint32_t generation; /* of cached paths */
	int fd;		     /* open on `point` while events are being decoded, else -1: it would hold up an unmount */
	int mount_id;
	char *point, *root, *fstype, *source;
	char why[160];
};

struct fan_fresh {
	uint64_t hash; /* of the handle */
	uint64_t dev, ino;
	uint64_t until; /* boot ns */
};

struct fan {
	struct watch *w;
	int fd;
	uint64_t mask;	/* of file system marks, FAN_OPEN aside */
	uint64_t opens; /* FAN_OPEN when the configuration watches all of them */
	struct fan_fs *filesystems;
	struct handles *handles;
	struct buf path, path2, spare; /* scratch */
	uint64_t block_cache[256];     /* hashes of names in /dev that are no block device of ours */
	uint64_t links[256];	       /* hashes of inodes whose number of links changed, by whom */
	struct fan_fresh fresh[256];   /* inodes that got a link a moment ago */
	uint64_t fresh_until;	       /* the last of them */
	uint8_t *buffer;
	bool opened; /* the last read held a file system open, to resolve handles */
};

/* Next file system after `after` (NULL: first) that reports this fsid; clones of one image share it. */
struct fan_fs *marks_find(struct fan *f, const struct fan_fs *after, const uint8_t *fsid);
/* Frees the list; marks go with the group. */
void marks_free(struct fan *f);
/* A folder was moved, or mounts changed: no cached path of the file system counts any more. */
static inline void marks_forget_paths(struct fan_fs *fs)
{
	fs->generation++;
}

/* Folder of the handle; NULL when it is gone and was never seen. Borrowed until the next resolve. */
struct handles_dir *resolve_dir(struct fan *f, struct fan_fs *fs, const struct decode_fid *fid);
/* The folder `fid` was just made as dir/name: known without asking the kernel. */
void resolve_learn(struct fan *f, struct fan_fs *fs, const struct decode_fid *fid, const char *path, size_t len);
/* Device and number of the inode; negative errno when it is gone. */
int resolve_inode(struct fan_fs *fs, const struct decode_fid *fid, uint64_t *ret_dev, uint64_t *ret_ino);
/* Closes what resolving opened. */
void resolve_done(struct fan *f);
/* A descriptor on the file system through its mount point, checked to be that mount; negative errno. */
int resolve_open_mount(const char *point, int mount_id);

/* An event about one name of one folder. */
struct fan_name {
	const struct place *place;
	const char *name; /* NULL: the folder itself */
	const char *path;
	size_t len;
	const char *path2;
	uint32_t ops;
	int32_t pid;
	bool is_dir;
};

#define FAN_NAME_OPS (FS_CREATE | FS_DELETE | FS_RENAME_FROM | FS_RENAME_TO)

/* n is about a name on a devtmpfs: told when it is a block device under a marked file system and was written to. */
void side_device(struct fan *f, const struct fan_name *n);
/* Guarded names of the same inode are told; path is the name that the event itself told (NULL: none). */
void side_linked(struct fan *f, const struct decode_event *ev, uint32_t ops, const char *path);
/* The event is a name made by link(2). To be asked for each event in the kernel's order. */
bool side_is_link(struct fan *f, const struct decode_event *ev);
/* Tells of inodes that got another name (link), and what happens to them soon after. */
void side_fresh_link(struct fan *f, struct fan_fs *fs, const struct decode_event *ev, uint32_t ops, bool link);

#endif
