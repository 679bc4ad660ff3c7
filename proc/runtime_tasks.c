/*
 * containerd's tasks: NAMESPACE/ID is an OCI bundle, whatever made it (the CRI plugin, docker as "moby", nerdctl, ctr);
 * and the machines of systemd, whose names are their ids.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/util.h"
#include "proc/runtime-internal.h"

#define NAMESPACES_MAX 256

/* The first process, and when it was there: the bundle's own age, where nothing better is kept. */
static void read_init(struct reading *r, const char *bundle)
{
	_cleanup_buf_ struct buf path = BUF_INIT;
	const char *text = NULL;
	struct stat st;

	buf_printf(&path, "%s/init.pid", bundle);
	if (!path.failed)
		text = reading_line(r, path.data);
	if (text)
		r->init = (int32_t)MAX(0L, MIN(strtol(text, NULL, 10), (long)INT32_MAX));
	if (!path.failed && !r->c->started && lstat(path.data, &st) == 0)
		r->c->started = (uint64_t)st.st_mtim.tv_sec * NSEC_PER_SEC + (uint64_t)st.st_mtim.tv_nsec;
}

static bool read_task(struct reading *r, const char *store, const char *namespace)
{
	_cleanup_buf_ struct buf bundle = BUF_INIT;
	enum cgroup_runtime runtime = streq(namespace, "moby") ? CGROUP_DOCKER : CGROUP_CONTAINERD;

	buf_printf(&bundle, "%s/%s/%s", store, namespace, r->c->id);
	if (bundle.failed || !bundle_read(r, bundle.data))
		return false;
	if (!r->c->runtime)
		r->c->runtime = cgroup_runtime_names[runtime];
	if (runtime == CGROUP_CONTAINERD && !streq(namespace, "k8s.io"))
		reading_set(r, &r->c->namespace, namespace);
	read_init(r, bundle.data);
	return true;
}

bool tasks_read(struct reading *r, const struct runtime_store *s)
{
	_cleanup_closedir_ DIR *dir = opendir(s->path);
	const struct dirent *d;
	bool found = false;

	for (unsigned n = 0; dir && !found && n < NAMESPACES_MAX && (d = readdir(dir)); n++)
		found = d->d_name[0] != '.' && read_task(r, s->path, d->d_name);
	return found;
}

/* KEY=value lines, as systemd-machined writes them to be read with load_env_file. */
static void read_machine(struct reading *r, char *text)
{
	char *save = NULL;

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *value = strchr(line, '=');
		unsigned long long us;

		if (!value)
			continue;
		*value++ = '\0';
		if (*value == '"' && value[1]) {
			value++;
			value[strcspn(value, "\"")] = '\0';
		}
		if (streq(line, "NAME"))
			reading_set(r, &r->c->name, value);
		else if (streq(line, "ROOT"))
			reading_set(r, &r->c->upper, value);
		else if (streq(line, "REALTIME") && sscanf(value, "%llu", &us) == 1)
			r->c->started = (uint64_t)us * 1000;
	}
}

bool machines_read(struct reading *r, const struct runtime_store *s)
{
	_cleanup_buf_ struct buf path = BUF_INIT;
	char *text;

	buf_printf(&path, "%s/%s", s->path, r->c->id);
	text = path.failed ? NULL : reading_text(r, path.data);
	if (!text)
		return false;
	read_machine(r, text);
	reading_set(r, &r->c->name, r->c->id);
	r->c->runtime = cgroup_runtime_names[CGROUP_NSPAWN];
	return true;
}
