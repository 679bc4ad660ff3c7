/*
 * docker's store (overlay2): names in repositories.json, configurations by their digest, and for each layer where it
 * was unpacked. It has no layer as an archive any more, as containers/storage: they are put together again
 * (image_split.c). Manifests are not kept: the image is known by the digest of its configuration, and by the one it was
 * pulled under. Nothing is locked: what changes while it is read has another digest.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "fim/image_error.h"
#include "fim/image_source.h"
#include "fim/image_split.h"
#include "lib/cleanup.h"

#define DOCKER_ROOT "/var/lib/docker"
#define IMAGES	    "image/overlay2"
#define ID_MAX	    128

struct docker {
	struct image_files *files; /* the store's root */
	int root;
	const char *chains[IMAGE_LAYERS_MAX]; /* a layer with all below it, as layerdb calls them; digests */
	struct image_split split;	      /* the layer at hand */
};

/* --- finding the image */

/* "nginx" is nginx:latest; a digest or the begin of one is the image's id. */
static bool is_called(const char *reference, const char *id, const char *want)
{
	const char *hex = strncmp(want, "sha256:", 7) == 0 ? want + 7 : want;
	size_t len = strlen(want);

	if (strlen(hex) >= 12 && strncmp(image_digest_hex(id), hex, strlen(hex)) == 0)
		return true;
	if (strncmp(reference, want, len) == 0)
		return reference[len] == '\0' || streq(reference + len, ":latest");
	reference = strchr(reference, '@');
	return reference && streq(reference + 1, want);
}

struct lookup {
	const char *want, *id, *ref, *digest;
};

/* Several names of one image are none too many. */
static int look_at(struct image *i, const char *reference, const char *id, struct lookup *l)
{
	if (!image_digest_valid(id) || !is_called(reference, id, l->want))
		return 0;
	if (l->id && !streq(l->id, id))
		return image_fail_name(i->err, -ENOENT, l->want, "several images are called that");
	l->id = l->id ?: arena_strdup(&i->arena, id);
	return l->id ? 0 : -ENOMEM;
}

static int each_name(struct image *i, json_t *list, struct lookup *l,
		     int (*fn)(struct image *i, const char *reference, const char *id, struct lookup *l))
{
	const char *name, *reference;
	json_t *repository, *id;
	int r = 0;

	json_object_foreach(json_object_get(list, "Repositories"), name, repository)
	{
		json_object_foreach(repository, reference, id)
		{
			if (r == 0 && json_is_string(id))
				r = fn(i, reference, json_string_value(id), l);
		}
	}
	return r;
}

/* Its name, and the digest of the manifest that it was pulled by. */
static int take_names(struct image *i, const char *reference, const char *id, struct lookup *l)
{
	const char *at = strchr(reference, '@');

	if (!streq(id, l->id))
		return 0;
	if (!at && !l->ref)
		l->ref = arena_strdup(&i->arena, reference);
	if (at && !l->digest && image_digest_valid(at + 1))
		l->digest = arena_strdup(&i->arena, at + 1);
	return 0;
}

static int find_image(struct image *i, struct docker *d, const char *want, struct lookup *l)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	json_t *list = NULL;
	int r = image_files_read(i, d->files, IMAGES "/repositories.json", NULL, &text);

	if (r == 0)
		r = image_json_load(i, text.data, text.len, "repositories.json", &list);
	l->want = want;
	if (r == 0)
		r = each_name(i, list, l, look_at);
	/* One without a name has no row. */
	if (r == 0 && !l->id && image_digest_valid(want))
		l->id = want;
	if (r == 0)
		r = l->id ? each_name(i, list, l, take_names)
			  : image_fail_name(i->err, -ENOENT, want, "no such image in the store");
	json_decref(list);
	return r;
}

/* --- its layers */

/* sha256("CHAIN DIFF_ID"), the first is its own diff_id. */
static int next_chain(struct image *i, struct docker *d, uint32_t n)
{
	_cleanup_digest_ struct digest *sha = NULL;
	_cleanup_buf_ struct buf text = BUF_INIT;
	uint8_t out[DIGEST_MAX];
	int r;

	if (n == 0) {
		d->chains[0] = i->layers[0].diff_id;
		return 0;
	}
	buf_printf(&text, "%s %s", d->chains[n - 1], i->layers[n].diff_id);
	r = text.failed ? -ENOMEM : digest_new(DIGEST_SHA256, &sha);
	if (r == 0)
		r = digest_once(sha, text.data, text.len, out);
	if (r < 0)
		return r;
	buf_reset(&text);
	buf_str(&text, "sha256:");
	buf_hex(&text, out, digest_size(sha));
	d->chains[n] = text.failed ? NULL : arena_strdup(&i->arena, text.data);
	return d->chains[n] ? 0 : -ENOMEM;
}

