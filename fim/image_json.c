/*
 * Manifests, indexes and configurations: OCI image-spec 1.1, Docker image manifest 2.2 and the manifest.json of
 * docker-archive. All of it comes from strangers: every type is asked for, every digest looked at before it names a
 * file, numbers are bounded. No state.
 */
#include <errno.h>
#include <string.h>

#include "fim/image_error.h"
#include "fim/image_source.h"
#include "lib/text.h"

#define TEXT_MAX 2048 /* of created_by */

static int bad(struct image *i, const char *what)
{
	return image_fail(i->err, -EBADMSG, "%s", what);
}

/* --- digests */

static const struct {
	const char *prefix;
	size_t hex;
	enum digest_algo algo;
} algorithms[] = {
	{ "sha256:", 64, DIGEST_SHA256 },
	{ "sha512:", 128, DIGEST_SHA512 },
};

static int algorithm_of(const char *s)
{
	for (size_t i = 0; i < ARRAY_SIZE(algorithms); i++)
		if (strncmp(s, algorithms[i].prefix, strlen(algorithms[i].prefix)) == 0)
			return (int)i;
	return -1;
}

bool image_digest_valid(const char *s)
{
	int a = s ? algorithm_of(s) : -1;
	size_t hex;

	if (a < 0)
		return false;
	s += strlen(algorithms[a].prefix);
	hex = strspn(s, "0123456789abcdef");
	return hex == algorithms[a].hex && s[hex] == '\0';
}

const char *image_digest_hex(const char *digest)
{
	return strchr(digest, ':') + 1;
}

enum digest_algo image_digest_algo(const char *digest)
{
	return algorithms[algorithm_of(digest)].algo;
}

int image_digest_check(const char *digest, const void *data, size_t len, bool *ret_same)
{
	_cleanup_digest_ struct digest *d = NULL;
	_cleanup_buf_ struct buf hex = BUF_INIT;
	enum digest_algo algo = image_digest_algo(digest);
	uint8_t full[DIGEST_MAX];
	int r = digest_new(algo, &d);

	if (r == 0)
		r = digest_once(d, data, len, full);
	if (r < 0)
		return r;
	buf_hex(&hex, full, digest_table[algo].size);
	if (hex.failed)
		return -ENOMEM;
	*ret_same = streq(hex.data, image_digest_hex(digest));
	return 0;
}

/* --- JSON */

int image_json_load(struct image *i, const void *data, size_t len, const char *what, json_t **ret)
{
	json_error_t error;

	if (len > IMAGE_JSON_MAX)
		return image_fail(i->err, -E2BIG, "%s: more than %llu MiB", what,
				  (unsigned long long)(IMAGE_JSON_MAX / MIB));
	/* Two readers may choose different ones of two members with one name. */
	*ret = json_loadb(data, len, JSON_REJECT_DUPLICATES, &error);
	if (*ret)
		return 0;
	return image_fail(i->err, -EBADMSG, "%s: line %d: %s", what, error.line, error.text);
}

const char *image_json_string(struct image *i, json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? arena_strdup(&i->arena, s) : NULL;
}

static int descriptor(struct image *i, json_t *o, struct image_descriptor *ret)
{
	const char *type = image_json_string(i, o, "mediaType");
	json_int_t size = json_integer_value(json_object_get(o, "size"));

	ret->media_type = type ? type : "";
	ret->digest = image_json_string(i, o, "digest");
	ret->size = size > 0 ? (uint64_t)size : 0;
	if (!ret->digest)
		return bad(i, "a descriptor without a digest");
	if (!image_digest_valid(ret->digest))
		return image_fail_name(i->err, -EBADMSG, ret->digest, "not a digest that can be verified");
	return 0;
}

/* --- index */

bool image_json_is_index(json_t *o)
{
	return json_is_array(json_object_get(o, "manifests"));
}

static bool platform_is(json_t *m, const char *platform)
{
	json_t *p = json_object_get(m, "platform");
	const char *os = json_string_value(json_object_get(p, "os"));
	const char *arch = json_string_value(json_object_get(p, "architecture"));
	const char *variant = json_string_value(json_object_get(p, "variant"));
	_cleanup_buf_ struct buf b = BUF_INIT;

	if (!os || !arch)
		return false;
	buf_printf(&b, "%s/%s", os, arch);
	if (!b.failed && streq(b.data, platform))
		return true;
	if (variant)
		buf_printf(&b, "/%s", variant);
	return !b.failed && streq(b.data, platform);
}

