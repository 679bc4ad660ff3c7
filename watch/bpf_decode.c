/*
 * Records of the BPF programs about processes, made into what the process table keeps, and what all records have. No
 * state; any thread. The kernel wrote them, but names and arguments are whatever a user chose.
 */
#include <errno.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "lib/util.h"
#include "proc/parse.h"
#include "watch/bpf.h"
#include "watch/bpf_decode.h"

const char *decode_take(struct decode_cursor *c, size_t len)
{
	const char *at = c->at;

	if (len > c->left)
		return NULL;
	c->at += len;
	c->left -= len;
	return at;
}

static char *decode_join(char *to, const char *names, size_t len)
{
	size_t end;

	while (len) {
		end = len - 1; /* of the last name's NUL */
		for (len = end; len && names[len - 1]; len--)
			;
		*to++ = '/';
		memcpy(to, names + len, end - len);
		to += end - len;
	}
	return to;
}

const char *decode_path(const char *names, size_t len, const char *suffix, struct arena *a)
{
	size_t room = len + strlen(suffix) + 2;
	char *path = arena_alloc(a, room), *to = path;

	if (!path || (len && names[len - 1]))
		return NULL;
	if (!len)
		*to++ = '/';
	strcpy(decode_join(to, names, len), suffix);
	return path;
}

/* Without "." and "..", by what is written alone; path is absolute. In place. */
static void resolve_text(char *path)
{
	char *to = path, *from = path;

	while (*from) {
		size_t len = strcspn(++from, "/");

		if (len == 2 && from[0] == '.' && from[1] == '.') {
			while (to > path && *--to != '/')
				;
		} else if (len && !(len == 1 && *from == '.')) {
			*to++ = '/';
			memmove(to, from, len);
			to += len;
		}
		from += len;
	}
	if (to == path)
		*to++ = '/';
	*to = '\0';
}

const char *decode_absolute(const char *text, const char *names, size_t len, struct arena *a)
{
	size_t text_len = strlen(text);
	char *path, *to;

	if (len && names[len - 1])
		return NULL;
	path = to = arena_alloc(a, len + text_len + 2);
	if (!path)
		return NULL;
	if (*text != '/') {
		to = decode_join(to, names, len);
		*to++ = '/';
	}
	strcpy(to, text);
	resolve_text(path);
	return path;
}

/* Unknown when it was cut: half a path would be another's. */
static void set_path(struct process *p, uint32_t bit, const char **member, const char *path, bool cut)
{
	if (!path || cut)
		return;
	*member = path;
	p->known |= bit;
}

static void decode_argv(const struct bpf_record *r, const char *argv, struct arena *a, struct process *ret)
{
	char *copy;

	if (r->flags & BPF_ARGV_UNREAD || !r->argv_len)
		return;
	copy = arena_dup(a, argv, r->argv_len);
	if (!copy)
		return;
	ret->cmdline_cut = r->flags & BPF_ARGV_CUT;
	copy[r->argv_len - 1] = '\0';
	ret->cmdline = copy;
	ret->cmdline_len = r->argv_len;
	ret->known |= PROCESS_CMDLINE;
}

static int decode_data(const struct bpf_record *r, struct decode_cursor *c, struct arena *a, struct process *ret)
{
	static const char deleted[] = " (deleted)";
	const char *argv = decode_take(c, r->argv_len), *exe = decode_take(c, r->exe_len),
		   *cwd = decode_take(c, r->cwd_len), *cgroup = decode_take(c, r->cgroup_len), *path;

	if (!argv || !exe || !cwd || !cgroup || r->argv_len > PROCESS_ARGV_MAX)
		return -EBADMSG;
	decode_argv(r, argv, a, ret);
	path = decode_path(exe, r->exe_len, r->flags & BPF_EXE_DELETED ? deleted : "", a);
	set_path(ret, PROCESS_EXE, &ret->exe, path, r->flags & BPF_EXE_CUT);
	path = decode_path(cwd, r->cwd_len, r->flags & BPF_CWD_DELETED ? deleted : "", a);
	set_path(ret, PROCESS_CWD, &ret->cwd, path, r->flags & BPF_CWD_CUT);
	/* Without a name it is the root of all that were looked at, which says nothing. */
	path = r->cgroup_len ? decode_path(cgroup, r->cgroup_len, "", a) : NULL;
	set_path(ret, PROCESS_CGROUP, &ret->cgroup, path, r->flags & BPF_CGROUP_CUT);
	return 0;
}

