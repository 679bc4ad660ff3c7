/*
 * The table of system calls, and how their arguments are written. Numbers are those of the architecture it is built
 * for; rows that it lacks are left out. No state; any thread.
 */
#include "event/call.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <linux/fs.h>
#include <linux/io_uring.h>

#include "event/user.h"
#include "lib/util.h"

#define NUMBER(name)                                                                                                   \
	{                                                                                                              \
		name, CALL_ARG_NUMBER                                                                                  \
	}
#define HEX(name)                                                                                                      \
	{                                                                                                              \
		name, CALL_ARG_HEX                                                                                     \
	}
#define TEXT(name)                                                                                                     \
	{                                                                                                              \
		name, CALL_ARG_TEXT                                                                                    \
	}
#define PATH(name)                                                                                                     \
	{                                                                                                              \
		name, CALL_ARG_PATH                                                                                    \
	}
#define UID(name)                                                                                                      \
	{                                                                                                              \
		name, CALL_ARG_UID                                                                                     \
	}

#define MODE                                                                                                           \
	{                                                                                                              \
		"mode", CALL_ARG_MODE                                                                                  \
	}

/* Since Linux 6.6, the same everywhere. */
#define HF_FCHMODAT2 452
/* Since Linux 5.6. */
#define HF_OPENAT2 437

/* Since Linux 5.6. */
#define HF_PIDFD_GETFD 438

/* Since Linux 6.11; part of the ABI. */
#define HF_URING_BIND	56
#define HF_URING_LISTEN 57

