/*
 * Getters of the container that an event happened in, and of its pod: in the event, as the runtime's files told it. Run
 * inside rule evaluation: no allocation, no system call.
 */
#include <fnmatch.h>
#include <string.h>

#include "event/field_get.h"
#include "lib/util.h"

#define ID_SHOWN 12

/* The last run of just 64 hex digits in the cgroup's path: for events that were stored without their container. */
static const char *id_in_cgroup(const struct field_view *v)
{
	static const char digits[] = "0123456789abcdef";
	const struct process *p = field_actor(v);
	const char *found = NULL;

	if (!p || !(p->known & PROCESS_CGROUP) || !p->cgroup)
		return NULL;
	for (const char *at = p->cgroup; *at;) {
		size_t run = strspn(at, digits);

		if (run == CONTAINER_ID_LEN)
			found = at;
		at += run ? run : 1;
	}
	return found;
}

/* Known to be of the host: the process is known with its cgroup, and that is none of a container. */
static bool is_host(const struct field_view *v)
{
	const struct process *p = field_actor(v);

	return !v->event->container && p && p->known & PROCESS_CGROUP && !id_in_cgroup(v);
}

FIELD_GETTER(get_container_id)
{
	const struct container *c = v->event->container;
	const char *id = c ? c->id : id_in_cgroup(v);

	if (id)
		field_set_bytes(ret, id, MIN(strlen(id), (size_t)ID_SHOWN));
	else if (is_host(v))
		field_set_string(ret, "host");
}

FIELD_GETTER(get_container_full_id)
{
	if (v->event->container)
		field_set_string(ret, v->event->container->id);
}

/* Rules say container.name = host, as they do of the id. */
FIELD_GETTER(get_container_name)
{
	if (v->event->container)
		field_set_string(ret, v->event->container->name);
	else if (is_host(v))
		field_set_string(ret, "host");
}

FIELD_GETTER(get_container_type)
{
	if (v->event->container)
		field_set_string(ret, v->event->container->runtime);
	else if (is_host(v))
		field_set_string(ret, "host");
}

#define MEMBER_STRING(name, member)                                                                                    \
	FIELD_GETTER(name)                                                                                             \
	{                                                                                                              \
		if (v->event->container)                                                                               \
			field_set_string(ret, v->event->container->member);                                            \
	}
MEMBER_STRING(get_container_image, image)
MEMBER_STRING(get_container_digest, image_digest)
MEMBER_STRING(get_container_image_id, image_id)
MEMBER_STRING(get_pod, pod)
MEMBER_STRING(get_namespace, namespace)

/* Where the tag or digest begins; the end when there is neither. The colon of a port is followed by a slash. */
static size_t repository_len(const char *image)
{
	const char *at = strchr(image, '@'), *slash = strrchr(image, '/');
	const char *colon = strchr(slash ? slash : image, ':');

	if (at && (!colon || at < colon))
		colon = at;
	return colon ? (size_t)(colon - image) : strlen(image);
}

FIELD_GETTER(get_container_repository)
{
	const struct container *c = v->event->container;

	if (c && c->image)
		field_set_bytes(ret, c->image, repository_len(c->image));
}

FIELD_GETTER(get_container_tag)
{
	const struct container *c = v->event->container;
	const char *at = c && c->image ? c->image + repository_len(c->image) : NULL;

	if (at && *at == ':')
		field_set_bytes(ret, at + 1, strcspn(at + 1, "@"));
}

FIELD_GETTER(get_container_privileged)
{
	const struct container *c = v->event->container;

	if (c && c->have_privileged)
		field_set_number(ret, c->privileged);
}

FIELD_GETTER(get_container_started)
{
	const struct container *c = v->event->container;

	if (c && c->started)
		field_set_number(ret, (int64_t)c->started);
}

FIELD_GETTER(get_container_mounts)
{
	const struct container *c = v->event->container;
	struct field_item *items;
	uint32_t n = 0;

	if (!c || !c->have_mounts)
		return;
	items = field_items(v, c->n_mounts);
	for (; items && n < c->n_mounts; n++) {
		const char *s = c->mounts[n].dest;

		items[n] = (struct field_item){ .s = s, .len = (uint32_t)strlen(s) };
	}
	ret->n = n;
	ret->items = items;
}

/* Rules ask whether it is "N/A": that is the value when no such mount is known. */
FIELD_GETTER(get_container_mount_dest)
{
	const struct container *c = v->event->container;

	field_set_string(ret, "N/A");
	for (uint32_t i = 0; c && c->have_mounts && i < c->n_mounts; i++) {
		if (fnmatch(ref->arg, c->mounts[i].dest, 0) == 0) { /* * takes slashes, as in rules */
			field_set_string(ret, c->mounts[i].dest);
			return;
		}
	}
}

FIELD_GETTER(get_container_label)
{
	if (v->event->container)
		field_set_string(ret, container_label(v->event->container, ref->arg));
}

FIELD_GETTER(get_hf_host_path)
{
	field_set_string(ret, v->event->host_path);
}

/* --- layers */

FIELD_GETTER(get_proc_upper_layer)
{
	const struct event *e = v->event;
	size_t len = e->container && e->container->upper ? strlen(e->container->upper) : 0;

	if (e->kind == EVENT_EXEC && e->host_path && len)
		field_set_number(ret, strncmp(e->host_path, e->container->upper, len) == 0 && e->host_path[len] == '/');
}

/* Of starts: changes of a container's files are deviations from the baseline of its image. */
FIELD_GETTER(get_hf_drift)
{
	const struct event *e = v->event;

	if (e->kind == EVENT_EXEC && e->container && e->reason)
		field_set_number(ret, streq(e->reason, EVENT_REASON_DRIFT));
	else if (e->kind == EVENT_CHANGE && e->container && e->baseline_id)
		field_set_number(ret, e->host_path != NULL);
}
