// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * System calls as they return, those alone that somebody asks for, into a ring of their own. Which ones these are, and
 * which arguments are strings, is in tables that user space fills. Calls of 32-bit programs on a 64-bit kernel have
 * other numbers, and a table of their own. What is asked of sockets through io_uring makes no system call: it is told
 * as it is handed in. And the ends of TCP connections (ends.h), and of UDP sockets (datagrams.h), and connections that
 * come to another program (held.h).
 */
#include "watch/bpf/datagrams.h"
#include "watch/bpf/ends.h"
#include "watch/bpf/kernel.h"
#include "watch/bpf/record.h"
#include "watch/bpf/socket.h"

#define ROOM_HEAD struct bpf_call
#include "watch/bpf/way.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

__u8 call_of[BPF_CALL_NUMBERS]; /* by number: 1 and up; 0: nobody asks */
__u8 compat_of[BPF_CALL_NUMBERS];
__u8 socketcall_of[BPF_SOCKETCALLS];
__u8 uring_of[BPF_URING_OPS]; /* by opcode, the same */
struct bpf_call_row rows[BPF_CALL_ROWS];

/* asm-generic/mman.h, which x86-64 and arm64 go by */
#define PROT_EXEC     0x4
#define MAP_ANONYMOUS 0x20

#define AF_PACKET 17
#define SOCK_RAW  3

/* linux/fs.h: FS_IOC_SETFLAGS without its direction and size, FS_IOC_FSSETXATTR */
#define SETFLAGS	0x6602
#define FSSETXATTR	0x401c5820
#define XFLAG_IMMUTABLE 0x8
#define XFLAG_APPEND	0x10
#define FL_IMMUTABLE	0x10
#define FL_APPEND	0x20

/* Whether a file's flags are set; which ones they are takes the place of the argument, which only leads to them. */
static __always_inline bool sets_inode_flags(__u64 *args)
{
	__u32 request = args[1], flags = 0;

	if (request != FSSETXATTR && ((request & 0xffff) != SETFLAGS || !(request >> 30)))
		return false;
	bpf_probe_read_user(&flags, sizeof(flags), (void *)args[2]);
	if (request == FSSETXATTR)
		flags = (flags & XFLAG_IMMUTABLE ? FL_IMMUTABLE : 0) | (flags & XFLAG_APPEND ? FL_APPEND : 0);
	args[2] = flags;
	return true;
}

static __always_inline bool passes(const struct bpf_call_row *row, __u64 *args)
{
	if (row->filter == BPF_CALL_RAW_SOCKETS)
		return (__u32)args[0] == AF_PACKET || (args[1] & 0xf) == SOCK_RAW;
	if (row->filter == BPF_CALL_INODE_FLAGS)
		return sets_inode_flags(args);
	if (row->filter == BPF_CALL_CODE)
		return args[2] & PROT_EXEC;
	if (row->filter == BPF_CALL_CODE_NEW)
		return args[2] & PROT_EXEC && args[3] & MAP_ANONYMOUS;
	return true;
}

static __always_inline void read_args(const struct pt_regs *regs, __u64 *args)
{
	args[0] = regs->HF_ARG0;
	args[1] = regs->HF_ARG1;
	args[2] = regs->HF_ARG2;
	args[3] = regs->HF_ARG3;
	args[4] = regs->HF_ARG4;
	args[5] = regs->HF_ARG5;
}

static __always_inline void fill_head(struct bpf_call_head *h, __u32 id, const __u64 *args, __s64 result)
{
	HF_TAKE_WHO(h);
	h->id = id;
	h->count = 1;
	h->mono_ns = bpf_ktime_get_ns();
	h->result = result;
	__builtin_memcpy(h->args, args, sizeof(h->args));
}

/* --- strings and paths */

/* A string among the arguments; its bytes with the NUL, 0: it cannot be read. Those of calls about paths are whole. */
static __always_inline __u32 put_arg(struct room *room, const struct bpf_call_row *row, __u8 arg, const __u64 *args,
				     __u32 at)
{
	__u64 from = args[(arg - 1) & 3];
	long n;

	if (row->filter == BPF_CALL_PATHS)
		return put_string(room, from, at);
	n = bpf_probe_read_user_str(&room->data[at & (ROOM_DATA - 1)], BPF_CALL_TEXT, (void *)from);
	return n > 0 ? (__u32)n : 0;
}

