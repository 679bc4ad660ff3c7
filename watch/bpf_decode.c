/*
 * Records of the BPF programs, made into what the process table keeps. No state; any thread. The kernel wrote them, but
 * names and arguments are whatever a user chose.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>

#include "lib/util.h"
#include "proc/read.h"
#include "watch/bpf.h"
#include "watch/bpf_calls.h"
#include "watch/bpf_dns.h"
#include "watch/bpf_opens.h"

struct cursor {
	const char *at;
	size_t left;
};

static const char *take(struct cursor *c, size_t len)
{
	const char *at = c->at;

	if (len > c->left)
		return NULL;
	c->at += len;
	c->left -= len;
	return at;
}

/* "c\0b\0a\0" to "/a/b/c", which takes as much room, without a NUL. Where it ends. */
static char *join_names(char *to, const char *names, size_t len)
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

/* The same with an end; "/" when there is no name. NULL: malformed, or out of memory. */
static const char *join_path(const char *names, size_t len, const char *suffix, struct arena *a)
{
	size_t room = len + strlen(suffix) + 2;
	char *path = arena_alloc(a, room), *to = path;

	if (!path || (len && names[len - 1]))
		return NULL;
	if (!len)
		*to++ = '/';
	strcpy(join_names(to, names, len), suffix);
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

static int decode_data(const struct bpf_record *r, struct cursor *c, struct arena *a, struct process *ret)
{
	static const char deleted[] = " (deleted)";
	const char *argv = take(c, r->argv_len), *exe = take(c, r->exe_len), *cwd = take(c, r->cwd_len),
		   *cgroup = take(c, r->cgroup_len), *path;

	if (!argv || !exe || !cwd || !cgroup || r->argv_len > PROCESS_ARGV_MAX)
		return -EBADMSG;
	decode_argv(r, argv, a, ret);
	path = join_path(exe, r->exe_len, r->flags & BPF_EXE_DELETED ? deleted : "", a);
	set_path(ret, PROCESS_EXE, &ret->exe, path, r->flags & BPF_EXE_CUT);
	path = join_path(cwd, r->cwd_len, r->flags & BPF_CWD_DELETED ? deleted : "", a);
	set_path(ret, PROCESS_CWD, &ret->cwd, path, r->flags & BPF_CWD_CUT);
	/* Without a name it is the root of all that were looked at, which says nothing. */
	path = r->cgroup_len ? join_path(cgroup, r->cgroup_len, "", a) : NULL;
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
		.sid = r->sid,
		.known = PROCESS_START | PROCESS_PPID | PROCESS_IDS | PROCESS_COMM | (r->sid > 0 ? PROCESS_SID : 0),
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
	struct cursor c = { data, len };
	const char *head = take(&c, sizeof(struct bpf_record));
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
		.exe_judged = r.flags & BPF_EXE_JUDGED,
		.plain_environ = r.flags & BPF_ENV_PLAIN,
	};
	decode_process(&r, a, &ret->told);
	ret->cgroup_sure = !(r.flags & BPF_CGROUP_LEGACY);
	ret->cgroups = r.cgroups;
	ret->refused = MIN(r.refused, (uint32_t)BPF_REFUSED_KINDS - 1);
	return r.kind == BPF_RECORD_EXEC || r.kind == BPF_RECORD_REFUSED ? decode_data(&r, &c, a, &ret->told) : 0;
}

/* --- system calls */

_Static_assert(BPF_CALL_NUMBERS == CALL_NUMBER_MAX && BPF_CALL_TEXT == CALL_TEXT_MAX, "one size on both sides");

static void decode_texts(struct bpf_call *c, struct bpf_call_event *ret)
{
	for (size_t i = 0; i < CALL_TEXTS; i++) {
		c->text[i][BPF_CALL_TEXT - 1] = '\0';
		ret->texts[i] = c->text_len[i] ? c->text[i] : NULL;
	}
}

