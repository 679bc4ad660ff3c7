/*
 * Reads one file's record: every attribute, digest and times of one version. One context per thread.
 */
#ifndef FIM_READ_H
#define FIM_READ_H

#include <stdbool.h>

#include "event/attr.h"
#include "event/record.h"

struct read_options {
	enum digest_algo algo;
	uint64_t hash_size; /* larger regular files are not read (RECORD_TOO_LARGE); 0: no limit */
	uint64_t later;	    /* file_read_listed leaves content of this size and more for later; 0: no limit */
	bool mime_all;	    /* MIME type of every regular file, not of programs only */
	struct mime *mime;  /* shared with other readers (fim/mime.h), which it outlives; NULL: types stay unknown */
	/*
	 * Asked first for the digest of an executable that is to be read: 0 with it, else the reader reads it himself.
	 * May read it meanwhile. NULL: nobody to ask.
	 */
	int (*known)(void *data, int fd, enum digest_algo algo, uint8_t ret[DIGEST_MAX]);
	void *known_data;
	/*
	 * Called while content is read, after each block; may sleep (a rate). Non-zero ends this file: unread =
	 * ECANCELED. NULL: not wanted.
	 */
	int (*step)(void *data, uint64_t bytes);
	void *step_data;
};

struct file_reader;

int file_reader_new(const struct read_options *o, struct file_reader **ret);
void file_reader_free(struct file_reader *r);

/*
 * Metadata only: statx, no open, for dirfd + name (never follows a link; name "" with AT_EMPTY_PATH is dirfd itself).
 * Sets type to rdev and, for a symlink, target (in a). -ENOENT when gone.
 */
int file_read_meta(struct file_reader *r, struct arena *a, int dirfd, const char *name, struct record *ret);

/*
 * Completes a record that file_read_meta made: xattrs, flags, digest and MIME of a regular file, as far as mask asks.
 * The file is opened O_NOFOLLOW|O_NONBLOCK|O_NOATIME (O_NOATIME when allowed) and only when it is regular; identity is
 * compared before and after; a file that changes while it is read is read again, three times at most, then unread =
 * RECORD_UNSTABLE. Nothing here fails a scan: what could not be read is in rec->unread. Page cache that this read
 * filled (large files only) is given back, pages that were there before stay.
 */
void file_read_content(struct file_reader *r, struct arena *a, int dirfd, const char *name, attr_mask mask,
		       struct record *rec);

/*
 * Both at once, for a name that a listing of the folder has just called a regular file: it is opened right away, which
 * saves a look-up of the name. Whatever is not as the listing said is read by the two above. FILE_READ_LATER: the
 * content is at least options.later bytes, ret holds metadata only, file_read_content has still to be called.
 */
enum { FILE_READ_LATER = 1 };
int file_read_listed(struct file_reader *r, struct arena *a, int dirfd, const char *name, attr_mask mask,
		     struct record *ret);

/*
 * From now on (until algo is NULL) content is digested a second time by this OpenSSL name, of the same bytes as the
 * record's digest. Where there is no such algorithm there is no such digest.
 */
void file_reader_want_extra(struct file_reader *r, const char *algo);
/* Of what was read last: its length, 0 when there is none. */
size_t file_reader_extra(const struct file_reader *r, uint8_t ret[DIGEST_MAX]);

/* Of all its time, what was spent waiting for types that did not come: no work of the file's. */
uint64_t file_reader_unanswered(const struct file_reader *r);

/*
 * For growing files: digest of the first `size` bytes of the file as it is now; 0, or a negative errno (-ENODATA:
 * shorter).
 */
int file_read_prefix(struct file_reader *r, int dirfd, const char *name, uint64_t size, uint8_t ret[DIGEST_MAX]);

/* A path of any length, opened by components from rootfd: the folder that holds it, and its last name (points into
 * path). */
int file_open_parent(int rootfd, const char *path, int *ret_dirfd, const char **ret_name);

DEFINE_CLEANUP(struct file_reader *, file_reader_free)

#endif
