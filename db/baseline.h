/*
 * Baselines in the store. A baseline is a signed tree: its chunks (event/record.h: up to CHUNK_MAX entries of one
 * folder, sorted) are the leaves, each with its digest; the signature covers the head row (name, kind, root, scope,
 * time, digest algorithm, counts) and all chunk digests in order. So a reader can verify just the chunks it loads.
 *
 * Tables: baseline, dir(id, baseline, path), chunk(dir, seq, first name, count, digest), file(dir, name, ...) clustered
 * on (dir, name) WITHOUT ROWID, xset(id, ...) for distinct xattr sets (a host labelled by SELinux has few).
 *
 * Of an image the head also names its layers, and a digest over which layer brought each entry. The leaves leave layers
 * out: one image taken from an archive, a store or a folder has one tree.
 */
#ifndef DB_BASELINE_H
#define DB_BASELINE_H

#include "db/db.h"
#include "db/sign.h"
#include "event/record.h"

enum baseline_kind { BASELINE_HOST, BASELINE_TREE, BASELINE_IMAGE };
extern const char *const baseline_kind_names[];

/* A layer of an image, as its configuration and manifest name it. */
struct baseline_layer {
	const char *diff_id;	/* "sha256:HEX" of the uncompressed archive */
	const char *digest;	/* of the blob it was read from; NULL when that is not known */
	const char *created_by; /* the command that made it; NULL when not known */
	uint64_t size;		/* uncompressed bytes */
};
#define BASELINE_LAYERS_MAX 255

struct baseline_info {
	int64_t id;
	const char *name;
	enum baseline_kind kind;
	const char *root;	  /* folder that stands for "/" in its paths; "/" for the host */
	const char *scope;	  /* JSON of conf/scope.h */
	const char *image_ref;	  /* NULL when not an image */
	const char *image_digest; /* of the manifest, "sha256:HEX"; NULL when not known */
	const char *image_id;	  /* digest of the configuration, as runtimes name an image; NULL when not known */
	const struct baseline_layer *layers; /* lowest first: rec.layer is its number from 1 */
	uint32_t n_layers;		     /* 0 when not known (an image taken from a folder) */
	uint64_t created;		     /* real ns */
	enum digest_algo algo;
	uint64_t files; /* entries of any type */
	uint64_t bytes; /* of regular files that were read */
	uint64_t unread;
	const char *state;     /* "building", "signed"; from baseline_verify: "bad" */
	const char *signed_by; /* sign_key_id */
};

/* --- writing */
struct baseline_writer;

/*
 * Starts a baseline in a transaction of its own; an existing one of that name is only replaced (its deviations closed,
 * in history) at baseline_commit and only with `replace`, else -EEXIST. Call on the one writer thread.
 */
int baseline_begin(struct db *d, const struct baseline_info *info, bool replace, struct baseline_writer **ret);
/* Any order of chunks and folders. c->digest is set (chunk_seal). Commits now and then to bound the WAL; the baseline
 * stays "building". */
int baseline_add(struct baseline_writer *w, const struct chunk *c);
/* Signs, makes it visible, frees w. *ret_id may be NULL. */
int baseline_finish(struct baseline_writer *w, const struct sign_key *key, int64_t *ret_id);
/* Removes what was stored, frees w. Leftovers of a killed init are removed at the next baseline_begin. */
void baseline_abort(struct baseline_writer *w);

/* --- reading */
/* All strings of info live in a. -ENOENT when there is none of that name. */
int baseline_find(struct db *d, const char *name, struct arena *a, struct baseline_info *ret);
int baseline_find_id(struct db *d, int64_t id, struct arena *a, struct baseline_info *ret);
/*
 * The signed baseline of an image, by the digest of its manifest or by its id (the digest of its configuration):
 * "sha256:HEX", or HEX alone, which is sha256. The newest when there are several. -ENOENT when there is none.
 */
int baseline_find_image(struct db *d, const char *digest, struct arena *a, struct baseline_info *ret);
/* fn returns non-zero to end the loop with it. */
int baseline_each(struct db *d, int (*fn)(const struct baseline_info *info, void *data), void *data);
/* Checks the signature over head and chunk digests (not the rows): 0, -EBADMSG with the reason in err. Cheap: do it at
 * each start. */
int baseline_check_signature(struct db *d, int64_t id, const struct sign_key *pub, struct buf *err);
/* Signature and every row. */
int baseline_verify(struct db *d, int64_t id, const struct sign_key *pub, struct buf *err);

/* Prepared statements for one baseline on one connection (one thread). */
struct baseline_reader;
int baseline_reader_new(struct db *d, int64_t id, struct baseline_reader **ret);
void baseline_reader_free(struct baseline_reader *r);
/* 0 and the id, or -ENOENT when the baseline has no such folder. */
int baseline_dir(struct baseline_reader *r, const char *dir, int64_t *ret_dir);
/* First names of the folder's chunks in order (the bounds by which a walk cuts its listing). Array and strings in a. */
int baseline_dir_chunks(struct baseline_reader *r, int64_t dir, struct arena *a, const char ***ret_first,
			size_t *ret_n);
/* Loads chunk seq of the folder and verifies its digest: -EBADMSG when a row was edited, -ENOENT when there is no such
 * chunk. c is reset first. */
int baseline_load_chunk(struct baseline_reader *r, int64_t dir, const char *dir_path, uint32_t seq, struct chunk *c,
			struct digest *blake, struct buf *scratch);
/* One entry by absolute path, in a; -ENOENT. Does not verify: for live use after baseline_verify at start. */
int baseline_lookup(struct baseline_reader *r, const char *path, struct arena *a, struct record *ret);
/* Folders of the baseline in path order (fn non-zero ends), for finding removed folders. */
int baseline_each_dir(struct baseline_reader *r, const char *prefix,
		      int (*fn)(int64_t id, const char *path, void *data), void *data);
/* Regular files whose inode has one of these numbers, on whatever device (fn non-zero ends). Reads all rows: tenths of
 * a second for a big baseline. Does not verify. */
int baseline_each_inode(struct baseline_reader *r, const uint64_t *inos, size_t n,
			int (*fn)(const char *path, uint64_t ino, void *data), void *data);

/* --- changing */
struct baseline_edit {
	const char *path;
	const struct record *rec; /* NULL: remove */
};
/* In one transaction: applies, reseals the folders concerned, signs again. */
int baseline_apply(struct db *d, int64_t id, const struct baseline_edit *edits, size_t n, const struct sign_key *key);
int baseline_delete(struct db *d, int64_t id, struct buf *err);
/* One file, self-contained and signed; import verifies before it stores anything, and stores nothing on failure. */
int baseline_export(struct db *d, int64_t id, int fd, struct buf *err);
/* pub: the key the file must be signed with (NULL: any, shown in err text as a warning). name NULL: the name in the
 * file. */
int baseline_import(struct db *d, int fd, const char *name, const struct sign_key *pub, const struct sign_key *own,
		    struct buf *err);

DEFINE_CLEANUP(struct baseline_reader *, baseline_reader_free)
DEFINE_CLEANUP(struct baseline_writer *, baseline_abort)

#endif
