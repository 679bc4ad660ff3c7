/*
 * From a source to a baseline: finds the image, applies its layers, stores what came of them. The calling thread does
 * it all but for what the role unpack reads for it and is the database writer. The store is touched only when
 * everything was read and verified.
 */
#include "fim/image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fim/image_error.h"
#include "fim/image_layer.h"
#include "fim/image_source.h"
#include "lib/arch.h"
#include "lib/clock.h"

const struct image_place *const image_places[] = {
	&image_oci,	   &image_oci_archive, &image_docker_archive, &image_containers_storage,
	&image_containerd, &image_docker
};
const size_t image_place_count = ARRAY_SIZE(image_places);

/* --- which place */

static bool word_in(const char *words, const char *word, size_t len)
{
	while (words && *words) {
		size_t n = strcspn(words, " ");

		if (n == len && memcmp(words, word, len) == 0)
			return true;
		words += n + (words[n] == ' ');
	}
	return false;
}

static const struct image_place *place_of(const char *source, const char **ret_where)
{
	size_t len = strcspn(source, ":");

	for (size_t i = 0; i < image_place_count && source[len] == ':'; i++) {
		if (!word_in(image_places[i]->prefix, source, len) && !word_in(image_places[i]->aliases, source, len))
			continue;
		*ret_where = source + len + 1;
		return image_places[i];
	}
	return NULL;
}

/* A path without a prefix: by what lies there. *ret_place stays NULL for a root folder. */
static int detect(struct image *i, const char *path, const struct image_place **ret_place)
{
	_cleanup_(image_files_free_p) struct image_files *f = NULL;
	struct stat st;
	int r;

	if (stat(path, &st) < 0)
		return errno == ENOENT
			       ? image_fail(i->err, -ENOENT, "neither a file, nor a folder, nor one of %s:, %s:, ...",
					    image_places[0]->prefix, image_places[1]->prefix)
			       : image_fail(i->err, -errno, "%s", strerror(errno));
	r = image_files_open(i, path, &f);
	if (r < 0)
		return r;
	*ret_place = NULL;
	if (image_files_is_folder(f))
		*ret_place = image_files_has(f, "oci-layout") && image_files_has(f, "index.json") ? &image_oci : NULL;
	else if (image_files_has(f, "index.json"))
		*ret_place = &image_oci_archive;
	else if (image_files_has(f, "manifest.json"))
		*ret_place = &image_docker_archive;
	else
		return image_fail(i->err, -EBADMSG, "an archive with neither index.json nor manifest.json: no image");
	return 0;
}

static const char *platform_of_node(struct arena *a)
{
	char arch[ARCH_MAX], platform[ARCH_MAX + 8];

	arch_of_node(arch);
	snprintf(platform, sizeof(platform), "linux/%s", arch);
	return arena_strdup(a, platform);
}

/* --- reading */

static int apply_layers(struct image *i, struct image_apply *a)
{
	for (uint32_t n = 0; n < i->n_layers; n++) {
		struct image_bytes from;
		int r = i->place->layer(i, n, &from);

		if (r == 0)
			r = image_layer_apply(a, &from, &i->layers[n], n + 1);
		if (r < 0) {
			if (!i->err->len && r != -ECANCELED)
				image_fail(i->err, r, "%s", strerror(-r));
			if (i->err->len)
				image_fail_where(i->err, "layer %u of %u (%s)", n + 1, i->n_layers, i->layers[n].name);
			return r;
		}
	}
	return 0;
}

/* --- storing */

struct store {
	struct baseline_writer *w;
	struct digest *blake;
	struct buf scratch;
};

static int store_chunk(void *data, struct chunk *c)
{
	struct store *s = data;
	int r = chunk_seal(c, s->blake, &s->scratch);

	return r < 0 ? r : baseline_add(s->w, c);
}

static int scope_of_image(struct arena *a, struct scope *ret)
{
	attr_mask all = 0;

	attr_apply("all", &all);
	attr_apply("-selinux", &all); /* each node labels what it unpacks */
	return scope_add_path(a, ret, "/", all);
}

static char *scope_text(struct arena *a)
{
	struct scope scope = { 0 };
	json_t *json = scope_of_image(a, &scope) < 0 ? NULL : scope_to_json(&scope);
	char *text = json ? json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS) : NULL;

	json_decref(json);
	return text;
}

