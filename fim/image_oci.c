/*
 * OCI layouts, as folders and as archives, and what every place with blobs by digest shares: from the digest of a
 * manifest to layers, each document verified before it is believed. Runs on the caller's thread.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fim/image_error.h"
#include "fim/image_source.h"

#define INDEX_DEPTH 4 /* indexes in indexes */

static int read_config(struct image *i, const struct image_descriptor *d,
		       int (*blob)(struct image *i, const char *digest, struct buf *ret))
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	json_t *config = NULL;
	int r = blob(i, d->digest, &text);

	if (r == 0)
		r = image_json_load(i, text.data, text.len, "configuration", &config);
	if (r == 0)
		r = image_json_config(i, config);
	json_decref(config);
	i->id = d->digest;
	return r;
}

int image_from_manifest(struct image *i, const struct image_descriptor *top,
			int (*blob)(struct image *i, const char *digest, struct buf *ret))
{
	struct image_descriptor d = *top, config;

	for (int depth = 0; depth < INDEX_DEPTH; depth++) {
		_cleanup_buf_ struct buf text = BUF_INIT;
		const char *name = NULL;
		json_t *json = NULL;
		int r = blob(i, d.digest, &text);
		bool index;

		if (r == 0)
			r = image_json_load(i, text.data, text.len, "manifest", &json);
		index = r == 0 && image_json_is_index(json);
		if (index) {
			r = image_json_index(i, json, NULL, &d, &name);
		} else if (r == 0) {
			i->manifest_digest = d.digest;
			r = image_json_manifest(i, json, &config);
		}
		json_decref(json);
		if (r < 0 || !index)
			return r < 0 ? r : read_config(i, &config, blob);
	}
	return image_fail(i->err, -EBADMSG, "indexes in indexes, more than %d deep", INDEX_DEPTH);
}

/* --- layouts */

struct layout {
	struct image_files *files;
	struct image_range range; /* of the layer at hand */
	bool own;
};

static void blob_name(const char *digest, struct buf *ret)
{
	const char *hex = image_digest_hex(digest);

	buf_reset(ret);
	buf_printf(ret, "blobs/%.*s/%s", (int)(hex - digest) - 1, digest, hex);
}

int image_layout_blob(struct image *i, const char *digest, struct buf *ret)
{
	struct layout *l = i->data;
	_cleanup_buf_ struct buf name = BUF_INIT;

	blob_name(digest, &name);
	return name.failed ? -ENOMEM : image_files_read(i, l->files, name.data, digest, ret);
}

static void layout_close_layer(struct layout *l)
{
	if (l->own)
		close(l->range.fd);
	l->own = false;
}

int image_layout_layer(struct image *i, uint32_t n, struct image_bytes *ret)
{
	struct layout *l = i->data;
	_cleanup_buf_ struct buf name = BUF_INIT;
	int r;

	layout_close_layer(l);
	blob_name(i->layers[n].name, &name);
	if (name.failed)
		return -ENOMEM;
	r = image_files_get(l->files, name.data, &l->range, &l->own);
	if (r < 0) {
		l->own = false;
		return image_fail_name(i->err, r, name.data, "%s", r == -ENOENT ? "there is no file" : strerror(-r));
	}
	*ret = (struct image_bytes){ image_range_read, &l->range };
	return 0;
}

void image_layout_close(struct image *i)
{
	struct layout *l = i->data;

	if (!l)
		return;
	layout_close_layer(l);
	if (l->files)
		image_files_free(l->files);
	free(l);
}

static int layout_resolve(struct image *i, struct layout *l, const char *ref)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	struct image_descriptor top;
	json_t *index = NULL;
	const char *name = NULL;
	int r = image_files_read(i, l->files, "index.json", NULL, &text);

	if (r == 0)
		r = image_json_load(i, text.data, text.len, "index.json", &index);
	if (r == 0)
		r = image_json_index(i, index, ref, &top, &name);
	json_decref(index);
	if (r < 0)
		return r;
	i->ref = ref ? ref : name;
	return image_from_manifest(i, &top, image_layout_blob);
}

/*
 * PATH or PATH:REF. A path may hold colons: the whole is tried first, then what stands before the first one, and so on.
 */
int image_split(struct image *i, const char *where, const char **ret_path, const char **ret_ref)
{
	const char *colon = where;

	*ret_path = where;
	*ret_ref = NULL;
	if (access(where, F_OK) == 0)
		return 0;
	while ((colon = strchr(colon, ':'))) {
		const char *path = arena_strndup(&i->arena, where, (size_t)(colon - where));

		if (!path)
			return -ENOMEM;
		colon++;
		if (access(path, F_OK) < 0)
			continue;
		*ret_path = path;
		*ret_ref = *colon ? colon : NULL;
		return 0;
	}
	return image_fail(i->err, -ENOENT, "%s", strerror(ENOENT));
}

