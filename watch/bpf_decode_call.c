/* Records of the BPF programs about calls: with files, sockets and paths, opens, DNS. No state; any thread. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/util.h"
#include "proc/parse.h"
#include "watch/bpf_calls.h"
#include "watch/bpf_decode.h"
#include "watch/bpf_dns.h"
#include "watch/bpf_opens.h"

/* --- system calls */

_Static_assert(BPF_CALL_NUMBERS == CALL_NUMBER_MAX && BPF_CALL_TEXT == CALL_TEXT_MAX, "one size on both sides");

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
		.began = s->flags & BPF_SOCKET_BEGAN,
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

static int decode_strings(const void *data, size_t len, struct arena *a, struct bpf_call_event *ret)
{
	struct decode_cursor c = { data, len };
	const struct bpf_call *p = (const void *)decode_take(&c, sizeof(*p));
	const char *texts[CALL_TEXTS], *bases[CALL_TEXTS];
	size_t at = 0;

	for (size_t i = 0; i < CALL_TEXTS; i++) {
		texts[i] = decode_take(&c, p->text_len[i]);
		if (!texts[i] || (p->text_len[i] && texts[i][p->text_len[i] - 1]))
			return -EBADMSG;
	}
	for (size_t i = 0; i < CALL_TEXTS; i++) {
		bases[i] = decode_take(&c, p->base_len[i]);
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
		else if (!(ret->texts[at] = decode_absolute(texts[at], bases[at], p->base_len[at], a)))
			return -ENOMEM;
		at++;
	}
	if (!ret->info->of_file)
		return 0;
	if (ret->info->filter == CALL_PATHS)
		ret->file = p->cut[0] ? NULL : ret->texts[0];
	else if (p->base_len[0] && !(ret->file = decode_path(bases[0], p->base_len[0], "", a)))
		return -ENOMEM;
	return 0;
}

int bpf_decode_call(const void *data, size_t len, struct arena *a, struct bpf_call_event *ret)
{
	const struct bpf_call_head *h = data;
	const struct call_info *info;

	if (len < sizeof(*h) || !h->id || h->id > call_count || h->tgid <= 0)
		return -EBADMSG;
	info = &call_table[h->id - 1];
	if (len < (call_has_socket(info) ? sizeof(struct bpf_socket_call) : sizeof(struct bpf_call)))
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
	if (!call_has_socket(info))
		return decode_strings(data, len, a, ret);
	decode_socket(data, ret);
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
		.written = cut || !*raw ? raw : decode_absolute(raw, base, o->base_len, a),
	};
	if (!ret->open.written)
		return -ENOMEM;
	ret->written_len = strlen(ret->open.written);
	return 0;
}

int bpf_decode_open(const void *data, size_t len, struct arena *a, struct bpf_open_event *ret)
{
	struct decode_cursor c = { data, len };
	const char *head = decode_take(&c, sizeof(struct bpf_open)), *raw, *names, *base;
	struct bpf_open o;

	if (!head)
		return -EBADMSG;
	memcpy(&o, head, sizeof(o));
	raw = decode_take(&c, o.raw_len);
	names = raw ? decode_take(&c, o.len) : NULL;
	base = names ? decode_take(&c, o.base_len) : NULL;
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
		ret->path = decode_path(names, o.len, "", a);
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
	struct decode_cursor c = { data, len };
	const char *head = decode_take(&c, sizeof(struct bpf_dns)), *payload;
	struct bpf_dns d;

	if (!head)
		return -EBADMSG;
	memcpy(&d, head, sizeof(d));
	payload = decode_take(&c, d.len);
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