/* clang-format off */
const struct call_info call_table[] = {
	{ SYS_ptrace, "ptrace", "process", CALL_ALL, .args = { { "request", CALL_ARG_PTRACE }, NUMBER("pid"), HEX("addr"), HEX("data") } },
	{ SYS_process_vm_writev, "process_vm_writev", "process", CALL_ALL, .args = { NUMBER("pid") } },
	{ SYS_process_vm_readv, "process_vm_readv", "process", CALL_ALL, .args = { NUMBER("pid") } },
	{ SYS_setuid, "setuid", "user", CALL_ALL, .args = { UID("uid") } },
	{ SYS_setgid, "setgid", "user", CALL_ALL, .args = { NUMBER("gid") } },
	{ SYS_setreuid, "setreuid", "user", CALL_ALL, .args = { UID("ruid"), UID("euid") } },
	{ SYS_setregid, "setregid", "user", CALL_ALL, .args = { NUMBER("rgid"), NUMBER("egid") } },
	{ SYS_setresuid, "setresuid", "user", CALL_ALL, .args = { UID("ruid"), UID("euid"), UID("suid") } },
	{ SYS_setresgid, "setresgid", "user", CALL_ALL, .args = { NUMBER("rgid"), NUMBER("egid"), NUMBER("sgid") } },
	{ SYS_setfsuid, "setfsuid", "user", CALL_ALL, .args = { UID("uid") } },
	{ SYS_setgroups, "setgroups", "user", CALL_ALL, .args = { NUMBER("size") } },
	{ SYS_capset, "capset", "process", CALL_ALL, .args = { { NULL, CALL_ARG_NONE } } },
	{ SYS_setns, "setns", "process", CALL_ALL, .args = { NUMBER("fd"), { "nstype", CALL_ARG_CLONE } } },
	{ SYS_unshare, "unshare", "process", CALL_ALL, .args = { { "flags", CALL_ARG_CLONE } } },
	{ SYS_mount, "mount", "file", CALL_ALL, .args = { TEXT("dev"), TEXT("dir"), { NULL, CALL_ARG_NONE }, HEX("flags") } },
	{ SYS_umount2, "umount2", "file", CALL_ALL, .args = { TEXT("name"), HEX("flags") } },
	{ SYS_pivot_root, "pivot_root", "file", CALL_ALL, .args = { TEXT("new_root"), TEXT("put_old") } },
	{ SYS_chroot, "chroot", "file", CALL_ALL, .args = { TEXT("path") } },
#ifdef SYS_move_mount
	{ SYS_move_mount, "move_mount", "file", CALL_ALL, .args = { NUMBER("from_dirfd"), TEXT("from"), NUMBER("to_dirfd"), TEXT("to"), HEX("flags") } },
#endif
#ifdef SYS_chmod
	{ SYS_chmod, "chmod", "file", CALL_PATHS, .args = { PATH("filename"), MODE }, .of_file = true, .is_change = true },
#endif
	{ SYS_fchmod, "fchmod", "file", CALL_ALL, .args = { NUMBER("fd"), MODE }, .of_file = true, .is_change = true },
	{ SYS_fchmodat, "fchmodat", "file", CALL_PATHS, .args = { NUMBER("dirfd"), PATH("filename"), MODE }, .of_file = true, .is_change = true },
	{ HF_FCHMODAT2, "fchmodat2", "file", CALL_PATHS, .args = { NUMBER("dirfd"), PATH("filename"), MODE, HEX("flags") }, .of_file = true, .is_change = true },
#ifdef SYS_symlink
	{ SYS_symlink, "symlink", "file", CALL_PATHS, .args = { TEXT("target"), PATH("linkpath") }, .is_change = true },
#endif
	{ SYS_symlinkat, "symlinkat", "file", CALL_PATHS, .args = { TEXT("target"), NUMBER("linkdirfd"), PATH("linkpath") }, .is_change = true },
#ifdef SYS_link
	{ SYS_link, "link", "file", CALL_PATHS, .args = { PATH("oldpath"), PATH("newpath") }, .is_change = true },
#endif
	{ SYS_linkat, "linkat", "file", CALL_PATHS, .args = { NUMBER("olddir"), PATH("oldpath"), NUMBER("newdir"), PATH("newpath"), HEX("flags") }, .is_change = true },
#ifdef SYS_open
	{ SYS_open, "open", "file", CALL_OPEN, .args = { PATH("name"), { "flags", CALL_ARG_OPEN_FLAGS }, MODE } },
#endif
	{ SYS_openat, "openat", "file", CALL_OPEN, .args = { PATH("name"), { "flags", CALL_ARG_OPEN_FLAGS }, MODE } },
	{ HF_OPENAT2, "openat2", "file", CALL_OPEN, .args = { PATH("name"), { "flags", CALL_ARG_OPEN_FLAGS }, MODE } },
#ifdef SYS_creat
	{ SYS_creat, "creat", "file", CALL_OPEN, .args = { PATH("name"), { "flags", CALL_ARG_OPEN_FLAGS }, MODE } },
#endif
	{ SYS_ioctl, "ioctl", "file", CALL_INODE_FLAGS, .args = { NUMBER("fd"), { "request", CALL_ARG_INODE_REQUEST }, { "flags", CALL_ARG_INODE_FLAGS } }, .of_file = true },
	{ SYS_init_module, "init_module", "system", CALL_ALL, .args = { HEX("img"), NUMBER("length"), TEXT("uargs") } },
	{ SYS_finit_module, "finit_module", "system", CALL_ALL, .args = { NUMBER("fd"), TEXT("uargs"), HEX("flags") } },
	{ SYS_delete_module, "delete_module", "system", CALL_ALL, .args = { TEXT("name"), HEX("flags") } },
	{ SYS_kexec_load, "kexec_load", "system", CALL_ALL, .args = { HEX("entry"), NUMBER("nr_segments"), { NULL, CALL_ARG_NONE }, HEX("flags") } },
	{ SYS_bpf, "bpf", "system", CALL_ALL, .args = { { "cmd", CALL_ARG_BPF } } },
	{ SYS_perf_event_open, "perf_event_open", "system", CALL_ALL, .args = { { NULL, CALL_ARG_NONE }, NUMBER("pid"), NUMBER("cpu") } },
#ifdef SYS_userfaultfd
	{ SYS_userfaultfd, "userfaultfd", "process", CALL_ALL, .args = { HEX("flags") } },
#endif
#ifdef SYS_mmap
	{ SYS_mmap, "mmap", "memory", CALL_CODE_NEW, .args = { HEX("addr"), HEX("length"), { "prot", CALL_ARG_PROT }, HEX("flags") } },
#endif
	{ SYS_mprotect, "mprotect", "memory", CALL_CODE, .args = { HEX("addr"), HEX("length"), { "prot", CALL_ARG_PROT } } },
	{ SYS_pkey_mprotect, "pkey_mprotect", "memory", CALL_CODE, .args = { HEX("addr"), HEX("length"), { "prot", CALL_ARG_PROT } } },
	{ SYS_keyctl, "keyctl", "system", CALL_ALL, .args = { NUMBER("option") } },
	{ SYS_memfd_create, "memfd_create", "file", CALL_ALL, .args = { TEXT("name"), HEX("flags") } },
	{ SYS_open_by_handle_at, "open_by_handle_at", "file", CALL_ALL, .args = { NUMBER("mountfd"), { NULL, CALL_ARG_NONE }, HEX("flags") } },
	{ SYS_socket, "socket", "net", CALL_RAW_SOCKETS, .args = { { "domain", CALL_ARG_DOMAIN }, NUMBER("type"), NUMBER("proto") } },
	{ SYS_connect, "connect", "net", CALL_CONNECT, .args = { NUMBER("fd") }, .address = CALL_ADDRESS_1, .op = SOCKET_CONNECT, .uring = IORING_OP_CONNECT },
#ifdef SYS_accept
	{ SYS_accept, "accept", "net", CALL_ACCEPT, .args = { NUMBER("fd") }, .op = SOCKET_ACCEPT },
#endif
	{ SYS_accept4, "accept4", "net", CALL_ACCEPT, .args = { NUMBER("fd") }, .op = SOCKET_ACCEPT, .uring = IORING_OP_ACCEPT },
	{ SYS_listen, "listen", "net", CALL_LOCAL, .args = { NUMBER("fd"), NUMBER("backlog") }, .op = SOCKET_LISTEN, .uring = HF_URING_LISTEN },
	{ SYS_bind, "bind", "net", CALL_LOCAL, .args = { NUMBER("fd") }, .address = CALL_ADDRESS_1, .op = SOCKET_BIND, .uring = HF_URING_BIND },
	{ SYS_sendto, "sendto", "net", CALL_SEND, .args = { NUMBER("fd"), { NULL, CALL_ARG_NONE }, NUMBER("size") }, .address = CALL_ADDRESS_4, .op = SOCKET_SEND, .uring = IORING_OP_SEND },
	{ SYS_sendmsg, "sendmsg", "net", CALL_SEND, .args = { NUMBER("fd") }, .address = CALL_ADDRESS_MSGHDR, .op = SOCKET_SEND, .uring = IORING_OP_SENDMSG },
	{ SYS_sendmmsg, "sendmmsg", "net", CALL_SEND, .args = { NUMBER("fd") }, .address = CALL_ADDRESS_MSGHDR, .op = SOCKET_SEND },
	{ SYS_recvfrom, "recvfrom", "net", CALL_RECEIVE, .args = { NUMBER("fd"), { NULL, CALL_ARG_NONE }, NUMBER("size") }, .address = CALL_ADDRESS_4, .op = SOCKET_RECEIVE },
	{ SYS_recvmsg, "recvmsg", "net", CALL_RECEIVE, .args = { NUMBER("fd") }, .address = CALL_ADDRESS_MSGHDR, .op = SOCKET_RECEIVE, .hands_on = CALL_HANDS_MESSAGE },
	{ SYS_recvmmsg, "recvmmsg", "net", CALL_ALL, .args = { NUMBER("fd") }, .hands_on = CALL_HANDS_MESSAGES },
	{ HF_PIDFD_GETFD, "pidfd_getfd", "process", CALL_ALL, .args = { NUMBER("pid_fd"), NUMBER("target_fd"), HEX("flags") }, .hands_on = CALL_HANDS_RESULT },
	{ SYS_dup, "dup", "file", CALL_DUP, .args = { NUMBER("oldfd") }, .op = SOCKET_OP_NONE },
#ifdef SYS_dup2
	{ SYS_dup2, "dup2", "file", CALL_DUP, .args = { NUMBER("oldfd"), NUMBER("newfd") }, .op = SOCKET_OP_NONE },
#endif
	{ SYS_dup3, "dup3", "file", CALL_DUP, .args = { NUMBER("oldfd"), NUMBER("newfd") }, .op = SOCKET_OP_NONE },
	{ -1, "tcp_close", "net", CALL_END, .args = { { NULL, CALL_ARG_NONE } }, .op = SOCKET_CLOSE },
	{ -1, "udp_close", "net", CALL_DATAGRAM_END, .args = { { NULL, CALL_ARG_NONE } }, .op = SOCKET_CLOSE },
	{ -1, "dns_query", "net", CALL_QUERY, .args = { { NULL, CALL_ARG_NONE } }, .op = SOCKET_QUERY },
	{ -1, "socket_inherit", "net", CALL_INHERIT, .args = { NUMBER("fd") }, .op = SOCKET_INHERIT },
};
/* clang-format on */
const size_t call_count = ARRAY_SIZE(call_table);