static void decode_tty(const struct bpf_record *r, struct arena *a, struct process *ret)
{
	/* tty_nr of proc(5): minor 7-0, major 19-8, minor 31-20. */
	uint32_t nr = (r->tty_minor & 0xff) | (r->tty_major & 0xfff) << 8 | (r->tty_minor & 0xfff00) << 12;
	char name[32];

	if (proc_tty_name(nr, name, sizeof(name)) == 0) {
		ret->tty = arena_strdup(a, name);
		ret->known |= ret->tty ? PROCESS_TTY : 0;
	} else {
		ret->known |= PROCESS_NO_TTY;
	}
}

static void decode_login(const struct bpf_record *r, struct process *ret)
{
	if (!(r->flags & BPF_HAS_LOGIN))
		return;
	if (r->loginuid == UINT32_MAX) {
		ret->known |= PROCESS_NO_LOGINUID;
	} else {
		ret->loginuid = r->loginuid;
		ret->known |= PROCESS_LOGINUID;
	}
	if (r->session != UINT32_MAX) {
		ret->session = r->session;
		ret->known |= PROCESS_SESSION;
	}
}

static void decode_process(const struct bpf_record *r, struct arena *a, struct process *ret)
{
	*ret = (struct process){
		.pid = r->tgid,
		.ppid = r->ppid,
		.start_ns = proc_tick(r->start_ns),
		.uid = r->uid,
		.gid = r->gid,
		.euid = r->euid,
		.egid = r->egid,
		.cap_inheritable = r->cap_inheritable,
		.cap_permitted = r->cap_permitted,
		.cap_effective = r->cap_effective,
		.vpid = r->vpid,
		.vpgid = r->vpgid,
		.sid = r->sid,
		.known = PROCESS_START | PROCESS_PPID | PROCESS_IDS | PROCESS_COMM | (r->sid > 0 ? PROCESS_SID : 0) |
			 (r->vpid > 0 ? PROCESS_STANDING : 0),
	};
	memcpy(ret->comm, r->comm, sizeof(ret->comm));
	ret->comm[sizeof(ret->comm) - 1] = '\0';
	if (r->mnt_ns && r->pid_ns) {
		ret->mnt_ns = r->mnt_ns;
		ret->pid_ns = r->pid_ns;
		ret->known |= PROCESS_NAMESPACES;
	}
	decode_login(r, ret);
	decode_tty(r, a, ret);
}

int bpf_decode_proc(const void *data, size_t len, struct arena *a, struct bpf_proc_event *ret)
{
	struct decode_cursor c = { data, len };
	const char *head = decode_take(&c, sizeof(struct bpf_record));
	struct bpf_record r;

	if (!head)
		return -EBADMSG;
	memcpy(&r, head, sizeof(r));
	if (r.kind >= BPF_RECORD_KINDS || r.tgid <= 0)
		return -EBADMSG;
	*ret = (struct bpf_proc_event){
		.kind = r.kind,
		.maker = r.maker,
		.mono_ns = r.mono_ns,
		.exe_dev = makedev(r.exe_dev >> 20, r.exe_dev & 0xfffff),
		.exe_ino = r.exe_ino,
		.exe_size = r.exe_size,
		.exe_ctime = r.exe_ctime,
		.exe_gated = r.flags & BPF_EXE_GATED,
		.exe_ungated = r.flags & BPF_EXE_UNGATED,
		.exe_as_stat = r.flags & BPF_EXE_AS_STAT,
		.plain_environ = r.flags & BPF_ENV_PLAIN,
	};
	decode_process(&r, a, &ret->told);
	ret->cgroup_sure = !(r.flags & BPF_CGROUP_LEGACY);
	ret->cgroups = r.cgroups;
	ret->refused = MIN(r.refused, (uint32_t)BPF_REFUSED_KINDS - 1);
	return r.kind == BPF_RECORD_EXEC || r.kind == BPF_RECORD_REFUSED ? decode_data(&r, &c, a, &ret->told) : 0;
}
