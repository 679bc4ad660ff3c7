/*
 * The table of package managers, and the walk up a process's ancestors. Constant data; any thread. It must not touch
 * the host: all it knows is in the snapshots of processes.
 */
#include "pkg/manager.h"

#include <string.h>

#include "lib/util.h"

#define SCRIPT_ARGS 4 /* interpreter, an option or two, script */

static const struct package_manager managers[] = {
	{
		.name = "dpkg",
		.programs = { "/usr/bin/dpkg" },
		.installs = true,
		.own = { "/var/lib/dpkg", "/var/log/dpkg.log" },
		.info = "/var/lib/dpkg/info/",
		.staged = "/var/lib/dpkg/tmp.ci/",
	},
	{
		.name = "apt",
		.programs = { "/usr/bin/apt-get", "/usr/bin/apt", "/usr/bin/aptitude-curses" },
		.own = { "/var/lib/apt", "/var/cache/apt", "/var/log/apt", "/var/lib/aptitude" },
	},
};

static const struct package_manager *manager_by_program(const char *path, const char **ret_program)
{
	for (size_t i = 0; i < ARRAY_SIZE(managers); i++)
		for (size_t k = 0; k < ARRAY_SIZE(managers[i].programs) && managers[i].programs[k]; k++)
			if (streq(path, managers[i].programs[k])) {
				*ret_program = managers[i].programs[k];
				return &managers[i];
			}
	return NULL;
}

static const struct package_manager *manager_of(const struct process *p, const char **ret_program)
{
	return p->known & PROCESS_EXE ? manager_by_program(p->exe, ret_program) : NULL;
}

const char *package_manager_program(const char *path)
{
	const char *program;

	return manager_by_program(path, &program) ? program : NULL;
}

bool package_actor(const struct process *p, struct package_actor *ret)
{
	const struct process *image = p, *next;
	const struct package_manager *m = NULL;
	const char *program = NULL;

	for (; image && !(m = manager_of(image, &program)); image = image->parent)
		;
	if (!m)
		return false;
	*ret = (struct package_actor){ .manager = m, .program = program, .itself = image == p };
	/* Its forks are it. */
	for (next = image->parent; next && next->known & PROCESS_EXE && streq(next->exe, program); next = next->parent)
		image = next;
	ret->image = image;
	return true;
}

bool package_manager_owns(const struct package_manager *m, const char *path)
{
	for (size_t i = 0; i < ARRAY_SIZE(m->own) && m->own[i]; i++) {
		size_t len = strlen(m->own[i]);

		if (strncmp(path, m->own[i], len) == 0 && (path[len] == '\0' || path[len] == '/'))
			return true;
	}
	return false;
}

/* --- scripts */

static const char *const script_kinds[] = { "preinst", "postinst", "prerm", "postrm", "config" };

static bool script_is_kind(const char *s)
{
	for (size_t i = 0; i < ARRAY_SIZE(script_kinds); i++)
		if (streq(script_kinds[i], s))
			return true;
	return false;
}

/* Package names as deb-control(5) has them, with an architecture: nothing else is repeated. */
static bool script_name_valid(const char *name, size_t len)
{
	return len > 0 && len < 128 && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789+-.:") >= len;
}

static bool script_text(const struct package_manager *m, const char *arg, struct buf *b)
{
	const char *name, *dot;

	if (m->staged && strncmp(arg, m->staged, strlen(m->staged)) == 0 && script_is_kind(arg + strlen(m->staged))) {
		buf_printf(b, "%s of a package", arg + strlen(m->staged));
		return true;
	}
	if (!m->info || strncmp(arg, m->info, strlen(m->info)) != 0)
		return false;
	name = arg + strlen(m->info);
	dot = strrchr(name, '.');
	if (!dot || !script_is_kind(dot + 1) || !script_name_valid(name, (size_t)(dot - name)))
		return false;
	buf_printf(b, "%s of %.*s", dot + 1, (int)(dot - name), name);
	return true;
}

static bool script_of(const struct package_manager *m, const struct process *p, struct buf *b)
{
	const char *arg = p->cmdline, *end = arg ? arg + p->cmdline_len : NULL;

	if (!(p->known & PROCESS_CMDLINE))
		return false;
	for (unsigned i = 0; i < SCRIPT_ARGS && arg && arg < end; i++) {
		size_t len = strnlen(arg, (size_t)(end - arg));

		if (arg + len < end && script_text(m, arg, b))
			return true;
		arg += len + 1;
	}
	return false;
}

void package_script_text(const struct package_actor *a, const struct process *p, struct buf *b)
{
	for (; p && p != a->image; p = p->parent)
		if (script_of(a->manager, p, b))
			return;
}