/* Where the string begins that was put there, if it is a relative path. Bytes of names. */
static __always_inline __u32 put_base(const struct room *room, __u8 base, const __u64 *args, __u32 text, __u32 at,
				      __u8 *ret_cut)
{
	__u64 r;

	if (!base || room->data[text & (ROOM_DATA - 1)] == '/')
		return 0;
	r = put_folder(base == BPF_BASE_CWD ? AT_FDCWD : (__s32)args[(base - 1) & 3], at);
	*ret_cut = !!(r & PUT_CUT);
	return (__u32)r;
}

/* The file behind a descriptor; nothing when it has no name (any more). */
static __always_inline __u32 put_file(__u64 fd)
{
	const struct file *file = file_of(fd);
	__u64 r = PUT_CUT;

	if (file && BPF_CORE_READ(file, f_path.dentry, d_hash.pprev))
		r = put_folder((__s32)fd, 0);
	return r & PUT_CUT ? 0 : (__u32)r;
}

static __noinline int tell(__u32 id, const struct bpf_call_row *row, const __u64 *args, __s64 result)
{
	struct room *room = scratch_of(&rooms);
	struct bpf_call *c;
	__u64 size = 0;

	if (!room)
		return 0;
	c = &room->head;
	__builtin_memset(c, 0, sizeof(*c));
	fill_head(&c->head, id, args, result);
	if (row->text[0] == BPF_TEXT_PATH) {
		size = c->base_len[0] = put_file(args[0]);
	} else {
		if (row->text[0])
			size = c->text_len[0] = put_arg(room, row, row->text[0], args, 0);
		if (row->text[1])
			size += c->text_len[1] = put_arg(room, row, row->text[1], args, size);
		if (c->text_len[0])
			size += c->base_len[0] = put_base(room, row->base[0], args, 0, size, &c->cut[0]);
		if (c->text_len[1])
			size += c->base_len[1] = put_base(room, row->base[1], args, c->text_len[0], size, &c->cut[1]);
	}
	size += sizeof(*c);
	if (size > sizeof(*c) + ROOM_DATA || bpf_ringbuf_output(&ring, c, size, 0))
		__sync_fetch_and_add(&lost[BPF_PROGRAM_CALLS], 1);
	return 0;
}

/* --- sockets */

static __always_inline struct socket_scratch *begin_socket(__u32 id, const __u64 *args, __s64 result)
{
	struct socket_scratch *s = scratch_of(&socket_scratches);

	if (!s)
		return NULL;
	__builtin_memset(&s->flood.first.socket, 0, sizeof(s->flood.first.socket));
	fill_head(&s->flood.first.head, id, args, result);
	return s;
}

static __always_inline bool is_family_wanted(__u16 family)
{
	__u32 bit = family == AF_INET || family == AF_INET6 ? BPF_FAMILY_IP : family == AF_UNIX ? BPF_FAMILY_UNIX : 0;

	return families & bit;
}

static __always_inline void end_socket(struct socket_scratch *s, __u8 filter, enum bpf_call_program program)
{
	bool client = filter == BPF_CALL_CONNECT || filter == BPF_CALL_SEND || filter == BPF_CALL_INHERIT;
	struct bpf_socket_call *c = &s->flood.first;

	if (!is_family_wanted(c->socket.family))
		return;
	if (!c->socket.data_len && counted_with(&s->flood, client, filter == BPF_CALL_INHERIT ? c->head.args[1] : 0))
		return;
	if (bpf_ringbuf_output(&ring, c, sizeof(*c), 0))
		__sync_fetch_and_add(&lost[program], 1);
}

#include "watch/bpf/held.h"

/* An address in the caller's memory, in s->address; its length, 0 when there is none. */
static __always_inline __s64 read_user_address(struct socket_scratch *s, __u64 at, __s64 len)
{
	if (!at || len < 2)
		return 0;
	if (len > (__s64)sizeof(s->address))
		len = sizeof(s->address);
	/* One at the end of a page may be shorter than there is room for. */
	__builtin_memset(s->address, 0, sizeof(s->address));
	if (bpf_probe_read_user(s->address, sizeof(s->address), (void *)at) &&
	    bpf_probe_read_user(s->address, BPF_ADDRESS_IP, (void *)at) &&
	    bpf_probe_read_user(s->address, BPF_ADDRESS_IP4, (void *)at))
		return 0;
	return len;
}

