/*
 * Getters of who did it: the process record and its ancestors, and what the view's fetch function reads besides. Run
 * inside rule evaluation: no allocation; the only system calls are those of the fetch function, once a group and event,
 * and the look at /etc/passwd that user_name takes at most once a second.
 */
#include <stdio.h>
#include <string.h>

#include "event/field_get.h"
#include "event/user.h"
#include "lib/text.h"
#include "lib/util.h"

static const struct process *self(const struct field_view *v)
{
	return v->event->process;
}

static const struct process *ancestor(const struct field_view *v, uint32_t n)
{
	const struct process *p = self(v);

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
	(void)ref;
	put_comm(self(v), ret);
}

FIELD_GETTER(get_proc_pname)
{
	(void)ref;
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
	(void)ref;
	put_argv0(self(v), ret);
}

FIELD_GETTER(get_proc_pexe)
{
	(void)ref;
	put_argv0(ancestor(v, 1), ret);
}

FIELD_GETTER(get_proc_exepath)
{
	(void)ref;
	put_exepath(self(v), ret);
}

FIELD_GETTER(get_proc_pexepath)
{
	(void)ref;
	put_exepath(ancestor(v, 1), ret);
}

FIELD_GETTER(get_proc_cmdline)
{
	(void)ref;
	put_cmdline(v, self(v), ret);
}

FIELD_GETTER(get_proc_pcmdline)
{
	(void)ref;
	put_cmdline(v, ancestor(v, 1), ret);
}

FIELD_GETTER(get_proc_acmdline)
{
	put_cmdline(v, ancestor(v, ref->index), ret);
}

FIELD_GETTER(get_proc_exeline)
{
	const struct process *p = self(v);

	(void)ref;
	if (p && p->known & PROCESS_CMDLINE && p->cmdline)
		put_line(v, p, p->cmdline, strnlen(p->cmdline, argv_len(p)), ret);
}

FIELD_GETTER(get_proc_args)
{
	const struct process *p = self(v);
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
	const struct process *p = self(v);
	int64_t n = 0;

	(void)ref;
	if (!p || !(p->known & PROCESS_CMDLINE))
		return;
	for (size_t i = 0; i < argv_len(p); i++)
		n += !p->cmdline[i];
	field_set_number(ret, n);
}

FIELD_GETTER(get_proc_cwd)
{
	const struct process *p = self(v);

	(void)ref;
	if (p && p->known & PROCESS_CWD)
		field_set_string(ret, p->cwd);
}

FIELD_GETTER(get_proc_pid)
{
	(void)ref;
	put_pid(self(v), ret);
}

FIELD_GETTER(get_proc_ppid)
{
	const struct process *p = self(v);

	(void)ref;
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
	const struct process *p = self(v);

	(void)ref;
	if (p && p->known & PROCESS_NO_TTY)
		field_set_number(ret, 0);
	else if (p && p->known & PROCESS_TTY && p->tty)
		field_set_number(ret, tty_number(p->tty));
}

FIELD_GETTER(get_proc_sid)
{
	const struct process *p = self(v);

	(void)ref;
	if (p && p->known & PROCESS_SID)
		field_set_number(ret, p->sid);
}

/* The session leader's name, when it is among the ancestors. */
FIELD_GETTER(get_proc_sname)
{
	const struct process *p = self(v);

	(void)ref;
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
	const struct process *p = self(v);

	(void)ref;
	if (p && p->known & PROCESS_START && v->event->boot_time >= p->start_ns)
		field_set_number(ret, (int64_t)(v->event->boot_time - p->start_ns));
}

FIELD_GETTER(get_proc_start)
{
	const struct process *p = self(v);

	(void)ref;
	if (p && p->known & PROCESS_START && v->event->boot_time >= p->start_ns)
		field_set_number(ret, (int64_t)(v->event->time - (v->event->boot_time - p->start_ns)));
}

/* --- read on demand */

/* One variable, or all of them with blanks between. */
FIELD_GETTER(get_proc_env)
{
	const char *at, *end;
	size_t len, key;
	char *s;

	if (!field_need(v, GROUP_ENVIRON) || !v->extra.environ)
		return;
	at = v->extra.environ;
	end = at + v->extra.environ_len;
	if (!ref->arg) {
		len = v->extra.environ_len && !end[-1] ? v->extra.environ_len - 1 : v->extra.environ_len;
		s = field_room(v, &len);
		for (size_t i = 0; i < len; i++)
			s[i] = at[i] ? at[i] : ' ';
		s[len] = '\0';
		field_set_bytes(ret, s, len);
		return;
	}
	key = strlen(ref->arg);
	for (; at < end; at += len + 1) {
		len = strnlen(at, (size_t)(end - at));
		if (len > key && at[key] == '=' && memcmp(at, ref->arg, key) == 0) {
			field_set_bytes(ret, at + key + 1, len - key - 1);
			return;
		}
	}
}

