/*
 * containerd's store: blobs by digest as in an OCI layout, names in meta.db. The database is read beside a running
 * containerd and without its lock: what goes wrong all the same ends in a digest that is not there, or does not fit.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "fim/image_error.h"
#include "fim/image_source.h"
#include "lib/bolt.h"
#include "lib/cleanup.h"

#define CONTAINERD_ROOT "/var/lib/containerd"
#define CONTENT		"io.containerd.content.v1.content"
#define METADATA	"io.containerd.metadata.v1.bolt/meta.db"
#define TRIES		8 /* it may be written just now */

struct lookup {
	struct image *image;
	const char *name;
	const char *digest; /* found */
	const char *space;  /* the namespace it was found in */
};

static int bad(struct image *i)
{
	return image_fail(i->err, -EBADMSG, "meta.db is malformed, or was changed while it was read");
}

static int found(const struct bolt_item *value, const struct bolt_item *any, void *data)
{
	struct lookup *l = data;
	struct arena *a = &l->image->arena;
	const char *digest = arena_strndup(a, (const char *)value->value, value->value_len),
		   *space = arena_strndup(a, (const char *)any->key, any->key_len);

	if (!digest || !space)
		return -ENOMEM;
	if (strlen(digest) != value->value_len || !image_digest_valid(digest))
		return -EBADMSG;
	if (l->digest && !streq(l->digest, digest))
		return image_fail_name(l->image->err, -ENOENT, l->name,
				       "another image in namespace %s than in %s: give its digest", space, l->space);
	l->digest = digest;
	l->space = space;
	return 0;
}

static int find_name(struct image *i, const char *root, const char *name, const char **ret_digest)
{
	const char *const keys[] = { "v1", NULL, "images", name, "target", "digest" };
	_cleanup_buf_ struct buf path = BUF_INIT;
	_cleanup_close_ int fd = -1;
	struct lookup l;
	struct bolt b;
	int r = -EBADMSG;

	buf_printf(&path, "%s/%s", root, METADATA);
	if (path.failed)
		return -ENOMEM;
	fd = open(path.data, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return image_fail_name(i->err, -errno, path.data, "%s", strerror(errno));
	for (int n = 0; r == -EBADMSG && n < TRIES; n++) {
		l = (struct lookup){ .image = i, .name = name };
		r = bolt_open(fd, &b);
		if (r == 0)
			r = bolt_find(&b, keys, ARRAY_SIZE(keys), found, &l);
		if (r >= 0 && !bolt_is_current(&b))
			r = -EBADMSG;
	}
	if (r == -EBADMSG)
		return bad(i);
	if (r < 0)
		return r;
	if (!l.digest)
		return image_fail_name(i->err, -ENOENT, name, "no namespace of containerd has an image of that name");
	*ret_digest = l.digest;
	return 0;
}

/* "NAME" or "DIGEST", with "[ROOT]" before it. */
static int containerd_open(struct image *i, const char *where)
{
	_cleanup_buf_ struct buf path = BUF_INIT;
	struct image_descriptor top = { .media_type = "" };
	const char *root = CONTAINERD_ROOT;
	int r = image_root(i, &where, &root);

	if (r < 0)
		return r;
	i->ref = where;
	if (image_digest_valid(where))
		top.digest = where;
	else
		r = find_name(i, root, where, &top.digest);
	buf_printf(&path, "%s/%s", root, CONTENT);
	if (path.failed)
		return -ENOMEM;
	if (r == 0)
		r = image_layout_open(i, path.data);
	return r < 0 ? r : image_from_manifest(i, &top, image_layout_blob);
}

const struct image_place image_containerd = {
	.prefix = "containerd",
	.open = containerd_open,
	.layer = image_layout_layer,
	.close = image_layout_close,
};
