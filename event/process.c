/*
 * Process snapshots: one block of memory each, immutable but for the count and the writer's row. Any thread may hold,
 * read and drop one.
 */
#include "event/process.h"

#include <string.h>

#include "event/json.h"
#include "lib/buf.h"
#include "lib/util.h"

struct process *process_ref(struct process *p)
{
	atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
	return p;
}

/* A loop: the parents of a long chain may all go at once. */
void process_unref(struct process *p)
{
	while (p && atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) == 1) {
		struct process *parent = p->parent;

		free(p);
		p = parent;
	}
}

static const char *process_copy(char **at, const char *s, size_t len)
{
	char *copy = *at;

	if (!s)
		return NULL;
	memcpy(copy, s, len);
	copy[len] = '\0';
	*at += len + 1;
	return copy;
}

static size_t process_room(const char *s)
{
	return s ? strlen(s) + 1 : 0;
}

struct process *process_new(const struct process *values)
{
	size_t cmdline_len = values->cmdline ? values->cmdline_len : 0;
	size_t room = process_room(values->exe) + process_room(values->cwd) + process_room(values->tty) +
		      process_room(values->cgroup) + cmdline_len + 1;
	struct process *p = malloc(sizeof(*p) + room);
	char *at;

	if (!p)
		return NULL;
	memcpy(p, values, sizeof(*p));
	atomic_init(&p->refs, 1);
	atomic_init(&p->row, 0);
	at = (char *)(p + 1);
	p->cmdline = process_copy(&at, values->cmdline, cmdline_len);
	p->cmdline_len = (uint32_t)cmdline_len;
	p->exe = process_copy(&at, values->exe, values->exe ? strlen(values->exe) : 0);
	p->cwd = process_copy(&at, values->cwd, values->cwd ? strlen(values->cwd) : 0);
	p->tty = process_copy(&at, values->tty, values->tty ? strlen(values->tty) : 0);
	p->cgroup = process_copy(&at, values->cgroup, values->cgroup ? strlen(values->cgroup) : 0);
	p->comm[sizeof(p->comm) - 1] = '\0';
	if (p->parent)
		process_ref(p->parent);
	return p;
}

const char *process_name(const struct process *p)
{
	const char *slash;

	if (p->known & PROCESS_EXE && p->exe) {
		slash = strrchr(p->exe, '/');
		return slash && slash[1] ? slash + 1 : p->exe;
	}
	return p->known & PROCESS_COMM && p->comm[0] ? p->comm : NULL;
}

/* argv with blanks between, for people: the exact arguments are in the store. */
static void process_put_cmdline(json_t *o, const struct process *p)
{
	_cleanup_buf_ struct buf b = BUF_INIT;
	size_t len = p->cmdline_len;

	while (len && !p->cmdline[len - 1])
		len--;
	buf_add(&b, p->cmdline, len);
	if (b.failed)
		return;
	for (size_t i = 0; i < b.len; i++) {
		if (!b.data[i])
			b.data[i] = ' ';
	}
	if (p->cmdline_cut)
		buf_str(&b, " ...");
	if (!b.failed)
		json_put_bytes(o, "cmdline", b.data, b.len);
}

static void process_put_ids(json_t *o, const struct process *p)
{
	if (p->known & PROCESS_IDS) {
		json_object_set_new(o, "uid", json_integer(p->uid));
		json_object_set_new(o, "gid", json_integer(p->gid));
		if (p->euid != p->uid)
			json_object_set_new(o, "euid", json_integer(p->euid));
		if (p->egid != p->gid)
			json_object_set_new(o, "egid", json_integer(p->egid));
		json_put_string(o, "user", user_name(p->uid));
	}
	if (p->known & PROCESS_LOGINUID) {
		json_object_set_new(o, "loginuid", json_integer(p->loginuid));
		json_put_string(o, "login_user", user_name(p->loginuid));
	}
}

static void process_put_ancestors(json_t *o, const struct process *p)
{
	json_t *list;
	unsigned n = 0;

	if (!p->parent)
		return;
	list = json_array();
	for (const struct process *a = p->parent; a && n < PROCESS_DEPTH_MAX; a = a->parent, n++) {
		json_t *item = json_object();

		json_object_set_new(item, "pid", json_integer(a->pid));
		if (a->known & PROCESS_EXE)
			json_put_string(item, "exe", a->exe);
		else if (a->known & PROCESS_COMM)
			json_put_string(item, "comm", a->comm);
		json_array_append_new(list, item);
	}
	json_object_set_new(o, "ancestors", list);
}

json_t *process_json(const struct process *p)
{
	json_t *o = json_object();

	json_object_set_new(o, "pid", json_integer(p->pid));
	if (p->known & PROCESS_PPID)
		json_object_set_new(o, "ppid", json_integer(p->ppid));
	if (p->known & PROCESS_EXE)
		json_put_string(o, "exe", p->exe);
	if (p->known & PROCESS_COMM)
		json_put_string(o, "comm", p->comm);
	if (p->known & PROCESS_CMDLINE && p->cmdline)
		process_put_cmdline(o, p);
	if (p->known & PROCESS_CWD)
		json_put_string(o, "cwd", p->cwd);
	process_put_ids(o, p);
	if (p->known & PROCESS_SESSION)
		json_object_set_new(o, "session", json_integer(p->session));
	if (p->known & PROCESS_TTY)
		json_put_string(o, "tty", p->tty);
	if (p->known & PROCESS_CGROUP)
		json_put_string(o, "cgroup", p->cgroup);
	process_put_ancestors(o, p);
	return o;
}