/* Where the layer was unpacked: the name of a folder. */
static int read_cache_id(struct image *i, struct docker *d, uint32_t n)
{
	_cleanup_buf_ struct buf name = BUF_INIT, text = BUF_INIT;
	size_t len;
	int r;

	buf_printf(&name, IMAGES "/layerdb/sha256/%s/cache-id", image_digest_hex(d->chains[n]));
	r = name.failed ? -ENOMEM : image_files_read(i, d->files, name.data, NULL, &text);
	if (r < 0)
		return r;
	len = strspn(text.data, "0123456789abcdefghijklmnopqrstuvwxyz");
	if (len < 8 || len > ID_MAX || (text.data[len] && text.data[len] != '\n'))
		return image_fail_name(i->err, -EBADMSG, name.data, "names no layer");
	i->layers[n].name = arena_strndup(&i->arena, text.data, len);
	return i->layers[n].name ? 0 : -ENOMEM;
}

static int read_layers(struct image *i, struct docker *d)
{
	_cleanup_buf_ struct buf name = BUF_INIT, text = BUF_INIT;
	json_t *config = NULL;
	size_t n;
	int r;

	buf_printf(&name, IMAGES "/imagedb/content/sha256/%s", image_digest_hex(i->id));
	r = name.failed ? -ENOMEM : image_files_read(i, d->files, name.data, i->id, &text);
	if (r == 0)
		r = image_json_load(i, text.data, text.len, "configuration", &config);
	n = json_array_size(json_object_get(json_object_get(config, "rootfs"), "diff_ids"));
	if (r == 0 && n > IMAGE_LAYERS_MAX)
		r = image_fail(i->err, -E2BIG, "more than %d layers", IMAGE_LAYERS_MAX);
	i->n_layers = (uint32_t)MIN(n, (size_t)IMAGE_LAYERS_MAX);
	if (r == 0)
		r = image_json_config(i, config);
	json_decref(config);
	for (uint32_t k = 0; r == 0 && k < i->n_layers; k++) {
		r = next_chain(i, d, k);
		if (r == 0)
			r = read_cache_id(i, d, k);
	}
	return r;
}

/* "NAME" or "ID", with "[ROOT]" before it. */
static int docker_open(struct image *i, const char *where)
{
	struct docker *d = calloc(1, sizeof(*d));
	const char *root = DOCKER_ROOT;
	struct lookup l = { 0 };
	int r;

	i->data = d;
	if (!d)
		return -ENOMEM;
	d->split = (struct image_split)IMAGE_SPLIT_INIT;
	d->root = -1;
	r = image_root(i, &where, &root);
	if (r < 0)
		return r;
	d->root = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (d->root < 0)
		return image_fail_name(i->err, -errno, root, "no store of docker's: %s", strerror(errno));
	r = image_files_open(i, root, &d->files);
	if (r == 0)
		r = find_image(i, d, where, &l);
	if (r < 0)
		return r;
	i->id = l.id;
	i->ref = l.ref ?: where;
	i->manifest_digest = l.digest;
	return read_layers(i, d);
}

static int docker_layer(struct image *i, uint32_t n, struct image_bytes *ret)
{
	struct docker *d = i->data;
	_cleanup_buf_ struct buf path = BUF_INIT;
	_cleanup_close_ int packed = -1, diff = -1;

	image_split_close(&d->split);
	buf_printf(&path, IMAGES "/layerdb/sha256/%s/tar-split.json.gz", image_digest_hex(d->chains[n]));
	if (path.failed)
		return -ENOMEM;
	packed = openat(d->root, path.data, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (packed < 0)
		return image_fail_name(i->err, -errno, path.data, "the store cannot put the layer together again: %s",
				       strerror(errno));
	buf_reset(&path);
	buf_printf(&path, "overlay2/%s/diff", i->layers[n].name);
	if (path.failed)
		return -ENOMEM;
	diff = openat(d->root, path.data, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (diff < 0)
		return image_fail_name(i->err, -errno, path.data, "%s", strerror(errno));
	return image_split_open(&d->split, &i->roles, TAKE_FD(packed), TAKE_FD(diff), i->err, ret);
}

static void docker_close(struct image *i)
{
	struct docker *d = i->data;

	if (!d)
		return;
	image_split_free(&d->split);
	if (d->files)
		image_files_free(d->files);
	if (d->root >= 0)
		close(d->root);
	free(d);
}

const struct image_place image_docker = {
	.prefix = "docker-storage",
	.aliases = "docker",
	.open = docker_open,
	.layer = docker_layer,
	.close = docker_close,
};
