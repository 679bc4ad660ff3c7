/* Cgroups of the watchdog's process, both kinds. In that process alone. */
#include "exec/watchdog_cgroup.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/text.h"
#include "lib/util.h"
#include "watch/mounts.h"

enum { V1_PROCS, V2_FREEZE, V2_PROCS };

static bool has_word(const char *list, const char *word)
{
	size_t len = strlen(word);

	for (const char *p = list; (p = strstr(p, word)); p += len)
		if ((p == list || p[-1] == ',') && (p[len] == ',' || p[len] == '\0'))
			return true;
	return false;
}

/* A whole hierarchy: what is mounted of a part of one has no names for the rest. */
static const struct mount *find_hierarchy(const struct mount_table *t, bool second)
{
	for (size_t i = 0; i < t->n; i++) {
		const struct mount *m = &t->mounts[i];

		if (!streq(m->root, "/") || mounts_find(t, m->point) != m)
			continue;
		if (second ? streq(m->fstype, "cgroup2")
			   : streq(m->fstype, "cgroup") && has_word(m->super_options, "freezer"))
			return m;
	}
	return NULL;
}

/* The daemon's path in a hierarchy: lines "N:CONTROLLERS:PATH", "0::PATH". */
static bool find_path(bool second, char *ret, size_t size)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/self/cgroup", "re");
	char line[4200];

	while (f && fgets(line, sizeof(line), f)) {
		char *list = strchr(line, ':'), *path = list ? strchr(list + 1, ':') : NULL;

		if (!path || path[1] != '/')
			continue;
		*path++ = '\0';
		path[strcspn(path, "\n")] = '\0';
		list++;
		if (second ? *list == '\0' && strncmp(line, "0:", 2) == 0 : has_word(list, "freezer"))
			return snprintf(ret, size, "%s", path) < (int)size;
	}
	return false;
}

static int open_at(const char *point, const char *path, const char *name)
{
	char full[8192];

	if (snprintf(full, sizeof(full), "%s%s/%s", point, streq(path, "/") ? "" : path, name) >= (int)sizeof(full))
		return -1;
	return open(full, O_WRONLY | O_CLOEXEC);
}

static bool put(int fd, const char *text)
{
	return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

/*
 * True when there is nothing to leave, or it was left. The way out of a freezer of the first kind is kept in any case:
 * somebody may put the daemon there later.
 */
static bool leave(const struct mount_table *t, bool second, struct watchdog_cgroups *c)
{
	const struct mount *m = find_hierarchy(t, second);
	_cleanup_close_ int root = m ? open_at(m->point, "/", "cgroup.procs") : -1;
	char path[4200];
	bool left;

	if (!find_path(second, path, sizeof(path)))
		return true;
	if (m && second && !streq(path, "/")) {
		c->fd[V2_FREEZE] = open_at(m->point, path, "cgroup.freeze");
		c->fd[V2_PROCS] = open_at(m->point, path, "cgroup.procs");
	}
	left = streq(path, "/") || put(root, "0");
	if (!second)
		c->fd[V1_PROCS] = TAKE_FD(root);
	return left;
}

bool watchdog_leave(pid_t daemon, struct watchdog_cgroups *ret)
{
	struct mount_table t;
	bool apart;

	*ret = (struct watchdog_cgroups){ { -1, -1, -1 }, daemon };
	if (mounts_read("/proc/self/mountinfo", &t, NULL) < 0)
		return false;
	apart = leave(&t, false, ret);
	apart &= leave(&t, true, ret);
	mounts_free(&t);
	return apart;
}

void watchdog_thaw(const struct watchdog_cgroups *c)
{
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", (int)c->daemon);
	put(c->fd[V1_PROCS], pid);
	put(c->fd[V2_FREEZE], "0");
}

void watchdog_return(const struct watchdog_cgroups *c)
{
	put(c->fd[V2_PROCS], "0");
}