_Static_assert(ARRAY_SIZE(call_table) < 255, "a byte numbers them, 0 is none");

const struct call_info *call_by_name(const char *name, size_t len)
{
	for (size_t i = 0; i < call_count; i++)
		if (strlen(call_table[i].name) == len && memcmp(call_table[i].name, name, len) == 0)
			return &call_table[i];
	return NULL;
}

/* --- words for values */

struct word {
	uint64_t value;
	const char *name;
};

/* ptrace(2), linux/ptrace.h */
static const struct word ptrace_words[] = {
	{ 0, "PTRACE_TRACEME" },	 { 1, "PTRACE_PEEKTEXT" },	 { 2, "PTRACE_PEEKDATA" },
	{ 3, "PTRACE_PEEKUSER" },	 { 4, "PTRACE_POKETEXT" },	 { 5, "PTRACE_POKEDATA" },
	{ 6, "PTRACE_POKEUSER" },	 { 7, "PTRACE_CONT" },		 { 8, "PTRACE_KILL" },
	{ 9, "PTRACE_SINGLESTEP" },	 { 12, "PTRACE_GETREGS" },	 { 13, "PTRACE_SETREGS" },
	{ 16, "PTRACE_ATTACH" },	 { 17, "PTRACE_DETACH" },	 { 24, "PTRACE_SYSCALL" },
	{ 0x4200, "PTRACE_SETOPTIONS" }, { 0x4204, "PTRACE_GETREGSET" }, { 0x4205, "PTRACE_SETREGSET" },
	{ 0x4206, "PTRACE_SEIZE" },	 { 0x4207, "PTRACE_INTERRUPT" },
};