FIELD_GETTER(get_proc_vpid)
{
	(void)ref;
	if (field_need(v, GROUP_STATUS) && v->extra.vpid)
		field_set_number(ret, v->extra.vpid);
}

FIELD_GETTER(get_proc_vpgid_leader)
{
	(void)ref;
	if (field_need(v, GROUP_STATUS) && v->extra.vpid && v->extra.vpgid)
		field_set_number(ret, v->extra.vpid == v->extra.vpgid);
}

FIELD_GETTER(get_proc_memfd)
{
	const struct process *p = self(v);

	(void)ref;
	if (p && p->known & PROCESS_EXE && p->exe)
		field_set_number(ret, strncmp(p->exe, "/memfd:", 7) == 0 || strncmp(p->exe, "memfd:", 6) == 0);
}

FIELD_GETTER(get_proc_upper_layer)
{
	(void)ref;
	if (field_need(v, GROUP_LAYER) && v->extra.have_upper_layer)
		field_set_number(ret, v->extra.upper_layer);
}

static const struct record *exe_record(const struct field_view *v)
{
	return v->event->kind == EVENT_EXEC && v->event->has_after ? &v->event->after : NULL;
}

FIELD_GETTER(get_exe_mtime)
{
	const struct record *r = exe_record(v);

	(void)ref;
	if (r && r->have & ATTR_BIT(ATTR_MTIME))
		field_set_number(ret, r->mtime);
}

FIELD_GETTER(get_exe_ctime)
{
	const struct record *r = exe_record(v);

	(void)ref;
	if (r && r->have & ATTR_BIT(ATTR_CTIME))
		field_set_number(ret, r->ctime);
}

FIELD_GETTER(get_exe_ino)
{
	const struct record *r = exe_record(v);

	(void)ref;
	if (r && r->have & ATTR_BIT(ATTR_INO))
		field_set_number(ret, (int64_t)r->ino);
}

FIELD_GETTER(get_exe_ctime_age)
{
	const struct record *r = exe_record(v);

	(void)ref;
	if (r && r->have & ATTR_BIT(ATTR_CTIME) && (int64_t)v->event->time >= r->ctime)
		field_set_number(ret, (int64_t)v->event->time - r->ctime);
}

static const char *const cap_names[] = {
	"CHOWN",
	"DAC_OVERRIDE",
	"DAC_READ_SEARCH",
	"FOWNER",
	"FSETID",
	"KILL",
	"SETGID",
	"SETUID",
	"SETPCAP",
	"LINUX_IMMUTABLE",
	"NET_BIND_SERVICE",
	"NET_BROADCAST",
	"NET_ADMIN",
	"NET_RAW",
	"IPC_LOCK",
	"IPC_OWNER",
	"SYS_MODULE",
	"SYS_RAWIO",
	"SYS_CHROOT",
	"SYS_PTRACE",
	"SYS_PACCT",
	"SYS_ADMIN",
	"SYS_BOOT",
	"SYS_NICE",
	"SYS_RESOURCE",
	"SYS_TIME",
	"SYS_TTY_CONFIG",
	"MKNOD",
	"LEASE",
	"AUDIT_WRITE",
	"AUDIT_CONTROL",
	"SETFCAP",
	"MAC_OVERRIDE",
	"MAC_ADMIN",
	"SYSLOG",
	"WAKE_ALARM",
	"BLOCK_SUSPEND",
	"AUDIT_READ",
	"PERFMON",
	"BPF",
	"CHECKPOINT_RESTORE",
};

static void put_caps(struct field_view *v, uint64_t caps, struct field_value *ret)
{
	size_t len = ARRAY_SIZE(cap_names) * 24;
	char *s = field_room(v, &len), *at = s;

	if (len < ARRAY_SIZE(cap_names) * 24)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(cap_names); i++) {
		if (!(caps >> i & 1))
			continue;
		if (at != s)
			*at++ = ' ';
		at = stpcpy(stpcpy(at, "CAP_"), cap_names[i]);
	}
	field_set_bytes(ret, s, (size_t)(at - s));
}

static bool need_caps(struct field_view *v)
{
	return field_need(v, GROUP_STATUS) && v->extra.have_caps;
}

FIELD_GETTER(get_cap_effective)
{
	(void)ref;
	if (need_caps(v))
		put_caps(v, v->extra.cap_effective, ret);
}