/* The one that a call was given. */
static __always_inline __s64 read_address(struct socket_scratch *s, const struct bpf_call_row *row, const __u64 *args)
{
	struct {
		__u64 name;
		__s32 len;
	} header = { 0 };
	__u32 compat[2];

	if (row->address == BPF_ADDRESS_1)
		return read_user_address(s, args[1], (__s32)args[2]);
	if (row->address == BPF_ADDRESS_4)
		return read_user_address(s, args[4], sizeof(s->address));
	if (is_compat()) {
		if (bpf_probe_read_user(compat, sizeof(compat), (void *)args[1]))
			return 0;
		return read_user_address(s, compat[0], (__s32)compat[1]);
	}
	if (bpf_probe_read_user(&header, sizeof(header), (void *)args[1]))
		return 0;
	return read_user_address(s, header.name, header.len);
}

/* Told once, until the peer is another. */
static __always_inline bool is_datagram_told(struct bpf_socket *s, bool receive)
{
	if (s->type == SOCK_STREAM || !(s->flags & BPF_SOCKET_REMOTE) || !is_new_peer(s, receive))
		return false;
	s->flags |= BPF_SOCKET_NEW_PEER;
	return true;
}

static __always_inline void take_data(struct bpf_socket_call *c, const __u64 *args, __s64 result)
{
	__u32 len = result >= BPF_SOCKET_DATA ? BPF_SOCKET_DATA - 1 : (__u32)result;

	asm volatile("" : "+r"(len));
	len &= BPF_SOCKET_DATA - 1;
	if (wants_data && len && bpf_probe_read_user(c->data, len, (void *)args[1]) == 0)
		c->socket.data_len = len;
}

/* What the kernel holds of the peer counts. */
static __always_inline bool needs_address(const struct bpf_socket *k, const struct bpf_call_row *row, __s64 result)
{
	return row->address && (row->filter != BPF_CALL_CONNECT || k->family == AF_UNIX ||
				!(k->flags & BPF_SOCKET_REMOTE) || (result && result != -EINPROGRESS));
}

static __noinline int tell_socket(__u32 id, const struct bpf_call_row *row, const __u64 *args, __s64 result)
{
	__u8 filter = row->filter;
	bool of_result = (filter == BPF_CALL_ACCEPT && result >= 0) || filter == BPF_CALL_DUP, addressed = false;
	const struct sock *sk = NULL;
	struct socket_scratch *s;
	struct bpf_socket *k;
	struct file *file;
	__s64 len = 0;

	if (result <= -ERESTARTSYS && result >= -ERESTART_LAST)
		return 0;
	if (result == -EALREADY || (result == -EAGAIN && filter != BPF_CALL_CONNECT))
		return 0;
	if (filter == BPF_CALL_DUP && (result < 0 || result > 2))
		return 0;
	if (filter == BPF_CALL_RECEIVE && result < 0)
		return 0;
	if (filter == BPF_CALL_SEND && row->address == BPF_ADDRESS_4 && !args[4])
		return 0;
	file = socket_file(of_result ? (__u64)result : args[0]);
	if (!file && of_result)
		return 0;
	s = begin_socket(id, args, result);
	if (!s)
		return 0;
	k = &s->flood.first.socket;
	if (file)
		sk = take_socket(k, file);
	if (needs_address(k, row, result)) {
		len = read_address(s, row, args);
		if (filter == BPF_CALL_CONNECT) {
			if (!len || !*(__u16 *)s->address)
				return 0; /* without a family it is the end of a connection */
			take_address(k, s->address, len, true);
		}
	}
	if (filter == BPF_CALL_LOCAL) {
		if (len && (result || k->family == AF_UNIX))
			take_address(k, s->address, len, false);
	} else if (filter == BPF_CALL_SEND || filter == BPF_CALL_RECEIVE) {
		if (filter == BPF_CALL_RECEIVE)
			take_data(&s->flood.first, args, result);
		if (len && k->type != SOCK_STREAM)
			addressed = take_address(k, s->address, len, true);
		if (!(addressed && is_datagram_told(k, filter == BPF_CALL_RECEIVE)) && !k->data_len)
			return 0;
	}
	if (k->family == AF_UNIX && file)
		take_unix(k, sk);
	end_socket(s, filter, BPF_PROGRAM_SOCKETS);
	if (filter == BPF_CALL_ACCEPT && file)
		begin_accepted(sk, &s->flood.first);
	return 0;
}

static __always_inline int tell_any(__u32 id, __u64 *args, __s64 result)
{
	const struct bpf_call_row *row;

	/* The compiler must not know more of it than the verifier. */
	asm volatile("" : "+r"(id));
	row = &rows[id & (BPF_CALL_ROWS - 1)];
	if (row->hands_on && held_id)
		tell_handed_on(row->hands_on, args, result);
	if (row->quiet)
		return 0;
	if (row->filter >= BPF_CALL_CONNECT)
		return tell_socket(id, row, args, result);
	return passes(row, args) ? tell(id, row, args, result) : 0;
}

