/*
 * Getters of who did it: the process record and those of its ancestors. Run inside rule evaluation: no allocation, no
 * system call.
 */
#include <stdio.h>
#include <string.h>

#include "event/field_get.h"
#include "lib/util.h"

static const struct process *ancestor(const struct field_view *v, uint32_t n)
{
	const struct process *p = field_actor(v);

	while (p && n--)
		p = p->parent;
	return p;
}

/* --- of one process */

static void put_comm(const struct process *p, struct field_value *ret)
{
	if (p && p->known & PROCESS_COMM)
		field_set_bytes(ret, p->comm, strnlen(p->comm, sizeof(p->comm)));
}

static void put_exepath(const struct process *p, struct field_value *ret)
{
	if (p && p->known & PROCESS_EXE && p->exe)
		field_set_string(ret, p->exe);
}

static size_t argv_len(const struct process *p)
{
	size_t len = p->cmdline ? p->cmdline_len : 0;

	return len && !p->cmdline[len - 1] ? len - 1 : len;
}

static void put_argv0(const struct process *p, struct field_value *ret)
{
	if (p && p->known & PROCESS_CMDLINE && p->cmdline)
		field_set_bytes(ret, p->cmdline, strnlen(p->cmdline, argv_len(p)));
}

/* first, then the arguments behind argv[0], blanks between. */
static void put_line(struct field_view *v, const struct process *p, const char *first, size_t first_len,
		     struct field_value *ret)
{
	size_t all = argv_len(p), skip = all ? strnlen(p->cmdline, all) : 0, len, want;
	const char *rest = skip < all ? p->cmdline + skip + 1 : NULL;
	size_t rest_len = rest ? all - skip - 1 : 0;
	char *s, *at;

	want = len = first_len + (first && rest ? 1 : 0) + rest_len;
	s = field_room(v, &len);
	if (len < want) {
		ret->n = 0;
		return;
	}
	at = s;
	if (first)
		at = mempcpy(at, first, first_len);
	if (first && rest)
		*at++ = ' ';
	for (size_t i = 0; i < rest_len; i++)
		*at++ = rest[i] ? rest[i] : ' ';
	*at = '\0';
	field_set_bytes(ret, s, len);
}

static void put_cmdline(struct field_view *v, const struct process *p, struct field_value *ret)
{
	if (!p || !(p->known & PROCESS_COMM))
		return;
	if (!(p->known & PROCESS_CMDLINE)) {
		put_comm(p, ret);
		return;
	}
	put_line(v, p, p->comm, strnlen(p->comm, sizeof(p->comm)), ret);
}

/* --- of the one that did it, its parent, its ancestors */

FIELD_GETTER(get_proc_name)
{
	put_comm(field_actor(v), ret);
}

FIELD_GETTER(get_proc_pname)
{
	put_comm(ancestor(v, 1), ret);
}

static void lineage(struct field_view *v, const struct field_ref *ref, struct field_value *ret,
		    void (*put)(const struct process *, struct field_value *))
{
	const struct process *p = ancestor(v, 1);
	struct field_item *items;
	uint32_t n = 0;

	if (ref->arg) {
		put(ancestor(v, ref->index), ret);
		return;
	}
	items = p ? field_items(v, PROCESS_DEPTH_MAX) : NULL;
	for (; items && p && n < PROCESS_DEPTH_MAX; p = p->parent) {
		struct field_value one = { 0 };

		put(p, &one);
		if (one.n)
			items[n++] = one.one;
	}
	ret->n = n;
	ret->items = items;
}

FIELD_GETTER(get_proc_aname)
{
	lineage(v, ref, ret, put_comm);
}

FIELD_GETTER(get_proc_aexe)
{
	lineage(v, ref, ret, put_argv0);
}

FIELD_GETTER(get_proc_aexepath)
{
	lineage(v, ref, ret, put_exepath);
}

static void put_pid(const struct process *p, struct field_value *ret)
{
	if (p)
		field_set_number(ret, p->pid);
}

FIELD_GETTER(get_proc_apid)
{
	lineage(v, ref, ret, put_pid);
}

FIELD_GETTER(get_proc_exe)
{
	put_argv0(field_actor(v), ret);
}

FIELD_GETTER(get_proc_pexe)
{
	put_argv0(ancestor(v, 1), ret);
}

FIELD_GETTER(get_proc_exepath)
{
	put_exepath(field_actor(v), ret);
}