static int begin(struct db *d, struct image *i, const struct fim_image_options *o, struct baseline_writer **ret)
{
	_cleanup_free_ char *scope = scope_text(&i->arena);
	struct baseline_layer layers[IMAGE_LAYERS_MAX];
	struct baseline_info info = {
		.name = o->init.name,
		.kind = BASELINE_IMAGE,
		.root = "/",
		.scope = scope,
		.image_ref = i->ref && *i->ref ? i->ref : o->source,
		.image_digest = i->manifest_digest,
		.image_id = i->id,
		.layers = layers,
		.n_layers = i->n_layers,
		.created = clock_real_ns(),
		.algo = o->init.algo,
	};

	if (!scope)
		return -ENOMEM;
	for (uint32_t n = 0; n < i->n_layers; n++)
		layers[n] = (struct baseline_layer){ i->layers[n].diff_id, i->layers[n].digest, i->layers[n].created_by,
						     i->layers[n].size };
	return baseline_begin(d, &info, o->init.replace, ret);
}

static int store(struct db *d, struct image *i, const struct fim_image_options *o, struct image_tree *tree,
		 int64_t *ret_id)
{
	struct store s = { 0 };
	int r = digest_new(DIGEST_BLAKE2B512, &s.blake);

	if (r == 0)
		r = begin(d, i, o, &s.w);
	if (r == 0)
		r = image_tree_each(tree, store_chunk, &s);
	if (r == 0)
		r = baseline_finish(TAKE_PTR(s.w), o->init.key, ret_id);
	if (s.w)
		baseline_abort(s.w);
	digest_free(s.blake);
	buf_free(&s.scratch);
	if (r < 0 && r != -EEXIST && !i->err->len)
		buf_str(i->err, db_error(d));
	return r;
}

/* --- the whole */

static int take(struct db *d, struct image *i, const struct fim_image_options *o, const char *where, int64_t *ret_id)
{
	_cleanup_(image_tree_free_p) struct image_tree *tree = NULL;
	struct image_apply a = {
		.algo = o->init.algo, .roles = &i->roles, .progress = o->init.common.progress, .err = i->err
	};
	int r = i->place->open(i, where);

	if (r == 0)
		r = image_tree_new(o->memory_max, i->err, &tree);
	a.tree = tree;
	if (r == 0)
		r = apply_layers(i, &a);
	if (r < 0) {
		if (!i->err->len && r != -ECANCELED)
			image_fail(i->err, r, "%s", strerror(-r));
		if (i->err->len)
			image_fail_where(i->err, "%s", o->source);
		return r;
	}
	return store(d, i, o, tree, ret_id);
}

/* An unpacked image: scanned as any tree, but only for what images have. */
static int take_folder(struct db *d, const struct fim_image_options *o, int64_t *ret_id, struct buf *err)
{
	_cleanup_arena_ struct arena arena = ARENA_INIT;
	_cleanup_close_ int rootfd = open(o->source, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct fim_init_options init = o->init;
	struct scope scope = { 0 };
	int r;

	if (rootfd < 0)
		return image_fail(err, -errno, "%s: %s", o->source, strerror(errno));
	r = scope_of_image(&arena, &scope);
	if (r < 0)
		return r;
	init.common.rootfd = rootfd;
	init.kind = BASELINE_IMAGE;
	init.root = "/";
	init.scope = &scope;
	init.image_ref = o->source;
	init.image_digest = NULL;
	init.image = true;
	return fim_init(d, &init, ret_id, err);
}

int fim_init_image(struct db *d, const struct fim_image_options *o, int64_t *ret_id, struct buf *err)
{
	struct image *i = calloc(1, sizeof(*i));
	const struct scan_progress *progress = o->init.common.progress;
	const char *where = o->source;
	int r;

	if (!i)
		return -ENOMEM;
	r = image_roles_init(&i->roles, o->spawner, progress ? &progress->stop : NULL);
	i->err = err;
	i->platform = o->platform ? o->platform : platform_of_node(&i->arena);
	i->place = place_of(o->source, &where);
	if (r == 0 && !i->place) {
		r = detect(i, o->source, &i->place);
		if (r < 0)
			image_fail_where(err, "%s", o->source);
	}
	if (r == 0)
		r = i->place ? take(d, i, o, where, ret_id) : take_folder(d, o, ret_id, err);
	if (i->place)
		i->place->close(i);
	image_roles_done(&i->roles);
	arena_free(&i->arena);
	free(i);
	return r;
}
