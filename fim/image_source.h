/*
 * Where images lie: what an image consists of, and how its pieces are read. One row of a table for each kind of place.
 */
#ifndef FIM_IMAGE_SOURCE_H
#define FIM_IMAGE_SOURCE_H

#include <jansson.h>

#include "fim/image_pass.h"
#include "lib/arena.h"

#define IMAGE_LAYERS_MAX  255	    /* as many as db/baseline.h keeps */
#define IMAGE_JSON_MAX	  (4 * MIB) /* of a manifest or a configuration, as registries have it */
#define IMAGE_MEMBERS_MAX 20000	    /* of an archive that holds an image */

struct image_layer {
	const char *name;	/* how the place calls it */
	const char *digest;	/* of the blob, which is verified; NULL: the place does not say */
	const char *diff_id;	/* of the uncompressed layer, verified */
	const char *created_by; /* may be NULL */
	uint64_t size;		/* uncompressed; known when it has been read */
};

/* All strings are in arena; err gets the texts of failures. */
struct image {
	struct arena arena;
	struct buf *err;
	const char *platform; /* "linux/amd64": which one of an index */
	const char *ref;      /* what was asked for, as the place calls it */
	const char *manifest_digest;
	const char *id; /* digest of the configuration */
	struct image_layer layers[IMAGE_LAYERS_MAX];
	uint32_t n_layers;
	struct image_roles roles;
	const struct image_place *place;
	void *data; /* the place's */
};

struct image_place {
	const char *prefix;  /* "oci-archive" */
	const char *aliases; /* blank-separated, or NULL */
	/*
	 * Finds the image and fills in all of the above but sizes. where: what stands behind the prefix. data is freed
	 * by close also when this fails.
	 */
	int (*open)(struct image *i, const char *where);
	/* The bytes of one layer as the place has them; one at a time. */
	int (*layer)(struct image *i, uint32_t n, struct image_bytes *ret);
	void (*close)(struct image *i);
};

extern const struct image_place *const image_places[];
extern const size_t image_place_count;
extern const struct image_place image_oci, image_oci_archive, image_docker_archive, image_containers_storage,
	image_containerd, image_docker;

/* --- image_json.c: documents that describe images */

struct image_descriptor {
	const char *media_type; /* "" when there is none */
	const char *digest;
	uint64_t size;
};

/* "sha256:" and 64, or "sha512:" and 128 lower-case hex digits: safe as a name too. */
bool image_digest_valid(const char *s);
/* The hex digits. */
const char *image_digest_hex(const char *digest);
enum digest_algo image_digest_algo(const char *digest);
/* True when the digest is of these bytes. */
int image_digest_check(const char *digest, const void *data, size_t len, bool *ret_same);

/* A document of at most IMAGE_JSON_MAX; what: for the message. */
int image_json_load(struct image *i, const void *data, size_t len, const char *what, json_t **ret);
/* String member, in the image's arena; NULL when absent or no string. */
const char *image_json_string(struct image *i, json_t *o, const char *key);
/*
 * An index: the manifest for the platform, or the one that ref names (annotation or digest; NULL: there may be just
 * one). *ret_ref is its name, or NULL. -ENOENT with a text that says what there is.
 */
int image_json_index(struct image *i, json_t *index, const char *ref, struct image_descriptor *ret,
		     const char **ret_ref);
bool image_json_is_index(json_t *o);
/* A manifest: descriptor of the configuration, and name and digest of each layer. */
int image_json_manifest(struct image *i, json_t *manifest, struct image_descriptor *ret_config);
/* A configuration: diff_id and created_by of each layer; their number has to be that of the manifest. */
int image_json_config(struct image *i, json_t *config);
/* manifest.json of a docker-archive: the image with that tag or id (NULL: there may be just one). */
int image_json_docker(struct image *i, json_t *list, const char *ref, const char **ret_config);

/* --- image_files.c: files by name, in a folder or in a tar archive */

struct image_files;

/* A folder, or a tar archive (then names of its members). *ret_is_folder may be NULL. */
int image_files_open(struct image *i, const char *path, struct image_files **ret);
void image_files_free(struct image_files *f);
bool image_files_is_folder(const struct image_files *f);
/* The bytes of a file. The descriptor in *ret is the caller's to close when *ret_own is set. -ENOENT. */
int image_files_get(struct image_files *f, const char *name, struct image_range *ret, bool *ret_own);
/* A small file whole; verified when digest is not NULL. */
int image_files_read(struct image *i, struct image_files *f, const char *name, const char *digest, struct buf *ret);
bool image_files_has(struct image_files *f, const char *name);

DEFINE_CLEANUP(struct image_files *, image_files_free)

/* --- image_oci.c: shared with places that keep blobs by digest */

/*
 * A layout, or a folder with blobs like one: image_layout_open sets i->data for the others. blob gives a document that
 * was verified.
 */
int image_layout_open(struct image *i, const char *path);
int image_layout_blob(struct image *i, const char *digest, struct buf *ret);
int image_layout_layer(struct image *i, uint32_t n, struct image_bytes *ret);
void image_layout_close(struct image *i);
/* "[ROOT]" at the begin of *where, which is then behind it; *ret_root stays as it is where there is none. */
int image_root(struct image *i, const char **where, const char **ret_root);
/* PATH or PATH:REF, by what there is. */
int image_split(struct image *i, const char *where, const char **ret_path, const char **ret_ref);

/*
 * From the descriptor of a manifest or index on: reads blobs by blob(), verifies them, fills in the image. blob() gets
 * a valid digest and gives the whole document.
 */
int image_from_manifest(struct image *i, const struct image_descriptor *top,
			int (*blob)(struct image *i, const char *digest, struct buf *ret));

#endif
