/*
 * The store of podman, buildah and CRI-O (containers/storage, overlay driver): which image, which layers. It has no
 * layer as an archive any more: they are put together again (image_split.c). Nothing is locked: what changes while it
 * is read has another digest.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fim/image_error.h"
#include "fim/image_source.h"
#include "fim/image_split.h"
#include "fim/read.h"
#include "lib/cleanup.h"

#define GRAPH_ROOT  "/var/lib/containers/storage"
#define LIST_MAX    (64 * MIB) /* of images.json and layers.json */
#define LAYERS_DEEP (2 * IMAGE_LAYERS_MAX)

struct storage {
	int root; /* of the store */
	const char *image;
	json_t *layers_list;
	const char *ids[IMAGE_LAYERS_MAX]; /* of the layers, lowest first */
	struct image_split split;	   /* the layer at hand */
};

/* --- small files */

static int read_whole(struct image *i, int dirfd, const char *name, size_t max, struct buf *ret)
{
	_cleanup_close_ int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	uint8_t data[16 * KIB];
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0)
		return image_fail_name(i->err, -errno, name, "%s", strerror(errno));
	if (!S_ISREG(st.st_mode) || st.st_size > (off_t)max)
		return image_fail_name(i->err, -E2BIG, name, "more than %zu MiB, or no file", (size_t)(max / MIB));
	buf_reset(ret);
	buf_str(ret, "");
	while ((n = read(fd, data, sizeof(data))) > 0 && ret->len <= max)
		buf_add(ret, data, (size_t)n);
	return n < 0 ? -errno : ret->failed ? -ENOMEM : 0;
}

static int read_list(struct image *i, const char *name, json_t **ret)
{
	struct storage *s = i->data;
	_cleanup_buf_ struct buf text = BUF_INIT;
	json_error_t error;
	int r = read_whole(i, s->root, name, LIST_MAX, &text);

	if (r < 0)
		return r;
	*ret = json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES, &error);
	if (!*ret)
		return image_fail(i->err, -EBADMSG, "%s: line %d: %s", name, error.line, error.text);
	if (json_is_array(*ret))
		return 0;
	json_decref(*ret);
	return image_fail(i->err, -EBADMSG, "%s is no list", name);
}

/* An id names a folder: hex digits, nothing else. */
static bool id_valid(const char *s)
{
	size_t len = s ? strspn(s, "0123456789abcdef") : 0;

	return len >= 8 && len <= 128 && s[len] == '\0';
}

/* --- finding the image */

static bool same_name(const char *name, const char *want)
{
	size_t n = strlen(name), w = strlen(want);

	if (streq(name, want))
		return true;
	/* "tiny" is localhost/tiny:latest, "tiny:1" is docker.io/library/tiny:1. */
	if (n > w && name[n - w - 1] == '/' && streq(name + n - w, want))
		return true;
	return n > w + 7 && streq(name + n - 7, ":latest") && !strchr(want, ':') &&
	       memcmp(name + n - 7 - w, want, w) == 0 && (n == w + 7 || name[n - 8 - w] == '/');
}

static bool image_is(json_t *o, const char *want)
{
	const char *id = json_string_value(json_object_get(o, "id"));
	const char *digest = json_string_value(json_object_get(o, "digest"));
	const char *hex = strncmp(want, "sha256:", 7) == 0 ? want + 7 : want;
	json_t *names = json_object_get(o, "names");

	if (id && strlen(hex) >= 12 && strncmp(id, hex, strlen(hex)) == 0)
		return true;
	if (digest && streq(digest, want))
		return true;
	for (size_t n = 0; n < json_array_size(names); n++) {
		const char *name = json_string_value(json_array_get(names, n));

		if (name && same_name(name, want))
			return true;
	}
	return false;
}

static json_t *find_image(struct image *i, json_t *images, const char *want)
{
	json_t *found = NULL;

	for (size_t n = 0; n < json_array_size(images); n++) {
		json_t *o = json_array_get(images, n);

		if (!image_is(o, want))
			continue;
		if (found) {
			image_fail_name(i->err, -ENOENT, want, "several images are called that");
			return NULL;
		}
		found = o;
	}
	if (!found)
		image_fail_name(i->err, -ENOENT, want, "no such image in the store");
	return found;
}

static json_t *find_layer(json_t *layers, const char *id)
{
	for (size_t n = 0; n < json_array_size(layers); n++) {
		json_t *o = json_array_get(layers, n);
		const char *have = json_string_value(json_object_get(o, "id"));

		if (have && streq(have, id))
			return o;
	}
	return NULL;
}

/* From the top layer down to the one without a parent; a chain that comes back to itself ends at the bound. */
static int read_chain(struct image *i, json_t *layers, const char *top)
{
	struct storage *s = i->data;
	const char *chain[IMAGE_LAYERS_MAX];
	uint32_t n = 0;

	for (const char *id = top; id && *id; n++) {
		json_t *o = id_valid(id) ? find_layer(layers, id) : NULL;

		if (!o)
			return image_fail_name(i->err, -EBADMSG, id, "a layer that the store does not have");
		if (n == i->n_layers)
			return image_fail(i->err, -EBADMSG, "more layers in the store than in the manifest");
		chain[n] = arena_strdup(&i->arena, id);
		if (!chain[n])
			return -ENOMEM;
		id = json_string_value(json_object_get(o, "parent"));
	}
	if (n != i->n_layers)
		return image_fail(i->err, -EBADMSG, "%u layers in the store, %u in the manifest", n, i->n_layers);
	for (uint32_t k = 0; k < n; k++) {
		s->ids[k] = chain[n - 1 - k];
		i->layers[k].name = s->ids[k];
		i->layers[k].digest = NULL; /* the blob it came in is not kept */
	}
	return 0;
}