int image_root(struct image *i, const char **where, const char **ret_root)
{
	const char *end = **where == '[' ? strchr(*where, ']') : *where, *root;

	if (!end)
		return image_fail(i->err, -EINVAL, "a [ without its ]");
	if (end == *where)
		return 0;
	root = arena_strndup(&i->arena, *where + 1, (size_t)(end - *where) - 1);
	if (!root)
		return -ENOMEM;
	*ret_root = root;
	*where = end + 1;
	return 0;
}

int image_layout_open(struct image *i, const char *path)
{
	struct layout *l = calloc(1, sizeof(*l));

	i->data = l;
	return l ? image_files_open(i, path, &l->files) : -ENOMEM;
}

static int layout_open(struct image *i, const char *where, bool folder)
{
	const char *path, *ref;
	struct layout *l;
	int r = image_split(i, where, &path, &ref);

	if (r == 0)
		r = image_layout_open(i, path);
	l = i->data;
	if (r == 0 && image_files_is_folder(l->files) != folder)
		r = image_fail(i->err, -EINVAL, "%s", folder ? "not a folder" : "not an archive");
	return r < 0 ? r : layout_resolve(i, l, ref);
}

static int oci_open(struct image *i, const char *where)
{
	return layout_open(i, where, true);
}

static int oci_archive_open(struct image *i, const char *where)
{
	return layout_open(i, where, false);
}

const struct image_place image_oci = {
	.prefix = "oci",
	.open = oci_open,
	.layer = image_layout_layer,
	.close = image_layout_close,
};

const struct image_place image_oci_archive = {
	.prefix = "oci-archive",
	.open = oci_archive_open,
	.layer = image_layout_layer,
	.close = image_layout_close,
};

/* --- docker-archive: the same, with names instead of digests */

static int docker_config(struct image *i, struct layout *l, const char *name)
{
	_cleanup_buf_ struct buf text = BUF_INIT, id = BUF_INIT;
	_cleanup_digest_ struct digest *d = NULL;
	uint8_t full[DIGEST_MAX];
	json_t *config = NULL;
	int r = image_files_read(i, l->files, name, NULL, &text);

	if (r == 0)
		r = digest_new(DIGEST_SHA256, &d);
	if (r == 0)
		r = digest_once(d, text.data, text.len, full);
	if (r < 0)
		return r;
	buf_str(&id, "sha256:");
	buf_hex(&id, full, digest_table[DIGEST_SHA256].size);
	i->id = id.failed ? NULL : arena_strdup(&i->arena, id.data);
	if (!i->id)
		return -ENOMEM;
	/* A name with a digest in it is one: HEX.json, or blobs/sha256/HEX. */
	if (strlen(name) >= 64 &&
	    strspn(name + (strncmp(name, "blobs/sha256/", 13) ? 0 : 13), "0123456789abcdef") == 64 &&
	    !strstr(name, image_digest_hex(i->id)))
		return image_fail_name(i->err, -EBADMSG, name, "does not have its digest");
	r = image_json_load(i, text.data, text.len, "configuration", &config);
	if (r == 0)
		r = image_json_config(i, config);
	json_decref(config);
	return r;
}

static int docker_open(struct image *i, const char *where)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	const char *path, *ref, *config = NULL;
	json_t *list = NULL;
	struct layout *l;
	int r = image_split(i, where, &path, &ref);

	if (r == 0)
		r = image_layout_open(i, path);
	l = i->data;
	if (r == 0 && image_files_is_folder(l->files)) /* its names would reach anywhere */
		r = image_fail(i->err, -EINVAL, "not an archive");
	if (r == 0)
		r = image_files_read(i, l->files, "manifest.json", NULL, &text);
	if (r == 0)
		r = image_json_load(i, text.data, text.len, "manifest.json", &list);
	if (r == 0)
		r = image_json_docker(i, list, ref, &config);
	json_decref(list);
	return r < 0 ? r : docker_config(i, l, config);
}

static int docker_layer(struct image *i, uint32_t n, struct image_bytes *ret)
{
	struct layout *l = i->data;
	int r;

	layout_close_layer(l);
	r = image_files_get(l->files, i->layers[n].name, &l->range, &l->own);
	if (r < 0) {
		l->own = false;
		return image_fail_name(i->err, r, i->layers[n].name, "%s",
				       r == -ENOENT ? "there is no file" : strerror(-r));
	}
	*ret = (struct image_bytes){ image_range_read, &l->range };
	return 0;
}

const struct image_place image_docker_archive = {
	.prefix = "docker-archive",
	.open = docker_open,
	.layer = docker_layer,
	.close = image_layout_close,
};