/* Signatures and the like stand among the images. */
static bool is_image(json_t *m)
{
	const char *type = json_string_value(json_object_get(m, "mediaType"));
	json_t *annotations = json_object_get(m, "annotations");

	if (json_object_get(annotations, "vnd.docker.reference.type"))
		return false;
	return !type || strstr(type, "manifest") || strstr(type, "index");
}

static const char *name_of(json_t *m)
{
	static const char *const keys[] = { "org.opencontainers.image.ref.name", "io.containerd.image.name" };
	json_t *annotations = json_object_get(m, "annotations");

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		const char *name = json_string_value(json_object_get(annotations, keys[i]));

		if (name)
			return name;
	}
	return NULL;
}

static bool is_named(json_t *m, const char *ref)
{
	static const char *const keys[] = { "org.opencontainers.image.ref.name", "io.containerd.image.name" };
	json_t *annotations = json_object_get(m, "annotations");
	const char *digest = json_string_value(json_object_get(m, "digest"));

	if (digest && streq(digest, ref))
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		const char *name = json_string_value(json_object_get(annotations, keys[i]));

		if (name && streq(name, ref))
			return true;
	}
	return false;
}

static int none_such(struct image *i, json_t *list, const char *ref)
{
	_cleanup_buf_ struct buf names = BUF_INIT;
	size_t shown = 0;
	json_t *m;

	for (size_t n = 0; n < json_array_size(list) && shown < 8; n++) {
		const char *name;

		m = json_array_get(list, n);
		name = name_of(m);
		if (!name)
			name = json_string_value(json_object_get(m, "digest"));
		if (name && is_image(m))
			buf_printf(&names, "%s%s", shown++ ? ", " : "", name);
	}
	if (ref)
		return image_fail(i->err, -ENOENT, "no image '%s'; there is: %s", ref, shown ? names.data : "none");
	return image_fail(i->err, -ENOENT, "no image for %s, or several (name one behind a colon): %s", i->platform,
			  shown ? names.data : "none");
}

int image_json_index(struct image *i, json_t *index, const char *ref, struct image_descriptor *ret,
		     const char **ret_ref)
{
	json_t *list = json_object_get(index, "manifests"), *chosen = NULL, *only = NULL;
	size_t images = 0, matching = 0;

	if (!json_is_array(list))
		return bad(i, "an index without manifests");
	for (size_t n = 0; n < json_array_size(list); n++) {
		json_t *m = json_array_get(list, n);

		if (!is_image(m) || (ref && !is_named(m, ref)))
			continue;
		images++;
		only = m;
		if (!platform_is(m, i->platform))
			continue;
		matching++;
		chosen = chosen ? chosen : m;
	}
	/* One image says what it is for in its configuration. */
	if (matching == 0 && images == 1 && !json_is_object(json_object_get(only, "platform")))
		chosen = only;
	else if (matching != 1 && !(ref && matching))
		chosen = NULL;
	if (!chosen)
		return none_such(i, list, ref);
	*ret_ref = name_of(chosen) ? arena_strdup(&i->arena, name_of(chosen)) : NULL;
	return descriptor(i, chosen, ret);
}

/* --- manifest and configuration */

/* What is no file system layer (a wasm module, a chart, an encrypted layer) makes no root. */
static bool is_layer(const char *type)
{
	static const char *const words[] = { "application/vnd.oci.image.layer.",
					     "application/vnd.docker.image.rootfs." };

	if (!*type)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strncmp(type, words[i], strlen(words[i])) == 0)
			return !strstr(type, "+encrypted");
	return false;
}

int image_json_manifest(struct image *i, json_t *manifest, struct image_descriptor *ret_config)
{
	json_t *layers = json_object_get(manifest, "layers"), *config = json_object_get(manifest, "config");
	int r;

	if (json_integer_value(json_object_get(manifest, "schemaVersion")) == 1)
		return image_fail(i->err, -EOPNOTSUPP, "a manifest of schema version 1");
	if (!json_is_object(config) || !json_is_array(layers))
		return bad(i, "a manifest without configuration or layers");
	if (json_array_size(layers) > IMAGE_LAYERS_MAX)
		return image_fail(i->err, -E2BIG, "more than %d layers", IMAGE_LAYERS_MAX);
	r = descriptor(i, config, ret_config);
	for (size_t n = 0; n < json_array_size(layers) && r == 0; n++) {
		struct image_descriptor d;

		r = descriptor(i, json_array_get(layers, n), &d);
		if (r == 0 && !is_layer(d.media_type))
			r = image_fail_name(i->err, -EOPNOTSUPP, d.media_type,
					    "layer %zu is of a type that holds no files", n + 1);
		if (r == 0)
			i->layers[n] = (struct image_layer){ .name = d.digest, .digest = d.digest };
	}
	i->n_layers = (uint32_t)json_array_size(layers);
	return r;
}