/* linux/bpf.h */
static const struct word bpf_words[] = {
	{ 0, "BPF_MAP_CREATE" },      { 1, "BPF_MAP_LOOKUP_ELEM" }, { 2, "BPF_MAP_UPDATE_ELEM" },
	{ 3, "BPF_MAP_DELETE_ELEM" }, { 5, "BPF_PROG_LOAD" },	    { 6, "BPF_OBJ_PIN" },
	{ 7, "BPF_OBJ_GET" },	      { 8, "BPF_PROG_ATTACH" },	    { 17, "BPF_RAW_TRACEPOINT_OPEN" },
	{ 18, "BPF_BTF_LOAD" },	      { 28, "BPF_LINK_CREATE" },
};

static const struct word domain_words[] = {
	{ AF_UNIX, "AF_UNIX" },	      { AF_INET, "AF_INET" },	  { AF_INET6, "AF_INET6" },
	{ AF_NETLINK, "AF_NETLINK" }, { AF_PACKET, "AF_PACKET" }, { AF_VSOCK, "AF_VSOCK" },
};

static const struct word clone_words[] = {
	{ CLONE_NEWNS, "CLONE_NEWNS" },	  { CLONE_NEWCGROUP, "CLONE_NEWCGROUP" }, { CLONE_NEWUTS, "CLONE_NEWUTS" },
	{ CLONE_NEWIPC, "CLONE_NEWIPC" }, { CLONE_NEWUSER, "CLONE_NEWUSER" },	  { CLONE_NEWPID, "CLONE_NEWPID" },
	{ CLONE_NEWNET, "CLONE_NEWNET" }, { CLONE_FILES, "CLONE_FILES" },	  { CLONE_FS, "CLONE_FS" },
};

