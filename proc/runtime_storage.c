/*
 * containers/storage (podman, CRI-O): overlay-containers/containers.json names the container, its image and its layer;
 * overlay-images/images.json the image's digest; overlay-containers/ID/userdata is the bundle. The same layout stands
 * below the graph root and, with other files, below the run root.
 */
#include <string.h>

#include "lib/text.h"
#include "lib/util.h"
#include "proc/runtime-internal.h"

/* The object of the list in a file whose "id" it is; *ret_file owns it. */
static const json_t *find_by_id(struct reading *r, const char *path, const char *id, json_t **ret_file)
{
	json_t *file = reading_json(r, path);

	for (size_t i = 0; i < json_array_size(file); i++) {
		const json_t *o = json_array_get(file, i);
		const char *is = json_text(o, "id");

		if (is && streq(is, id)) {
			*ret_file = file;
			return o;
		}
	}
	json_decref(file);
	*ret_file = NULL;
	return NULL;
}

static const char *first_name(const json_t *o)
{
	return json_string_value(json_array_get(json_object_get(o, "names"), 0));
}

static void read_image(struct reading *r, const struct runtime_store *s, const char *image)
{
	_cleanup_buf_ struct buf path = BUF_INIT;
	json_t *file;
	const json_t *o;

	reading_digest(r, &r->c->image_id, image);
	buf_printf(&path, "%s/overlay-images/images.json", s->path);
	if (path.failed)
		return;
	o = find_by_id(r, path.data, image, &file);
	if (!o)
		reading_note(r, path.data, "does not hold the image");
	reading_digest(r, &r->c->image_digest, json_text(o, "digest"));
	reading_set(r, &r->c->image, first_name(o));
	json_decref(file);
}

static bool is_layer_name(const char *s)
{
	return s && *s && strspn(s, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_") == strlen(s);
}

/* What the manager above noted of its own, as JSON in a string. */
static void read_metadata(struct reading *r, const char *text)
{
	json_t *o = text ? json_loads(text, 0, NULL) : NULL;

	reading_set(r, &r->c->image, json_text(o, "image-name"));
	reading_set(r, &r->c->name, json_text(o, "metadata-name"));
	json_decref(o);
}

static bool read_entry(struct reading *r, const struct runtime_store *s, const char *name)
{
	_cleanup_buf_ struct buf path = BUF_INIT, folder = BUF_INIT;
	const char *image, *layer, *created;
	json_t *file;
	const json_t *o;

	buf_printf(&path, "%s/overlay-containers/%s", s->path, name);
	o = path.failed ? NULL : find_by_id(r, path.data, r->c->id, &file);
	if (!o)
		return false;
	read_metadata(r, json_text(o, "metadata"));
	reading_set(r, &r->c->name, first_name(o));
	image = json_text(o, "image");
	layer = json_text(o, "layer");
	created = json_text(o, "created");
	if (image && *image)
		read_image(r, s, image);
	if (is_layer_name(layer)) {
		buf_printf(&folder, "%s/overlay/%s", s->path, layer);
		if (!folder.failed)
			layers_of_driver(r, folder.data);
	}
	if (created && !r->c->started)
		text_parse_time(created, 0, &r->c->started);
	json_decref(file);
	return true;
}

bool storage_read(struct reading *r, const struct runtime_store *s)
{
	_cleanup_buf_ struct buf bundle = BUF_INIT;
	bool found;

	buf_printf(&bundle, "%s/overlay-containers/%s/userdata", s->path, r->c->id);
	found = !bundle.failed && bundle_read(r, bundle.data);
	return read_entry(r, s, "containers.json") || read_entry(r, s, "volatile-containers.json") || found;
}
