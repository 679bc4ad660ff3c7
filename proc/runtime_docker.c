/*
 * docker: containers/ID/config.v2.json and hostconfig.json; image/overlay2 for the digest under which an image was
 * pulled and for the layer of the container.
 */
#include <stddef.h>
#include <string.h>

#include "lib/text.h"
#include "lib/util.h"
#include "proc/runtime-internal.h"

/* {"Repositories": {"nginx": {"nginx:1": "sha256:ID", "nginx@sha256:DIGEST": "sha256:ID"}}} */
static void read_digest(struct reading *r, const struct runtime_store *s)
{
	_cleanup_buf_ struct buf path = BUF_INIT;
	json_t *file, *repository, *id;
	const char *name, *reference;

	buf_printf(&path, "%s/image/overlay2/repositories.json", s->path);
	file = path.failed ? NULL : reading_json(r, path.data);
	json_object_foreach(json_object_get(file, "Repositories"), name, repository)
	{
		json_object_foreach(repository, reference, id)
		{
			const char *at = strchr(reference, '@'), *is = json_string_value(id);

			if (at && is && r->c->image_id && streq(is, r->c->image_id))
				reading_digest(r, &r->c->image_digest, at + 1);
		}
	}
	json_decref(file);
}

static void read_layers(struct reading *r, const struct runtime_store *s)
{
	_cleanup_buf_ struct buf path = BUF_INIT, folder = BUF_INIT;
	const char *mount;

	buf_printf(&path, "%s/image/overlay2/layerdb/mounts/%s/mount-id", s->path, r->c->id);
	mount = path.failed ? NULL : reading_line(r, path.data);
	if (!mount || strspn(mount, "0123456789abcdef") != strlen(mount) || !*mount)
		return;
	buf_printf(&folder, "%s/overlay2/%s", s->path, mount);
	if (!folder.failed)
		layers_of_driver(r, folder.data);
}

static void read_labels(struct reading *r, const json_t *labels)
{
	static const struct {
		const char *key;
		size_t member;
	} kubernetes[] = {
		{ "io.kubernetes.container.name", offsetof(struct container, name) },
		{ "io.kubernetes.pod.name", offsetof(struct container, pod) },
		{ "io.kubernetes.pod.namespace", offsetof(struct container, namespace) },
	};
	const char *key;
	json_t *value;

	for (size_t i = 0; i < ARRAY_SIZE(kubernetes); i++)
		reading_set(r, (const char **)(void *)((char *)r->c + kubernetes[i].member),
			    json_text(labels, kubernetes[i].key));
	json_object_foreach((json_t *)(uintptr_t)labels, key, value) reading_label(r, key, json_string_value(value));
}

static void add_mount(struct reading *r, struct container_mount *list, const char *dest, const char *source,
		      const char *type)
{
	struct container_mount *to = &list[r->c->n_mounts];

	to->dest = reading_keep(r, dest);
	to->source = reading_keep(r, source);
	to->type = reading_keep(r, type);
	r->c->n_mounts += to->dest != NULL;
}

/* {"/data": {"Destination": "/data", "Source": "/srv/data", "Type": "bind"}}, and what every container gets. */
static void read_mounts(struct reading *r, const json_t *config)
{
	static const struct {
		const char *key, *dest;
	} files[] = { { "ResolvConfPath", "/etc/resolv.conf" },
		      { "HostnamePath", "/etc/hostname" },
		      { "HostsPath", "/etc/hosts" } };
	const json_t *points = json_object_get(config, "MountPoints");
	size_t n = MIN(json_object_size(points), (size_t)CONTAINER_MOUNTS_MAX - ARRAY_SIZE(files));
	struct container_mount *mounts = arena_zalloc(&r->c->arena, (n + ARRAY_SIZE(files)) * sizeof(*mounts));
	uint32_t points_only;
	const char *key;
	json_t *m;

	if (!mounts || !json_is_object(points) || r->c->have_mounts)
		return;
	json_object_foreach((json_t *)(uintptr_t)points, key, m)
	{
		if (r->c->n_mounts == n)
			break;
		add_mount(r, mounts, json_text(m, "Destination") ?: key, json_text(m, "Source"), json_text(m, "Type"));
	}
	points_only = r->c->n_mounts;
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		const char *path = json_text(config, files[i].key);

		if (path && *path)
			add_mount(r, mounts, files[i].dest, path, "bind");
	}
	r->c->mounts = mounts;
	/* Until it is started none of these files is said. */
	r->c->have_mounts = r->c->n_mounts > points_only || r->c->started;
	if (!r->c->have_mounts)
		r->c->n_mounts = 0;
}

static void read_privileged(struct reading *r, const struct runtime_store *s)
{
	_cleanup_buf_ struct buf path = BUF_INIT;
	json_t *o;
	const json_t *value;

	buf_printf(&path, "%s/containers/%s/hostconfig.json", s->path, r->c->id);
	o = path.failed ? NULL : reading_json(r, path.data);
	value = json_object_get(o, "Privileged");
	if (json_is_boolean(value)) {
		r->c->have_privileged = true;
		r->c->privileged = json_is_true(value);
	}
	json_decref(o);
}

bool docker_read(struct reading *r, const struct runtime_store *s)
{
	_cleanup_buf_ struct buf path = BUF_INIT;
	const char *name, *started;
	const json_t *config;
	json_t *o;

	buf_printf(&path, "%s/containers/%s/config.v2.json", s->path, r->c->id);
	o = path.failed ? NULL : reading_json(r, path.data);
	if (!json_is_object(o)) {
		json_decref(o);
		return false;
	}
	r->c->runtime = cgroup_runtime_names[CGROUP_DOCKER];
	config = json_object_get(o, "Config");
	read_labels(r, json_object_get(config, "Labels"));
	name = json_text(o, "Name");
	reading_set(r, &r->c->name, name && name[0] == '/' ? name + 1 : name);
	reading_set(r, &r->c->image, json_text(config, "Image"));
	reading_digest(r, &r->c->image_id, json_text(o, "Image"));
	started = json_text(json_object_get(o, "State"), "StartedAt");
	if (started)
		text_parse_time(started, 0, &r->c->started);
	read_mounts(r, o);
	json_decref(o);
	read_digest(r, s);
	read_layers(r, s);
	read_privileged(r, s);
	return true;
}