static const struct word mode_words[] = {
	{ S_IXOTH, "S_IXOTH" }, { S_IWOTH, "S_IWOTH" }, { S_IROTH, "S_IROTH" }, { S_IXGRP, "S_IXGRP" },
	{ S_IWGRP, "S_IWGRP" }, { S_IRGRP, "S_IRGRP" }, { S_IXUSR, "S_IXUSR" }, { S_IWUSR, "S_IWUSR" },
	{ S_IRUSR, "S_IRUSR" }, { S_ISVTX, "S_ISVTX" }, { S_ISGID, "S_ISGID" }, { S_ISUID, "S_ISUID" },
};

/* asm/fcntl.h, but for the two bits of how it is opened. O_SYNC holds O_DSYNC, __O_TMPFILE stands for O_TMPFILE. */
static const struct word open_words[] = {
	{ O_CREAT, "O_CREAT" },	      { O_EXCL, "O_EXCL" },	    { O_TRUNC, "O_TRUNC" },
	{ O_APPEND, "O_APPEND" },     { O_NONBLOCK, "O_NONBLOCK" }, { O_DIRECTORY, "O_DIRECTORY" },
	{ O_NOFOLLOW, "O_NOFOLLOW" }, { O_CLOEXEC, "O_CLOEXEC" },   { O_DSYNC, "O_SYNC" },
	{ __O_TMPFILE, "O_TMPFILE" }, { O_PATH, "O_PATH" },	    { O_DIRECT, "O_DIRECT" },
};

static const struct word prot_words[] = {
	{ PROT_READ, "PROT_READ" },
	{ PROT_WRITE, "PROT_WRITE" },
	{ PROT_EXEC, "PROT_EXEC" },
};

/* linux/fs.h; the second pair on other kinds of machine */
static const struct word inode_requests[] = {
	{ 0x40086602, "FS_IOC_SETFLAGS" },
	{ 0x40046602, "FS_IOC_SETFLAGS" },
	{ 0x80086602, "FS_IOC_SETFLAGS" },
	{ 0x401c5820, "FS_IOC_FSSETXATTR" },
};

static const struct word inode_flags[] = {
	{ FS_SYNC_FL, "FS_SYNC_FL" },	  { FS_IMMUTABLE_FL, "FS_IMMUTABLE_FL" }, { FS_APPEND_FL, "FS_APPEND_FL" },
	{ FS_NODUMP_FL, "FS_NODUMP_FL" }, { FS_NOATIME_FL, "FS_NOATIME_FL" },
};

static const char *write_word(struct arena *a, uint64_t value, const struct word *words, size_t n)
{
	char text[24];

	for (size_t i = 0; i < n; i++)
		if (words[i].value == (uint32_t)value)
			return words[i].name;
	snprintf(text, sizeof(text), "%" PRIu32, (uint32_t)value);
	return arena_strdup(a, text);
}