FIELD_GETTER(get_proc_pexepath)
{
	put_exepath(ancestor(v, 1), ret);
}

FIELD_GETTER(get_proc_cmdline)
{
	put_cmdline(v, field_actor(v), ret);
}

FIELD_GETTER(get_proc_pcmdline)
{
	put_cmdline(v, ancestor(v, 1), ret);
}

FIELD_GETTER(get_proc_acmdline)
{
	put_cmdline(v, ancestor(v, ref->index), ret);
}

FIELD_GETTER(get_proc_exeline)
{
	const struct process *p = field_actor(v);

	if (p && p->known & PROCESS_CMDLINE && p->cmdline)
		put_line(v, p, p->cmdline, strnlen(p->cmdline, argv_len(p)), ret);
}

FIELD_GETTER(get_proc_args)
{
	const struct process *p = field_actor(v);
	const char *at, *end;

	if (!p || !(p->known & PROCESS_CMDLINE))
		return;
	if (!ref->arg) {
		put_line(v, p, NULL, 0, ret);
		return;
	}
	at = p->cmdline;
	end = at + argv_len(p);
	for (uint32_t i = 0; at && at < end; i++, at += strnlen(at, (size_t)(end - at)) + 1) {
		if (i == ref->index + 1) {
			field_set_bytes(ret, at, strnlen(at, (size_t)(end - at)));
			return;
		}
	}
}

FIELD_GETTER(get_proc_nargs)
{
	const struct process *p = field_actor(v);
	int64_t n = 0;

	if (!p || !(p->known & PROCESS_CMDLINE))
		return;
	for (size_t i = 0; i < argv_len(p); i++)
		n += !p->cmdline[i];
	field_set_number(ret, n);
}

FIELD_GETTER(get_proc_cwd)
{
	const struct process *p = field_actor(v);

	if (p && p->known & PROCESS_CWD)
		field_set_string(ret, p->cwd);
}

FIELD_GETTER(get_proc_pid)
{
	put_pid(field_actor(v), ret);
}

FIELD_GETTER(get_proc_ppid)
{
	const struct process *p = field_actor(v);

	if (p && p->known & PROCESS_PPID)
		field_set_number(ret, p->ppid);
}

/* Device number of a terminal's name, as the kernel has it in stat(5) of /proc; 1 for a name that is not one of these.
 */
static int64_t tty_number(const char *tty)
{
	static const struct {
		const char *name;
		int64_t base;
	} kinds[] = { { "pts/", 136 << 8 }, { "ttyS", 4 << 8 | 64 }, { "tty", 4 << 8 }, { "console", 5 << 8 | 1 } };
	unsigned n;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (strncmp(tty, kinds[i].name, strlen(kinds[i].name)) != 0)
			continue;
		return sscanf(tty + strlen(kinds[i].name), "%4u", &n) == 1 ? kinds[i].base + n : kinds[i].base;
	}
	return 1;
}

FIELD_GETTER(get_proc_tty)
{
	const struct process *p = field_actor(v);

	if (p && p->known & PROCESS_NO_TTY)
		field_set_number(ret, 0);
	else if (p && p->known & PROCESS_TTY && p->tty)
		field_set_number(ret, tty_number(p->tty));
}

FIELD_GETTER(get_proc_sid)
{
	const struct process *p = field_actor(v);

	if (p && p->known & PROCESS_SID)
		field_set_number(ret, p->sid);
}

/* The session leader's name, when it is among the ancestors. */
FIELD_GETTER(get_proc_sname)
{
	const struct process *p = field_actor(v);

	if (!p || !(p->known & PROCESS_SID))
		return;
	for (const struct process *a = p; a; a = a->parent) {
		if (a->pid == p->sid) {
			put_comm(a, ret);
			return;
		}
	}
}

FIELD_GETTER(get_proc_duration)
{
	const struct process *p = field_actor(v);

	if (p && p->known & PROCESS_START && v->event->boot_time >= p->start_ns)
		field_set_number(ret, (int64_t)(v->event->boot_time - p->start_ns));
}

FIELD_GETTER(get_proc_start)
{
	const struct process *p = field_actor(v);

	if (p && p->known & PROCESS_START && v->event->boot_time >= p->start_ns)
		field_set_number(ret, (int64_t)(v->event->time - (v->event->boot_time - p->start_ns)));
}
