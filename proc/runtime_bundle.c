/*
 * OCI bundles: config.json as the runtime specification has it, and the annotations by which the managers above the
 * runtime (libpod, CRI-O, containerd's CRI plugin, the kubelet) tell what a container is.
 */
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/util.h"
#include "proc/runtime-internal.h"

/* From their sources: containerd pkg/cri/annotations, cri-o pkg/annotations, kubelet's labels. Earlier rows win. */
static const struct annotation {
	const char *key;
	size_t member;
} annotations[] = {
	{ "io.kubernetes.cri.container-name", offsetof(struct container, name) },
	{ "io.kubernetes.container.name", offsetof(struct container, name) },
	{ "io.kubernetes.cri.sandbox-name", offsetof(struct container, pod) },
	{ "io.kubernetes.pod.name", offsetof(struct container, pod) },
	{ "io.kubernetes.cri-o.KubeName", offsetof(struct container, pod) },
	{ "io.kubernetes.cri.sandbox-namespace", offsetof(struct container, namespace) },
	{ "io.kubernetes.pod.namespace", offsetof(struct container, namespace) },
	{ "io.kubernetes.cri-o.Namespace", offsetof(struct container, namespace) },
	{ "io.kubernetes.cri.image-name", offsetof(struct container, image) },
	{ "io.kubernetes.cri-o.ImageName", offsetof(struct container, image) },
	{ "org.opencontainers.image.ref.name", offsetof(struct container, image) },
};

static const char **member(struct container *c, size_t offset)
{
	return (const char **)(void *)((char *)c + offset);
}

/* CRI-O keeps the pod's labels as a JSON object in a string. */
static void cri_labels(struct reading *r, const char *text)
{
	json_t *o = text ? json_loads(text, 0, NULL) : NULL, *value;
	const char *key;

	json_object_foreach(o, key, value) reading_label(r, key, json_string_value(value));
	json_decref(o);
}

static void read_annotations(struct reading *r, const json_t *list)
{
	static const struct {
		const char *key;
		enum cgroup_runtime runtime;
	} managers[] = { { "libpod", CGROUP_PODMAN }, { "cri-o", CGROUP_CRIO } };
	const char *manager = json_text(list, "io.container.manager"), *type, *key;
	json_t *value;

	for (size_t i = 0; i < ARRAY_SIZE(annotations); i++)
		reading_set(r, member(r->c, annotations[i].member), json_text(list, annotations[i].key));
	for (size_t i = 0; i < ARRAY_SIZE(managers); i++)
		if (manager && streq(manager, managers[i].key))
			r->c->runtime = cgroup_runtime_names[managers[i].runtime];
	type = json_text(list, "io.kubernetes.cri.container-type")
		       ?: json_text(list, "io.kubernetes.cri-o.ContainerType");
	if (type && streq(type, "sandbox"))
		reading_set(r, &r->c->name, "POD");
	cri_labels(r, json_text(list, "io.kubernetes.cri-o.Labels"));
	json_object_foreach((json_t *)(uintptr_t)list, key, value)
	{
		if (strncmp(key, "io.kubernetes.cri-o.", strlen("io.kubernetes.cri-o.")) != 0)
			reading_label(r, key, json_string_value(value));
	}
}

static void read_mounts(struct reading *r, const json_t *list)
{
	size_t n = MIN(json_array_size(list), (size_t)CONTAINER_MOUNTS_MAX);
	struct container_mount *mounts;

	if (!json_is_array(list) || r->c->have_mounts)
		return;
	mounts = arena_zalloc(&r->c->arena, (n + 1) * sizeof(*mounts));
	if (!mounts) {
		r->nomem = true;
		return;
	}
	for (size_t i = 0; i < n; i++) {
		const json_t *m = json_array_get(list, i);
		struct container_mount *to = &mounts[r->c->n_mounts];

		to->dest = reading_keep(r, json_text(m, "destination"));
		to->source = reading_keep(r, json_text(m, "source"));
		to->type = reading_keep(r, json_text(m, "type"));
		r->c->n_mounts += to->dest != NULL;
	}
	r->c->mounts = mounts;
	r->c->have_mounts = true;
}

static bool is_true(const char *s)
{
	return s && (strcasecmp(s, "true") == 0);
}

/* Any device may be used: a rule without type and numbers that allows. */
static bool all_devices(const json_t *linux_section)
{
	const json_t *list = json_object_get(json_object_get(linux_section, "resources"), "devices");
	bool all = false;

	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *d = json_array_get(list, i);
		const char *type = json_text(d, "type"), *access = json_text(d, "access");

		if ((!type || !*type || streq(type, "a")) && !json_object_get(d, "major") && access &&
		    streq(access, "rwm"))
			all = json_is_true(json_object_get(d, "allow"));
	}
	return all;
}

/* As its manager says; where none does, by what every manager makes of the word: all devices and nothing masked. */
static void read_privileged(struct reading *r, const json_t *config, const json_t *list)
{
	const json_t *section = json_object_get(config, "linux");
	const char *said = json_text(list, "io.podman.annotations.privileged")
				   ?: json_text(list, "io.kubernetes.cri-o.PrivilegedRuntime");

	if (r->c->have_privileged)
		return;
	r->c->privileged = said ? is_true(said)
				: all_devices(section) && json_array_size(json_object_get(section, "maskedPaths")) == 0;
	r->c->have_privileged = said || json_is_object(section);
}

bool bundle_read(struct reading *r, const char *bundle)
{
	_cleanup_buf_ struct buf path = BUF_INIT;
	json_t *o;
	const json_t *list;

	buf_printf(&path, "%s/config.json", bundle);
	o = path.failed ? NULL : reading_json(r, path.data);
	if (!json_is_object(o)) {
		json_decref(o);
		return false;
	}
	list = json_object_get(o, "annotations");
	read_annotations(r, list);
	read_mounts(r, json_object_get(o, "mounts"));
	read_privileged(r, o, list);
	json_decref(o);
	return true;
}