/* The words of the bits that are set, joined by |. The room is enough for all of them. */
static size_t join_words(uint64_t value, const struct word *words, size_t n, char *text, size_t size)
{
	size_t len = 0;

	text[0] = '\0';
	for (size_t i = 0; i < n; i++)
		if (value & words[i].value)
			len += (size_t)snprintf(text + len, size - len, "%s%s", len ? "|" : "", words[i].name);
	return len;
}

static const char *write_words(struct arena *a, uint64_t value, const struct word *words, size_t n)
{
	char text[256];

	return join_words(value, words, n, text, sizeof(text)) ? arena_strdup(a, text) : "0";
}

size_t call_mode_text(uint32_t mode, char ret[CALL_MODE_TEXT])
{
	return join_words(mode, mode_words, ARRAY_SIZE(mode_words), ret, CALL_MODE_TEXT);
}

static const char *write_open_flags(struct arena *a, uint64_t value)
{
	static const char *const how[] = { "O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE" };
	char text[256], words[192];

	join_words(value, open_words, ARRAY_SIZE(open_words), words, sizeof(words));
	snprintf(text, sizeof(text), "%s%s%s", how[value & O_ACCMODE], *words ? "|" : "", words);
	return arena_strdup(a, text);
}

static const char *write_number(struct arena *a, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRId32, (int32_t)value);
	return arena_strdup(a, text);
}

static const char *write_hex(struct arena *a, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "0x%" PRIx64, value);
	return arena_strdup(a, text);
}

static const char *write_uid(struct arena *a, uint64_t value)
{
	const char *name = (uint32_t)value == UINT32_MAX ? NULL : user_name((uint32_t)value);

	return name ? name : write_number(a, value);
}

static const char *write_arg(struct arena *a, enum call_arg_type type, uint64_t value)
{
	switch (type) {
	case CALL_ARG_NUMBER:
		return write_number(a, value);
	case CALL_ARG_HEX:
		return write_hex(a, value);
	case CALL_ARG_UID:
		return write_uid(a, value);
	case CALL_ARG_PTRACE:
		return write_word(a, value, ptrace_words, ARRAY_SIZE(ptrace_words));
	case CALL_ARG_BPF:
		return write_word(a, value, bpf_words, ARRAY_SIZE(bpf_words));
	case CALL_ARG_DOMAIN:
		return write_word(a, value, domain_words, ARRAY_SIZE(domain_words));
	case CALL_ARG_CLONE:
		return write_words(a, value, clone_words, ARRAY_SIZE(clone_words));
	case CALL_ARG_MODE:
		return write_words(a, value, mode_words, ARRAY_SIZE(mode_words));
	case CALL_ARG_OPEN_FLAGS:
		return write_open_flags(a, value);
	case CALL_ARG_PROT:
		return write_words(a, value, prot_words, ARRAY_SIZE(prot_words));
	case CALL_ARG_INODE_REQUEST:
		return write_word(a, value, inode_requests, ARRAY_SIZE(inode_requests));
	case CALL_ARG_INODE_FLAGS:
		return write_words(a, value, inode_flags, ARRAY_SIZE(inode_flags));
	case CALL_ARG_NONE:
	case CALL_ARG_TEXT:
	case CALL_ARG_PATH:
	case CALL_ARG_TYPES:
		break;
	}
	return NULL;
}