/* Of a 32-bit program; socketcall stands for many, with its arguments in memory. */
static __always_inline int tell_compat(const struct pt_regs *regs, __u32 number, __s64 result)
{
	__u64 args[6] = HF_COMPAT_ARGS(regs);
	__u32 id = compat_of[number & (BPF_CALL_NUMBERS - 1)], words[6] = { 0 };

	for (int i = 0; i < 6; i++)
		args[i] = (__u32)args[i];
	if (number != BPF_SOCKETCALL)
		return id ? tell_any(id, args, result) : 0;
	id = socketcall_of[args[0] & (BPF_SOCKETCALLS - 1)];
	if (!id || args[0] >= BPF_SOCKETCALLS)
		return 0;
	/* Some have fewer arguments, which may end where memory does. */
	if (bpf_probe_read_user(words, sizeof(words), (void *)args[1]) &&
	    bpf_probe_read_user(words, 3 * sizeof(*words), (void *)args[1]))
		return 0;
	for (int i = 0; i < 6; i++)
		args[i] = words[i];
	return tell_any(id, args, result);
}

/* Those that are asked for: exits.bpf.c calls it. */
SEC("tp_btf/sys_exit")
int on_exit(__u64 *ctx)
{
	const struct pt_regs *regs = (const void *)ctx[0];
	__u32 number = HF_SYSCALL_NUMBER(regs) & (BPF_CALL_NUMBERS - 1), id;
	__u64 args[6];

	if (is_compat())
		return tell_compat(regs, number, ctx[1]);
	id = call_of[number];
	if (!id)
		return 0;
	read_args(regs, args);
	return tell_any(id, args, ctx[1]);
}

/* --- io_uring */

/* Its length, 0 when there is none. What a message is sent to was copied when the request was prepared, just before. */
static __always_inline __s64 read_uring_address(struct socket_scratch *s, const struct io_kiocb *req, __u8 filter)
{
	const struct io_async_msghdr *m = BPF_CORE_READ(req, async_data);
	const struct io_connect *connect = (const void *)req;

	if (filter == BPF_CALL_CONNECT && bpf_core_field_exists(connect->addr))
		return read_user_address(s, (__u64)BPF_CORE_READ(connect, addr), BPF_CORE_READ(connect, addr_len));
	if (filter != BPF_CALL_SEND || !m || !bpf_core_field_exists(m->addr) || !BPF_CORE_READ(m, msg.msg_name))
		return 0;
	return bpf_core_read(s->address, sizeof(s->address), &m->addr) ? 0 : sizeof(s->address);
}

SEC("raw_tp/io_uring_submit_req")
int on_uring(struct bpf_raw_tracepoint_args *ctx)
{
	const struct io_kiocb *req = (const void *)ctx->args[0];
	__u64 args[6] = { 0 };
	const struct sock *sk = NULL;
	struct socket_scratch *s;
	struct bpf_socket *k;
	struct file *file;
	__s64 len;
	__u32 id, opcode = BPF_CORE_READ(req, opcode);
	__u8 filter;

	if (opcode >= BPF_URING_OPS)
		return 0;
	id = uring_of[opcode];
	if (!id || bpf_get_current_pid_tgid() >> 32 == self)
		return 0;
	asm volatile("" : "+r"(id));
	filter = rows[id & (BPF_CALL_ROWS - 1)].filter;
	args[0] = (__u32)BPF_CORE_READ(req, cqe.fd);
	s = begin_socket(id, args, -EINPROGRESS);
	if (!s)
		return 0;
	k = &s->flood.first.socket;
	/* A registered file's number is none of a descriptor. */
	file = BPF_CORE_READ(req, flags) & 1 ? NULL : socket_file(args[0]);
	if (file)
		sk = take_socket(k, file);
	k->flags |= BPF_SOCKET_URING;
	len = read_uring_address(s, req, filter);
	if (len)
		take_address(k, s->address, len, true);
	if (filter == BPF_CALL_SEND && !is_datagram_told(k, false))
		return 0;
	if (k->family == AF_UNIX && file)
		take_unix(k, sk);
	if (filter == BPF_CALL_ACCEPT && file)
		remember_server(sk);
	end_socket(s, filter, BPF_PROGRAM_URING);
	return 0;
}