/* The only string of such a call is the path. */
static void decode_file(const struct bpf_call *c, struct bpf_call_event *ret)
{
	size_t len = MIN((size_t)c->text_len[0], (size_t)BPF_CALL_TEXT);

	ret->texts[0] = NULL;
	if (!len || c->text[0][len - 1])
		return;
	*join_names(ret->path, c->text[0], len) = '\0';
	ret->file = ret->path;
}

/* An IPv4 address becomes one mapped into IPv6. */
static void decode_address(const uint8_t *from, uint16_t family, uint8_t ret[SOCKET_ADDRESS])
{
	if (family != AF_INET) {
		memcpy(ret, from, SOCKET_ADDRESS);
		return;
	}
	memset(ret, 0, SOCKET_ADDRESS);
	memset(ret + 10, 0xff, 2);
	memcpy(ret + 12, from, 4);
}

static bool is_mapped(const uint8_t address[SOCKET_ADDRESS])
{
	static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

	return memcmp(address, mapped, sizeof(mapped)) == 0;
}

static bool is_any(const uint8_t address[SOCKET_ADDRESS])
{
	static const uint8_t zero[SOCKET_ADDRESS];
	size_t from = is_mapped(address) ? 12 : 0;

	return memcmp(address + from, zero, sizeof(zero) - from) == 0;
}

/* A path ends at its NUL; a name that begins with one is abstract. */
static void decode_name(const struct bpf_socket *s, struct bpf_call_event *ret)
{
	size_t len = MIN((size_t)s->name_len, (size_t)BPF_SOCKET_NAME);

	if (!len)
		return;
	if (s->name[0]) {
		len = strnlen(s->name, len);
	} else {
		while (len && !s->name[len - 1])
			len--;
	}
	for (size_t i = 0; i < len; i++)
		ret->name[i] = s->name[i] ? s->name[i] : '@';
	ret->name[len] = '\0';
	ret->socket.name = len ? ret->name : NULL;
}

static void decode_socket(const struct bpf_socket_call *c, struct bpf_call_event *ret)
{
	const struct bpf_socket *s = &c->socket;
	struct event_socket *k = &ret->socket;

	*k = (struct event_socket){
		.op = ret->info->op,
		.family = s->family,
		.type = s->type,
		.protocol = s->protocol,
		.has_local = s->flags & BPF_SOCKET_LOCAL,
		.has_remote = s->flags & BPF_SOCKET_REMOTE,
		.connected = s->flags & BPF_SOCKET_CONNECTED,
		.new_peer = s->flags & BPF_SOCKET_NEW_PEER,
		.uring = s->flags & BPF_SOCKET_URING,
		.accepted = s->flags & BPF_SOCKET_ACCEPTED,
		.local_port = s->local_port,
		.remote_port = s->remote_port,
		.ino = s->ino,
	};
	decode_address(s->local, s->family, k->local);
	decode_address(s->remote, s->family, k->remote);
	if (s->family == AF_INET6 && (is_mapped(k->remote) || (!k->has_remote && is_mapped(k->local))))
		k->family = AF_INET;
	if (k->family == AF_INET && !is_mapped(k->local)) /* "::" takes both */
		decode_address((const uint8_t[4]){ 0 }, AF_INET, k->local);
	/* Where a datagram leaves from is settled by its way. */
	if (k->op == SOCKET_SEND || k->op == SOCKET_RECEIVE)
		k->has_local = k->has_local && !is_any(k->local);
	if (s->data_len) {
		k->data = c->data;
		k->data_len = MIN((uint32_t)s->data_len, (uint32_t)BPF_SOCKET_DATA);
	}
	if (k->op == SOCKET_CLOSE) {
		k->sent = c->head.args[BPF_END_SENT];
		k->received = c->head.args[BPF_END_RECEIVED];
		k->open_ns = c->head.args[BPF_END_OPEN_NS];
	}
	decode_name(s, ret);
	ret->of_socket = true;
}

/* --- paths of calls */

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