const struct event_call *call_new(struct arena *a, const struct call_info *info, const uint64_t raw[CALL_ARGS],
				  const char *const texts[CALL_TEXTS], int64_t result)
{
	struct event_call *c = arena_zalloc(a, sizeof(*c));
	size_t text = 0;

	if (!c)
		return NULL;
	c->info = info;
	c->result = result;
	c->fd = -1;
	if (call_has_socket(info) && (info->filter < CALL_END || info->filter == CALL_INHERIT))
		c->fd = info->filter == CALL_DUP ? (int32_t)result : (int32_t)raw[0];
	for (size_t i = 0; i < CALL_ARGS; i++) {
		if (!call_arg_is_text(info->args[i].type))
			c->args[i] = write_arg(a, info->args[i].type, raw[i]);
		else if (text < CALL_TEXTS && texts[text])
			c->args[i] = arena_strdup(a, texts[text]);
		text += call_arg_is_text(info->args[i].type);
	}
	return c;
}

const struct event_call *call_new_open(struct arena *a, const struct call_info *info, const struct call_open *open,
				       int64_t result)
{
	const uint64_t raw[CALL_ARGS] = { 0, open->flags, open->mode };
	const char *const texts[CALL_TEXTS] = { open->written };
	struct event_call *c = (struct event_call *)(uintptr_t)call_new(a, info, raw, texts, result);
	struct call_open *copy = c ? arena_alloc(a, sizeof(*copy)) : NULL;

	if (!copy)
		return NULL;
	*copy = *open;
	copy->written = c->args[0];
	copy->raw = open->raw ? arena_strdup(a, open->raw) : NULL;
	if ((open->raw && !copy->raw) || (open->written && !copy->written))
		return NULL;
	c->open = copy;
	return c;
}

const char *call_arg(const struct event_call *c, const char *name)
{
	for (size_t i = 0; i < CALL_ARGS; i++)
		if (c->info->args[i].name && streq(c->info->args[i].name, name))
			return c->args[i];
	return NULL;
}

const char *call_result(const struct event_call *c, char *buf, size_t size)
{
	static const struct word errors[] = {
		{ EPERM, "EPERM" },
		{ ENOENT, "ENOENT" },
		{ ESRCH, "ESRCH" },
		{ EINTR, "EINTR" },
		{ EIO, "EIO" },
		{ EBADF, "EBADF" },
		{ EAGAIN, "EAGAIN" },
		{ ENOMEM, "ENOMEM" },
		{ EACCES, "EACCES" },
		{ EFAULT, "EFAULT" },
		{ EBUSY, "EBUSY" },
		{ EEXIST, "EEXIST" },
		{ ENODEV, "ENODEV" },
		{ ENOTDIR, "ENOTDIR" },
		{ EINVAL, "EINVAL" },
		{ EMFILE, "EMFILE" },
		{ ENOSPC, "ENOSPC" },
		{ EROFS, "EROFS" },
		{ ENOSYS, "ENOSYS" },
		{ EOPNOTSUPP, "EOPNOTSUPP" },
		{ EINPROGRESS, "EINPROGRESS" },
		{ ECONNREFUSED, "ECONNREFUSED" },
		{ ETIMEDOUT, "ETIMEDOUT" },
		{ ENETUNREACH, "ENETUNREACH" },
		{ EHOSTUNREACH, "EHOSTUNREACH" },
		{ EADDRINUSE, "EADDRINUSE" },
		{ EADDRNOTAVAIL, "EADDRNOTAVAIL" },
		{ EISCONN, "EISCONN" },
		{ ENOTCONN, "ENOTCONN" },
		{ ECONNRESET, "ECONNRESET" },
		{ ECONNABORTED, "ECONNABORTED" },
		{ EAFNOSUPPORT, "EAFNOSUPPORT" },
		{ ENOTSOCK, "ENOTSOCK" },
		{ EPROTOTYPE, "EPROTOTYPE" },
		{ EDESTADDRREQ, "EDESTADDRREQ" },
	};

	if (c->result >= 0)
		return "SUCCESS";
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++)
		if ((uint64_t)-c->result == errors[i].value)
			return errors[i].name;
	snprintf(buf, size, "%" PRId64, -c->result);
	return buf;
}