/* The file of a piece of data: its key, in base 64 when it is no plain word. */
static void data_name(struct buf *b, const char *image, const char *key)
{
	unsigned char text[512];
	size_t len = strlen(key);

	buf_reset(b);
	buf_printf(b, "overlay-images/%s/", image);
	if (len > 300)
		return;
	if (key[strspn(key, "0123456789abcdefghijklmnopqrstuvwxyz.")] == '\0') {
		buf_str(b, key);
		return;
	}
	EVP_EncodeBlock(text, (const unsigned char *)key, (int)len);
	buf_printf(b, "=%s", text);
}

static int storage_blob(struct image *i, const char *digest, struct buf *ret)
{
	struct storage *s = i->data;
	_cleanup_buf_ struct buf name = BUF_INIT, key = BUF_INIT;
	bool same = false;
	int r;

	/* A manifest has a prefix, a configuration is called by its digest. */
	buf_printf(&key, "manifest-%s", digest);
	data_name(&name, s->image, key.data);
	if (faccessat(s->root, name.data, F_OK, 0) < 0)
		data_name(&name, s->image, digest);
	if (name.failed || key.failed)
		return -ENOMEM;
	r = read_whole(i, s->root, name.data, IMAGE_JSON_MAX, ret);
	if (r == 0)
		r = image_digest_check(digest, ret->data, ret->len, &same);
	if (r < 0)
		return r;
	return same ? 0 : image_fail_name(i->err, -EBADMSG, name.data, "does not have its digest");
}

static int resolve(struct image *i, const char *want)
{
	struct storage *s = i->data;
	json_t *images = NULL, *layers = NULL, *o = NULL, *names;
	struct image_descriptor top = { .media_type = "" };
	const char *layer = NULL;
	int r = read_list(i, "overlay-images/images.json", &images);

	if (r == 0)
		o = find_image(i, images, want);
	if (o) {
		s->image = image_json_string(i, o, "id");
		top.digest = image_json_string(i, o, "digest");
		layer = image_json_string(i, o, "layer");
		names = json_object_get(o, "names");
		i->ref = json_array_size(names)
				 ? arena_strdup(&i->arena, json_string_value(json_array_get(names, 0)) ?: want)
				 : want;
	} else if (r == 0) {
		r = -ENOENT;
	}
	json_decref(images);
	if (r == 0 && (!id_valid(s->image) || !image_digest_valid(top.digest)))
		r = image_fail(i->err, -EBADMSG, "images.json has an image without an id or a digest");
	if (r == 0)
		r = image_from_manifest(i, &top, storage_blob);
	if (r == 0)
		r = read_list(i, "overlay-layers/layers.json", &layers);
	if (r == 0)
		r = read_chain(i, layers, layer);
	json_decref(layers);
	return r;
}

/* "NAME", or "[GRAPHROOT]NAME" with driver@ and +runroot around it, as skopeo has it. */
static int storage_open(struct image *i, const char *where)
{
	struct storage *s = calloc(1, sizeof(*s));
	const char *root = GRAPH_ROOT;
	int r;

	i->data = s;
	if (!s)
		return -ENOMEM;
	s->root = -1;
	s->split = (struct image_split)IMAGE_SPLIT_INIT;
	r = image_root(i, &where, &root);
	if (r < 0)
		return r;
	root += strncmp(root, "overlay@", 8) ? 0 : 8;
	root = arena_strndup(&i->arena, root, strcspn(root, "+"));
	if (!root)
		return -ENOMEM;
	s->root = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->root < 0)
		return image_fail_name(i->err, -errno, root, "no store of podman's: %s", strerror(errno));
	return resolve(i, where);
}

/* --- a layer */

static int storage_layer(struct image *i, uint32_t n, struct image_bytes *ret)
{
	struct storage *s = i->data;
	_cleanup_buf_ struct buf path = BUF_INIT;
	_cleanup_close_ int packed = -1, diff = -1;

	image_split_close(&s->split);
	buf_printf(&path, "overlay-layers/%s.tar-split.gz", s->ids[n]);
	packed = openat(s->root, path.data, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (packed < 0)
		return image_fail_name(i->err, -errno, path.data, "the store cannot put the layer together again: %s",
				       strerror(errno));
	buf_reset(&path);
	buf_printf(&path, "overlay/%s/diff", s->ids[n]);
	diff = openat(s->root, path.data, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (diff < 0)
		return image_fail_name(i->err, -errno, path.data, "%s", strerror(errno));
	return image_split_open(&s->split, &i->roles, TAKE_FD(packed), TAKE_FD(diff), i->err, ret);
}

static void storage_close(struct image *i)
{
	struct storage *s = i->data;

	if (!s)
		return;
	image_split_free(&s->split);
	if (s->root >= 0)
		close(s->root);
	free(s);
}

const struct image_place image_containers_storage = {
	.prefix = "containers-storage",
	.aliases = "podman",
	.open = storage_open,
	.layer = storage_layer,
	.close = storage_close,
};