FIELD_GETTER(get_cap_permitted)
{
	(void)ref;
	if (need_caps(v))
		put_caps(v, v->extra.cap_permitted, ret);
}

FIELD_GETTER(get_cap_inheritable)
{
	(void)ref;
	if (need_caps(v))
		put_caps(v, v->extra.cap_inheritable, ret);
}

/* --- users */

FIELD_GETTER(get_user_name)
{
	const struct process *p = self(v);

	(void)ref;
	if (p && p->known & PROCESS_IDS)
		field_set_string(ret, user_name(p->uid));
}

FIELD_GETTER(get_user_uid)
{
	const struct process *p = self(v);

	(void)ref;
	if (p && p->known & PROCESS_IDS)
		field_set_number(ret, p->uid);
}

/* -1: no login stands behind it. */
FIELD_GETTER(get_user_loginuid)
{
	const struct process *p = self(v);

	(void)ref;
	if (p && p->known & PROCESS_LOGINUID)
		field_set_number(ret, p->loginuid);
	else if (p && p->known & PROCESS_NO_LOGINUID)
		field_set_number(ret, -1);
}

FIELD_GETTER(get_user_loginname)
{
	const struct process *p = self(v);

	(void)ref;
	if (p && p->known & PROCESS_LOGINUID)
		field_set_string(ret, user_name(p->loginuid));
}

FIELD_GETTER(get_group_gid)
{
	const struct process *p = self(v);

	(void)ref;
	if (p && p->known & PROCESS_IDS)
		field_set_number(ret, p->gid);
}

/* --- containers */

#define CONTAINER_ID_LEN   64
#define CONTAINER_ID_SHOWN 12

/* The last run of just 64 hex digits in a cgroup's path: every runtime names its cgroups by the container's id. */
static const char *container_in(const char *cgroup)
{
	static const char digits[] = "0123456789abcdef";
	const char *found = NULL;

	for (const char *at = cgroup; *at;) {
		size_t run = strspn(at, digits);

		if (run == CONTAINER_ID_LEN)
			found = at;
		at += run ? run : 1;
	}
	return found;
}

FIELD_GETTER(get_container_id)
{
	const struct process *p = self(v);
	const char *id;

	(void)ref;
	if (!p || !(p->known & PROCESS_CGROUP) || !p->cgroup)
		return;
	id = container_in(p->cgroup);
	if (id)
		field_set_bytes(ret, id, CONTAINER_ID_SHOWN);
	else
		field_set_string(ret, "host");
}

#define EXTRA_STRING(name, group, member)                                                                              \
	FIELD_GETTER(name)                                                                                             \
	{                                                                                                              \
		(void)ref;                                                                                             \
		if (field_need(v, group))                                                                              \
			field_set_string(ret, v->extra.member);                                                        \
	}
EXTRA_STRING(get_container_name, GROUP_CONTAINER, container_name)
EXTRA_STRING(get_container_image, GROUP_CONTAINER, container_image)
EXTRA_STRING(get_container_repository, GROUP_CONTAINER, container_repository)
EXTRA_STRING(get_container_tag, GROUP_CONTAINER, container_tag)
EXTRA_STRING(get_container_digest, GROUP_CONTAINER, container_digest)
EXTRA_STRING(get_pod, GROUP_CONTAINER, pod)
EXTRA_STRING(get_namespace, GROUP_CONTAINER, namespace)

FIELD_GETTER(get_container_privileged)
{
	(void)ref;
	if (field_need(v, GROUP_CONTAINER) && v->extra.have_privileged)
		field_set_number(ret, v->extra.privileged);
}

FIELD_GETTER(get_container_mounts)
{
	struct field_item *items;
	uint32_t n = 0;

	(void)ref;
	if (!field_need(v, GROUP_CONTAINER) || !v->extra.have_mounts)
		return;
	items = field_items(v, v->extra.n_mounts);
	for (; items && n < v->extra.n_mounts; n++) {
		const char *s = v->extra.mount_dests[n];

		items[n] = (struct field_item){ .s = s, .len = (uint32_t)strlen(s) };
	}
	ret->n = n;
	ret->items = items;
}

/* Rules ask whether it is "N/A": that is the value when no such mount is known. */
FIELD_GETTER(get_container_mount_dest)
{
	field_set_string(ret, "N/A");
	if (!field_need(v, GROUP_CONTAINER) || !v->extra.have_mounts)
		return;
	for (uint32_t i = 0; i < v->extra.n_mounts; i++) {
		if (text_glob(ref->arg, v->extra.mount_dests[i])) {
			field_set_string(ret, v->extra.mount_dests[i]);
			return;
		}
	}
}
