/*
 * Names of cgroups, as the runtimes' two drivers make them: cgroupfs (".../libpod-ID", ".../docker/ID",
 * "/kubepods/burstable/podUID/ID") and systemd ("libpod-ID.scope", "cri-containerd-ID.scope", "machine-NAME.scope").
 * Pure; the bytes may be anything.
 */
#include "proc/cgroup.h"

#include <string.h>

#include "event/container.h"
#include "lib/util.h"

const char *const cgroup_runtime_names[CGROUP_RUNTIME_COUNT] = {
	[CGROUP_PODMAN] = "podman", [CGROUP_DOCKER] = "docker", [CGROUP_CONTAINERD] = "containerd",
	[CGROUP_CRIO] = "cri-o",    [CGROUP_NSPAWN] = "nspawn",
};

/* Behind the prefix stand the id and at most ".scope". Longer prefixes first. */
static const struct naming {
	const char *prefix;
	enum cgroup_runtime runtime;
	bool helper; /* a process of the host that looks after the container */
} namings[] = {
	{ "libpod-conmon-", CGROUP_PODMAN, true },
	{ "crio-conmon-", CGROUP_CRIO, true },
	{ "libpod-payload-", CGROUP_PODMAN, false },
	{ "libpod-", CGROUP_PODMAN, false },
	{ "docker-", CGROUP_DOCKER, false },
	{ "cri-containerd-", CGROUP_CONTAINERD, false },
	{ "nerdctl-", CGROUP_CONTAINERD, false },
	{ "crio-", CGROUP_CRIO, false },
	{ "", CGROUP_UNKNOWN, false },
};

struct part {
	const char *s;
	size_t len;
};

static bool starts(const struct part *p, const char *prefix)
{
	size_t len = strlen(prefix);

	return p->len >= len && memcmp(p->s, prefix, len) == 0;
}

static bool drop_suffix(struct part *p, const char *suffix)
{
	size_t len = strlen(suffix);

	if (p->len < len || memcmp(p->s + p->len - len, suffix, len) != 0)
		return false;
	p->len -= len;
	return true;
}

static bool is_id(const struct part *p)
{
	if (p->len != CONTAINER_ID_LEN)
		return false;
	for (size_t i = 0; i < p->len; i++)
		if (!((p->s[i] >= '0' && p->s[i] <= '9') || (p->s[i] >= 'a' && p->s[i] <= 'f')))
			return false;
	return true;
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* systemd writes what may not stand in a unit's name as \x2d. False when it is no machine's name then. */
static bool machine_name(const struct part *p, char ret[CGROUP_ID_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < p->len; i++) {
		char c = p->s[i];

		if (c == '\\' && i + 3 < p->len && p->s[i + 1] == 'x' && hex_digit(p->s[i + 2]) >= 0 &&
		    hex_digit(p->s[i + 3]) >= 0) {
			c = (char)(hex_digit(p->s[i + 2]) * 16 + hex_digit(p->s[i + 3]));
			i += 3;
		}
		/* machine_name_is_valid() of systemd: a host name. It becomes part of a path. */
		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
		      c == '_' || (c == '.' && n > 0)) ||
		    n + 1 >= CGROUP_ID_MAX)
			return false;
		ret[n++] = c;
	}
	ret[n] = '\0';
	return n > 0;
}

/* Below machine.slice machined and nspawn put "machine-NAME.scope" and "systemd-nspawn@NAME.service". */
static bool match_machine(struct part p, const struct part *above, struct cgroup_container *ret)
{
	const char *prefix = NULL;

	if (!above || above->len != strlen("machine.slice") || !starts(above, "machine.slice"))
		return false;
	if (starts(&p, "machine-") && drop_suffix(&p, ".scope"))
		prefix = "machine-";
	else if (starts(&p, "systemd-nspawn@") && drop_suffix(&p, ".service"))
		prefix = "systemd-nspawn@";
	if (!prefix)
		return false;
	p.s += strlen(prefix);
	p.len -= strlen(prefix);
	/* Virtual machines are named machine-qemu-1-NAME: not our kernel's processes but qemu itself. */
	if (starts(&p, "qemu"))
		return false;
	ret->runtime = CGROUP_NSPAWN;
	return machine_name(&p, ret->id);
}

/* Plain ids: the folder above says whose. */
static enum cgroup_runtime by_folder(const struct part *above)
{
	static const struct {
		const char *name;
		enum cgroup_runtime runtime;
	} folders[] = {
		{ "docker", CGROUP_DOCKER },
		{ "libpod_parent", CGROUP_PODMAN },
		{ "cri-containerd", CGROUP_CONTAINERD },
		{ "crio", CGROUP_CRIO },
	};

	for (size_t i = 0; above && i < ARRAY_SIZE(folders); i++)
		if (above->len == strlen(folders[i].name) && starts(above, folders[i].name))
			return folders[i].runtime;
	return CGROUP_UNKNOWN;
}

static bool match(struct part p, const struct part *above, struct cgroup_container *ret)
{
	if (match_machine(p, above, ret))
		return true;
	drop_suffix(&p, ".scope");
	for (size_t i = 0; i < ARRAY_SIZE(namings); i++) {
		size_t len = strlen(namings[i].prefix);
		struct part id = { p.s + len, p.len - MIN(p.len, len) };

		if (!starts(&p, namings[i].prefix) || !is_id(&id))
			continue;
		ret->runtime = len ? namings[i].runtime : by_folder(above);
		memcpy(ret->id, id.s, id.len);
		ret->id[id.len] = '\0';
		return !namings[i].helper;
	}
	return false;
}

/* The same container may be named twice on the way (docker's parent cgroup, then the container's own). */
static void add(struct cgroup_container ret[CGROUP_NEST_MAX], size_t *n, const struct cgroup_container *found)
{
	if (*n > 0 && streq(ret[*n - 1].id, found->id))
		return;
	if (*n == CGROUP_NEST_MAX) {
		memmove(ret, ret + 1, (CGROUP_NEST_MAX - 1) * sizeof(*ret));
		(*n)--;
	}
	ret[(*n)++] = *found;
}

size_t cgroup_containers(const char *path, struct cgroup_container ret[CGROUP_NEST_MAX])
{
	struct part above = { NULL, 0 };
	size_t n = 0;

	while (*path) {
		struct cgroup_container found;
		struct part p = { path, strcspn(path, "/:") };

		if (p.len > 0) {
			if (match(p, above.s ? &above : NULL, &found))
				add(ret, &n, &found);
			above = p;
		}
		path += p.len + (path[p.len] != '\0');
	}
	return n;
}

bool cgroup_names_container(const char *path, size_t len)
{
	struct part above = { NULL, 0 };
	size_t run = 0;

	for (size_t i = 0, begin = 0; i <= len; i++) {
		bool hex = i < len && ((path[i] >= '0' && path[i] <= '9') || (path[i] >= 'a' && path[i] <= 'f'));

		run = hex ? run + 1 : 0;
		if (run >= CONTAINER_ID_LEN)
			return true;
		if (i == len || path[i] == '/') {
			struct cgroup_container found;
			struct part p = { path + begin, i - begin };

			if (match_machine(p, above.s ? &above : NULL, &found))
				return true;
			above = p;
			begin = i + 1;
		}
	}
	return false;
}