/* Where it leads by what is written alone; names: of the folder where it begins. NULL: malformed, or out of memory. */
static const char *absolute_path(const char *text, const char *names, size_t len, struct arena *a)
{
	size_t text_len = strlen(text);
	char *path, *to;

	if (len && names[len - 1])
		return NULL;
	path = to = arena_alloc(a, len + text_len + 2);
	if (!path)
		return NULL;
	if (*text != '/') {
		to = join_names(to, names, len);
		*to++ = '/';
	}
	strcpy(to, text);
	resolve_text(path);
	return path;
}

static int decode_paths(const void *data, size_t len, struct arena *a, struct bpf_call_event *ret)
{
	struct cursor c = { data, len };
	const struct bpf_path_call *p = (const void *)take(&c, sizeof(*p));
	const char *texts[CALL_TEXTS], *bases[CALL_TEXTS];
	size_t at = 0;

	for (size_t i = 0; i < CALL_TEXTS; i++) {
		texts[i] = take(&c, p->text_len[i]);
		if (!texts[i] || (p->text_len[i] && texts[i][p->text_len[i] - 1]))
			return -EBADMSG;
	}
	for (size_t i = 0; i < CALL_TEXTS; i++) {
		bases[i] = take(&c, p->base_len[i]);
		if (!bases[i] || (p->base_len[i] && bases[i][p->base_len[i] - 1]))
			return -EBADMSG;
	}
	for (size_t i = 0; i < CALL_ARGS && at < CALL_TEXTS; i++) {
		if (!call_arg_is_text(ret->info->args[i].type))
			continue;
		ret->cut |= p->cut[at];
		if (!p->text_len[at])
			ret->texts[at] = NULL;
		else if (ret->info->args[i].type == CALL_ARG_TEXT || p->cut[at] || !*texts[at])
			ret->texts[at] = texts[at];
		else if (!(ret->texts[at] = absolute_path(texts[at], bases[at], p->base_len[at], a)))
			return -ENOMEM;
		at++;
	}
	ret->file = ret->info->of_file && !p->cut[0] ? ret->texts[0] : NULL;
	return 0;
}

static size_t record_size(const struct call_info *info)
{
	return call_has_socket(info)	    ? sizeof(struct bpf_socket_call)
	       : info->filter == CALL_PATHS ? sizeof(struct bpf_path_call)
					    : sizeof(struct bpf_call);
}

int bpf_decode_call(void *data, size_t len, struct arena *a, struct bpf_call_event *ret)
{
	const struct bpf_call_head *h = data;
	const struct call_info *info;

	if (len < sizeof(*h) || !h->id || h->id > call_count || h->tgid <= 0)
		return -EBADMSG;
	info = &call_table[h->id - 1];
	if (len < record_size(info))
		return -EBADMSG;
	*ret = (struct bpf_call_event){
		.info = info,
		.tgid = h->tgid,
		.tid = h->tid,
		.mono_ns = h->mono_ns,
		.start_ns = proc_tick(h->start_ns),
		.result = h->result,
		.count = MAX(h->count, 1u),
	};
	memcpy(ret->args, h->args, sizeof(ret->args));
	if (info->filter == CALL_PATHS)
		return decode_paths(data, len, a, ret);
	if (call_has_socket(info))
		decode_socket(data, ret);
	else
		decode_texts(data, ret);
	if (info->of_file)
		decode_file(data, ret);
	return 0;
}

/* --- opens */

static const struct call_info *open_call(uint32_t call)
{
	static const char *const names[BPF_OPEN_KINDS] = {
		[BPF_OPEN_OPEN] = "open",
		[BPF_OPEN_OPENAT] = "openat",
		[BPF_OPEN_OPENAT2] = "openat2",
		[BPF_OPEN_CREAT] = "creat",
	};

	return call < BPF_OPEN_KINDS && names[call] ? call_by_name(names[call], strlen(names[call])) : NULL;
}

static bool is_ended(const char *strings, size_t len)
{
	return strings && (!len || !strings[len - 1]);
}