/* The commands, one for each layer that is not empty. */
static void read_history(struct image *i, json_t *config)
{
	json_t *history = json_object_get(config, "history");
	uint32_t layer = 0;

	for (size_t n = 0; n < json_array_size(history) && layer < i->n_layers; n++) {
		json_t *h = json_array_get(history, n);
		const char *by = json_string_value(json_object_get(h, "created_by"));

		if (json_is_true(json_object_get(h, "empty_layer")))
			continue;
		if (by)
			i->layers[layer].created_by = arena_strndup(&i->arena, by, strnlen(by, TEXT_MAX));
		layer++;
	}
}

int image_json_config(struct image *i, json_t *config)
{
	json_t *rootfs = json_object_get(config, "rootfs"), *ids = json_object_get(rootfs, "diff_ids");
	size_t n = json_array_size(ids);

	if (!json_is_array(ids))
		return bad(i, "a configuration without rootfs.diff_ids");
	if (n != i->n_layers)
		return image_fail(i->err, -EBADMSG, "the configuration has %zu layers, the manifest %u", n,
				  i->n_layers);
	for (size_t k = 0; k < n; k++) {
		const char *id = json_string_value(json_array_get(ids, k));

		if (!image_digest_valid(id))
			return image_fail(i->err, -EBADMSG, "the diff_id of layer %zu is no digest", k + 1);
		i->layers[k].diff_id = arena_strdup(&i->arena, id);
		if (!i->layers[k].diff_id)
			return -ENOMEM;
	}
	read_history(i, config);
	return 0;
}

/* --- docker-archive */

static bool has_tag(json_t *o, const char *ref)
{
	json_t *tags = json_object_get(o, "RepoTags");
	const char *config = json_string_value(json_object_get(o, "Config"));
	size_t len = strlen(ref);

	for (size_t n = 0; n < json_array_size(tags); n++) {
		const char *tag = json_string_value(json_array_get(tags, n));

		if (tag && streq(tag, ref))
			return true;
	}
	return config && strncmp(config, ref, len) == 0 && (config[len] == '\0' || streq(config + len, ".json"));
}

static int docker_layers(struct image *i, json_t *o)
{
	json_t *layers = json_object_get(o, "Layers");

	if (!json_is_array(layers))
		return bad(i, "manifest.json names no layers");
	if (json_array_size(layers) > IMAGE_LAYERS_MAX)
		return image_fail(i->err, -E2BIG, "more than %d layers", IMAGE_LAYERS_MAX);
	i->n_layers = (uint32_t)json_array_size(layers);
	for (uint32_t n = 0; n < i->n_layers; n++) {
		const char *name = json_string_value(json_array_get(layers, n));

		if (!name)
			return bad(i, "manifest.json names a layer by something that is no text");
		i->layers[n] = (struct image_layer){ .name = arena_strdup(&i->arena, name) };
		if (!i->layers[n].name)
			return -ENOMEM;
	}
	return 0;
}

int image_json_docker(struct image *i, json_t *list, const char *ref, const char **ret_config)
{
	json_t *chosen = NULL, *tags;
	size_t images = 0;

	if (!json_is_array(list))
		return bad(i, "manifest.json is no list");
	for (size_t n = 0; n < json_array_size(list); n++) {
		json_t *o = json_array_get(list, n);

		if (ref && !has_tag(o, ref))
			continue;
		images++;
		chosen = o;
	}
	if (images != 1)
		return ref ? image_fail(i->err, -ENOENT, "no image '%s'", ref)
			   : image_fail(i->err, -ENOENT, "%zu images: name one behind a colon", images);
	*ret_config = image_json_string(i, chosen, "Config");
	if (!*ret_config)
		return bad(i, "manifest.json names no configuration");
	tags = json_object_get(chosen, "RepoTags");
	i->ref = ref ? ref
		     : arena_strdup(&i->arena,
				    json_array_size(tags) ? json_string_value(json_array_get(tags, 0)) ?: "" : "");
	return docker_layers(i, chosen);
}
