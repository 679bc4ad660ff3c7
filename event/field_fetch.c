/*
 * Getters of what the view's fetch function reads, and of users. Run inside rule evaluation: no
 * allocation; the only system calls are those of the fetch function, once a group and event, and the look at
 * /etc/passwd that user_name takes at most once a second.
 */
#include <string.h>

#include "event/field_get.h"
#include "event/user.h"
#include "lib/util.h"

/* --- of the process */

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
	if (field_need(v, GROUP_STATUS) && v->extra.vpid)
		field_set_number(ret, v->extra.vpid);
}

FIELD_GETTER(get_proc_vpgid_leader)
{
	if (field_need(v, GROUP_STATUS) && v->extra.vpid && v->extra.vpgid)
		field_set_number(ret, v->extra.vpid == v->extra.vpgid);
}

FIELD_GETTER(get_proc_memfd)
{
	const struct process *p = field_actor(v);

	if (p && p->known & PROCESS_EXE && p->exe)
		field_set_number(ret, strncmp(p->exe, "/memfd:", 7) == 0 || strncmp(p->exe, "memfd:", 6) == 0);
}

static const struct record *exe_record(const struct field_view *v)
{
	return v->event->kind == EVENT_EXEC && v->event->has_after ? &v->event->after : NULL;
}

FIELD_GETTER(get_exe_mtime)
{
	const struct record *r = exe_record(v);

	if (r && r->have & ATTR_BIT(ATTR_MTIME))
		field_set_number(ret, r->mtime);
}

FIELD_GETTER(get_exe_ctime)
{
	const struct record *r = exe_record(v);

	if (r && r->have & ATTR_BIT(ATTR_CTIME))
		field_set_number(ret, r->ctime);
}

FIELD_GETTER(get_exe_ino)
{
	const struct record *r = exe_record(v);

	if (r && r->have & ATTR_BIT(ATTR_INO))
		field_set_number(ret, (int64_t)r->ino);
}

FIELD_GETTER(get_exe_ctime_age)
{
	const struct record *r = exe_record(v);

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
	if (need_caps(v))
		put_caps(v, v->extra.cap_effective, ret);
}

FIELD_GETTER(get_cap_permitted)
{
	if (need_caps(v))
		put_caps(v, v->extra.cap_permitted, ret);
}

FIELD_GETTER(get_cap_inheritable)
{
	if (need_caps(v))
		put_caps(v, v->extra.cap_inheritable, ret);
}

/* --- users */

FIELD_GETTER(get_user_name)
{
	const struct process *p = field_actor(v);

	if (p && p->known & PROCESS_IDS)
		field_set_string(ret, user_name(p->uid));
}

FIELD_GETTER(get_user_uid)
{
	const struct process *p = field_actor(v);

	if (p && p->known & PROCESS_IDS)
		field_set_number(ret, p->uid);
}

/* -1: no login stands behind it. */
FIELD_GETTER(get_user_loginuid)
{
	const struct process *p = field_actor(v);

	if (p && p->known & PROCESS_LOGINUID)
		field_set_number(ret, p->loginuid);
	else if (p && p->known & PROCESS_NO_LOGINUID)
		field_set_number(ret, -1);
}

FIELD_GETTER(get_user_loginname)
{
	const struct process *p = field_actor(v);

	if (p && p->known & PROCESS_LOGINUID)
		field_set_string(ret, user_name(p->loginuid));
}

FIELD_GETTER(get_group_gid)
{
	const struct process *p = field_actor(v);

	if (p && p->known & PROCESS_IDS)
		field_set_number(ret, p->gid);
}