static int decode_opened(const struct bpf_open *o, const char *raw, const char *base, struct arena *a,
			 struct bpf_open_event *ret)
{
	bool cut = o->flags & BPF_OPEN_BASE_CUT;

	ret->call = open_call(o->call);
	if (!ret->call)
		return -EBADMSG;
	ret->cut = cut;
	ret->open = (struct call_open){
		.flags = o->open_flags,
		.mode = o->mode,
		.is_dir = o->flags & BPF_OPEN_DIR || o->open_flags & O_DIRECTORY,
		.created = o->flags & BPF_OPEN_CREATED,
		.raw = raw,
		.written = cut || !*raw ? raw : absolute_path(raw, base, o->base_len, a),
	};
	if (!ret->open.written)
		return -ENOMEM;
	ret->written_len = strlen(ret->open.written);
	return 0;
}

int bpf_decode_open(const void *data, size_t len, struct arena *a, struct bpf_open_event *ret)
{
	struct cursor c = { data, len };
	const char *head = take(&c, sizeof(struct bpf_open)), *raw, *names, *base;
	struct bpf_open o;

	if (!head)
		return -EBADMSG;
	memcpy(&o, head, sizeof(o));
	raw = take(&c, o.raw_len);
	names = raw ? take(&c, o.len) : NULL;
	base = names ? take(&c, o.base_len) : NULL;
	if (o.tgid <= 0 || !is_ended(raw, o.raw_len) || !is_ended(names, o.len) || !is_ended(base, o.base_len))
		return -EBADMSG;
	*ret = (struct bpf_open_event){
		.tgid = o.tgid,
		.mono_ns = o.mono_ns,
		.start_ns = proc_tick(o.start_ns),
		.classes = o.classes,
		.is_dir = o.flags & BPF_OPEN_DIR,
		.result = o.result,
	};
	memcpy(ret->comm, o.comm, sizeof(ret->comm));
	ret->comm[sizeof(ret->comm) - 1] = '\0';
	/* Half a path would be another's. */
	if (!(o.flags & (BPF_OPEN_NO_FILE | BPF_OPEN_CUT))) {
		ret->path = join_path(names, o.len, "", a);
		if (!ret->path)
			return -ENOMEM;
		ret->len = strlen(ret->path);
	}
	if (o.raw_len)
		return decode_opened(&o, raw, base, a, ret);
	return ret->path ? 0 : -EBADMSG;
}

/* --- DNS */

int bpf_decode_dns(const void *data, size_t len, struct bpf_dns_packet *ret)
{
	struct cursor c = { data, len };
	const char *head = take(&c, sizeof(struct bpf_dns)), *payload;
	struct bpf_dns d;

	if (!head)
		return -EBADMSG;
	memcpy(&d, head, sizeof(d));
	payload = take(&c, d.len);
	if (!payload || (d.family != AF_INET && d.family != AF_INET6))
		return -EBADMSG;
	*ret = (struct bpf_dns_packet){
		.query = d.flags & BPF_DNS_QUERY,
		.stream = d.flags & BPF_DNS_STREAM,
		.begins = d.flags & BPF_DNS_BEGIN,
		.mono_ns = d.mono_ns,
		.tgid = d.tgid,
		.tid = d.tid,
		.start_ns = proc_tick(d.start_ns),
		.cookie = d.cookie,
		.seq = d.seq,
		.data = (const uint8_t *)payload,
		.len = d.len,
		.socket = { .op = SOCKET_QUERY,
			    .family = d.family,
			    .type = d.flags & BPF_DNS_STREAM ? SOCK_STREAM : SOCK_DGRAM,
			    .protocol = d.flags & BPF_DNS_STREAM ? IPPROTO_TCP : IPPROTO_UDP,
			    .has_local = true,
			    .has_remote = true,
			    .local_port = d.local_port,
			    .remote_port = d.remote_port },
	};
	decode_address(d.local, d.family, ret->socket.local);
	decode_address(d.remote, d.family, ret->socket.remote);
	return 0;
}
