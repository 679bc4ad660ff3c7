/*
 * Of which image a container of containerd is: its record and the image's name in meta.db, then the blobs that the name
 * stands for, manifest and configuration. Reads files alone.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "lib/arch.h"
#include "lib/bolt.h"
#include "lib/util.h"
#include "proc/runtime-internal.h"

#define SNAPSHOTTERS "/io.containerd.snapshotter."
#define METADATA     "io.containerd.metadata.v1.bolt/meta.db"
#define BLOBS	     "io.containerd.content.v1.content/blobs/sha256"
#define INDEX_DEPTH  3
#define TRIES	     8 /* it may be written just now */

struct value {
	struct reading *r;
	const char *text, *space; /* in the container's arena */
};

static int take(const struct bolt_item *item, const struct bolt_item *any, void *data)
{
	struct value *v = data;
	struct arena *a = &v->r->c->arena;

	if (item->value_len > CONTAINER_TEXT_MAX || memchr(item->value, '\0', item->value_len))
		return 0;
	v->text = arena_strndup(a, (const char *)item->value, item->value_len);
	v->space = v->space ?: arena_strndup(a, (const char *)any->key, any->key_len);
	return v->text && v->space ? 1 : -ENOMEM;
}

/* The container's id is its own in one namespace as a rule; the image's name is looked for in the same one. */
static int find_target(struct reading *r, int fd, struct value *image, struct value *digest)
{
	const char *const container[] = { "v1", NULL, "containers", r->c->id, "image" };
	const char *named[] = { "v1", NULL, "images", NULL, "target", "digest" };
	struct bolt b;
	int n = bolt_open(fd, &b);

	*image = *digest = (struct value){ .r = r };
	if (n == 0)
		n = bolt_find(&b, container, ARRAY_SIZE(container), take, image);
	named[1] = digest->space = image->space;
	named[3] = image->text;
	if (n > 0)
		n = bolt_find(&b, named, ARRAY_SIZE(named), take, digest);
	return n < 0 || bolt_is_current(&b) ? n : -EBADMSG;
}

static json_t *read_blob(struct reading *r, const char *root, const char *digest)
{
	_cleanup_buf_ struct buf path = BUF_INIT;
	const char *checked = NULL;

	reading_digest(r, &checked, digest);
	if (!checked)
		return NULL;
	buf_printf(&path, "%.*s/" BLOBS "/%s", (int)strlen(root), root, checked + strlen("sha256:"));
	return path.failed ? NULL : reading_json(r, path.data);
}

static bool is_of_node(const json_t *platform)
{
	const char *arch = json_text(platform, "architecture"), *os = json_text(platform, "os");
	char node[ARCH_MAX];

	arch_of_node(node);
	return arch && os && streq(os, "linux") && streq(arch, node);
}

/* Of an index: the manifest for this node, or the only one. */
static const char *choose(const json_t *manifests)
{
	size_t n = json_array_size(manifests);

	for (size_t i = 0; i < n; i++)
		if (is_of_node(json_object_get(json_array_get(manifests, i), "platform")))
			return json_text(json_array_get(manifests, i), "digest");
	return n == 1 ? json_text(json_array_get(manifests, 0), "digest") : NULL;
}

/* From the name's target on, through indexes, to the manifest. */
static void read_manifest(struct reading *r, const char *root, const char *digest)
{
	const char *at = reading_keep(r, digest);

	for (int depth = 0; at && depth < INDEX_DEPTH; depth++) {
		json_t *o = read_blob(r, root, at);
		const json_t *manifests = json_object_get(o, "manifests");
		const char *next = reading_keep(r, choose(manifests));

		if (o && !json_is_array(manifests)) {
			reading_digest(r, &r->c->image_digest, at);
			reading_digest(r, &r->c->image_id, json_text(json_object_get(o, "config"), "digest"));
			next = NULL;
		}
		json_decref(o);
		at = next;
	}
}

void containerd_read_image(struct reading *r)
{
	const char *end = r->c->upper ? strstr(r->c->upper, SNAPSHOTTERS) : NULL;
	struct value image = { 0 }, digest = { 0 };
	_cleanup_buf_ struct buf path = BUF_INIT;
	_cleanup_close_ int fd = -1;
	char *root;
	int n = -EBADMSG;

	if (!end || r->c->image_digest)
		return;
	root = arena_strndup(&r->c->arena, r->c->upper, (size_t)(end - r->c->upper));
	buf_printf(&path, "%s/" METADATA, root ?: "");
	if (!root || path.failed)
		return;
	fd = open(path.data, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	for (int i = 0; fd >= 0 && n == -EBADMSG && i < TRIES; i++)
		n = find_target(r, fd, &image, &digest);
	if (fd < 0 || n < 0)
		reading_note(r, path.data, fd < 0 ? strerror(ENOENT) : strerror(-n));
	reading_set(r, &r->c->image, image.text);
	if (n > 0)
		read_manifest(r, root, digest.text);
}
