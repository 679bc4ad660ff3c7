/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What the BPF programs tell, as it stands in the ring: read by them and by watch/bpf_decode.c. Numbers are in host
 * order; ids and pids are those of the initial namespaces.
 */
#ifndef WATCH_BPF_RECORD_H
#define WATCH_BPF_RECORD_H

#include <linux/types.h>

#define BPF_ARGV_MAX  4096 /* PROCESS_ARGV_MAX */
#define BPF_PATH_MAX  4096 /* bytes of one path's names */
#define BPF_NAME_MAX  256  /* of one name, with its NUL */
#define BPF_DEPTH_MAX 64   /* names of one path */

#define BPF_ENV_MAX 128 /* variables that are looked at */

/* The execs whose record wakes the reader at once. */
enum bpf_prompt {
	BPF_PROMPT_NONE,
	BPF_PROMPT_OPEN, /* those with something left to look at: not judged before, or with code for the loader */
	BPF_PROMPT_ALL,
};

enum bpf_record_kind {
	BPF_RECORD_FORK,
	BPF_RECORD_EXEC,
	BPF_RECORD_EXIT,
	BPF_RECORD_REFUSED, /* the process as it was before; exe is the file that it was not let run */
	BPF_RECORD_KINDS
};

/* What kind of file was refused. */
enum bpf_refused {
	BPF_REFUSED_UNGATED, /* of a file system that nobody judges programs of */
	BPF_REFUSED_MEMORY,
	BPF_REFUSED_FUSE,
	BPF_REFUSED_KINDS
};

/* Signals that a process is not told of: who sent the last of each. */
enum bpf_unheard {
	BPF_UNHEARD_KILL,
	BPF_UNHEARD_STOP,
	BPF_UNHEARD_COUNT,
};

struct bpf_sender {
	__u64 mono_ns; /* 0: nobody has */
	__s32 pid;
	__u32 uid;
	__u32 by_kernel; /* pid and comm are whoever ran */
	__u32 pad;
	char comm[16];
};

/* Processes that open and link files through io_uring: the newest. */
#define BPF_URING_FILES_MAX 1024

/* A file, by the kernel's numbers. */
struct bpf_file_id {
	__u64 ino;
	__u32 dev; /* major << 20 | minor */
	__u32 pad;
};

enum bpf_record_flag {
	BPF_ARGV_CUT = 1 << 0,
	BPF_ARGV_UNREAD = 1 << 1,
	BPF_EXE_DELETED = 1 << 2,
	BPF_EXE_CUT = 1 << 3,	 /* deeper or longer than there is room for */
	BPF_EXE_PSEUDO = 1 << 4, /* a file without a folder: memory files */
	BPF_CWD_DELETED = 1 << 5,
	BPF_CWD_CUT = 1 << 6,
	BPF_CWD_PSEUDO = 1 << 7,
	BPF_HAS_LOGIN = 1 << 8,	    /* loginuid and session are members of this kernel's tasks */
	BPF_CGROUP_LEGACY = 1 << 9, /* of one of several hierarchies */
	BPF_CGROUP_CUT = 1 << 10,
	BPF_EXE_GATED = 1 << 11,   /* its superblock carries the gate's mark */
	BPF_EXE_UNGATED = 1 << 12, /* it does not; neither: there is no gate */
	BPF_EXE_AS_STAT = 1 << 13, /* not of a kind whose stat has other numbers than the kernel's */
	BPF_ENV_PLAIN = 1 << 14,   /* no variable in the environment is the loader's */
};

/*
 * The process as it is after the event. Behind that of an exec stand its data: argv (each with its NUL), then the names
 * of the executable's path from the last one up, then those of the working folder, then those of the cgroup, each with
 * its NUL.
 */
struct bpf_record {
	__u32 kind;
	__u32 flags;
	__u64 mono_ns;	/* CLOCK_MONOTONIC */
	__u64 start_ns; /* since boot */
	__s32 tgid;
	__s32 ppid;
	__s32 maker; /* fork: the one that called it; not the parent with CLONE_PARENT */
	__s32 sid;
	__u32 uid, gid, euid, egid;
	__u64 cap_inheritable, cap_permitted, cap_effective;
	__s32 vpid, vpgid; /* in the innermost pid namespace */
	__u32 loginuid, session;
	__u32 tty_major, tty_minor; /* 0, 0: none */
	__u64 exe_ino, exe_size;
	__s64 exe_ctime; /* ns; as the kernel keeps it */
	__u32 exe_dev;	 /* major << 20 | minor */
	__u32 argv_len, exe_len, cwd_len, cgroup_len;
	char comm[16];
	__u32 refused;	      /* enum bpf_refused */
	__u32 mnt_ns, pid_ns; /* exec: inodes of its namespaces; 0 unknown */
	__u32 pad;
	__u64 cgroups; /* exec: never 0; of two processes at a time the same when all their cgroups are */
};

/* --- system calls */

#define BPF_CALL_NUMBERS 512 /* CALL_NUMBER_MAX; power of two */
#define BPF_CALL_ROWS	 128
#define BPF_CALL_TEXT	 256 /* CALL_TEXT_MAX; of strings that are no paths */

/* Whose program goes on with a call as it returns. */
enum bpf_exit { BPF_EXIT_NONE, BPF_EXIT_CALLS, BPF_EXIT_OPENS, BPF_EXITS };

/* A number may be one call of 32-bit programs and another of others: two of them, four bits each. */
#define BPF_EXIT_SHIFT(compat)	((compat) ? 4 : 0)
#define BPF_EXIT_OF(by, compat) ((by) >> BPF_EXIT_SHIFT(compat) & 15)

/* Which of them are told; from BPF_CALL_CONNECT on they are of sockets, and told as struct bpf_socket_call. */
enum bpf_call_filter {
	BPF_CALL_ALL,
	BPF_CALL_RAW_SOCKETS,
	BPF_CALL_INODE_FLAGS,
	BPF_CALL_PATHS, /* with strings as long as they may be */
	BPF_CALL_OPEN,	/* not told by these programs */
	BPF_CALL_CODE,
	BPF_CALL_CODE_NEW,
	BPF_CALL_CONNECT,
	BPF_CALL_ACCEPT,
	BPF_CALL_LOCAL,	       /* bind, listen */
	BPF_CALL_SEND,	       /* a datagram to another peer than the one before */
	BPF_CALL_RECEIVE,      /* from another */
	BPF_CALL_DUP,	       /* a socket onto a standard stream */
	BPF_CALL_END,	       /* of a connection; no call */
	BPF_CALL_QUERY,	       /* not told by these programs */
	BPF_CALL_DATAGRAM_END, /* of a socket, one for each peer; no call */
	BPF_CALL_INHERIT,      /* of a connection, by another program; no call */
};

/* Descriptors that a call brings: CALL_HANDS_*. */
enum bpf_call_hands_on { BPF_HANDS_NOTHING, BPF_HANDS_RESULT, BPF_HANDS_MESSAGE, BPF_HANDS_MESSAGES };

#define BPF_HELD_MAX	 256 /* descriptors of a program that are looked at as it starts: the first; power of two */
#define BPF_PASSED_MAX	 253 /* of one message: SCM_MAX_FD */
#define BPF_CONTROL_MAX	 4   /* pieces of control data of a message that are looked at */
#define BPF_MESSAGES_MAX 16  /* messages of one call */

/* Each counts what it could not tell. */
enum bpf_call_program {
	BPF_PROGRAM_CALLS,
	BPF_PROGRAM_SOCKETS,
	BPF_PROGRAM_URING,
	BPF_PROGRAM_ENDS,
	BPF_CALL_PROGRAMS
};

#define BPF_URING_OPS 64

#define BPF_SOCKETCALL	102 /* CALL_SOCKETCALL */
#define BPF_SOCKETCALLS 32  /* power of two; CALL_SOCKETCALLS fit */

/* sizeof(struct sockaddr_in6) and of sockaddr_in */
#define BPF_ADDRESS_IP	28
#define BPF_ADDRESS_IP4 16

/* Where the call has the address of the peer. */
enum bpf_call_address { BPF_ADDRESS_NONE, BPF_ADDRESS_1, BPF_ADDRESS_4, BPF_ADDRESS_MSGHDR };

/* In bpf_call_row: not an argument, but the path of the file behind the first one, which is a descriptor. */
#define BPF_TEXT_PATH 255

struct bpf_call_row {
	__u8 filter;
	__u8 text[2]; /* which arguments are strings, from 1; 0 none; the fourth is the last that may be */
	__u8 address; /* enum bpf_call_address */
	/* Of BPF_CALL_PATHS: where those strings begin that are paths: at the descriptor in that argument, from 1. */
	__u8 base[2]; /* 0: no path */
	__u8 hands_on; /* enum bpf_call_hands_on; what is passed on is told as BPF_CALL_INHERIT, while somebody asks */
	__u8 quiet;    /* the call itself is not */
};

#define BPF_BASE_CWD 255

struct bpf_call_head {
	__u32 id;
	__s32 tgid, tid;
	__u32 count; /* of calls alike that it stands for, at least 1 */
	__u64 mono_ns;
	__u64 start_ns; /* of the process, since boot */
	__s64 result;
	__u64 args[6];
};

/*
 * Behind it the strings among the arguments, each with its NUL, and for each one that is a relative path the names of
 * the folder that it begins at, from the last one up; or, of a call about a descriptor, those of the file behind that.
 */
struct bpf_call {
	struct bpf_call_head head;
	__u32 text_len[2]; /* 0: could not be read */
	__u32 base_len[2];
	__u8 cut[2]; /* the folder is deeper or longer than there is room for, or is gone */
	__u8 pad[6];
};

#define BPF_FLOODS_MAX 2048

enum bpf_families { BPF_FAMILY_IP = 1, BPF_FAMILY_UNIX = 2 };

#define BPF_SOCKET_NAME 108 /* sun_path */
#define BPF_SOCKET_DATA 128 /* power of two; one byte less is told */

enum bpf_socket_flag {
	BPF_SOCKET_LOCAL = 1 << 0, /* the address is known */
	BPF_SOCKET_REMOTE = 1 << 1,
	BPF_SOCKET_CONNECTED = 1 << 2,
	BPF_SOCKET_NEW_PEER = 1 << 3,
	BPF_SOCKET_URING = 1 << 4,    /* asked for through io_uring; the result is not known */
	BPF_SOCKET_ACCEPTED = 1 << 5, /* of an end, or an inherited one: by accept */
	BPF_SOCKET_BEGAN = 1 << 6,    /* of an inherited one: by connect */
};

struct bpf_socket {
	__u64 ino; /* of the socket; 0: there is none */
	__u16 family, type, protocol;
	__u16 flags;
	__u8 local[16], remote[16]; /* IPv4 in the first four bytes; network order */
	__u16 local_port, remote_port;
	__u16 name_len; /* AF_UNIX: of the name, which may begin with a NUL */
	__u16 data_len; /* of what was received */
	char name[BPF_SOCKET_NAME + 4];
};

struct bpf_socket_call {
	struct bpf_call_head head;
	struct bpf_socket socket;
	__u8 data[BPF_SOCKET_DATA];
};

/* Arguments of the end of a connection; of a counted one their sums behind the first, which was told. */
enum bpf_end_arg { BPF_END_SENT, BPF_END_RECEIVED, BPF_END_OPEN_NS };

/* Connections whose end is told; and so many again of those that were there before. */
#define BPF_OPEN_MAX 131072

struct bpf_open_connection {
	__u64 start_ns; /* of the process */
	__u64 mono_ns;	/* since when it is open; 0: not yet, or unknown */
	__u64 peer;	/* hash: a socket's memory is used again */
	__u64 ino;
	__s32 tgid, tid;
	__u32 accepted;
	__u32 adopted; /* it was there before: said by user space */
};

/* Peers of a datagram socket that are counted each; others together. */
#define BPF_DATAGRAM_PEERS 8

/*
 * Calls alike within a period are told once and counted then: by whom, what, from or to where, and what came of it.
 * There are two periods, the one that goes on and the one before, which user space reads and empties.
 */
struct bpf_flood_key {
	__u64 start_ns;
	__s32 tgid;
	__s32 result; /* descriptors are alike */
	__u64 name;   /* hash of a unix socket's */
	__u8 local[16], remote[16];
	__u16 local_port, remote_port; /* the server's alone; the other 0 */
	__u16 id;
	__u16 family_protocol;
	__u32 period; /* 0 or 1 */
	__u32 pad;
};

struct bpf_flood {
	struct bpf_socket_call first;
	__u64 more; /* behind the first, which was told */
};

/* --- opens */

#define BPF_OPEN_NAME  64 /* bytes of a name that are compared, with its NUL */
#define BPF_OPEN_NAMES 4096
#define BPF_OPEN_PAIRS 65536 /* of the first two bytes of a name, the first one in the upper half */

/* How a file is opened. What is asked for, and what an open is, are sets of them: bits. */
enum bpf_open_class {
	BPF_OPENS_READ,	   /* for reading, and it succeeded */
	BPF_OPENS_CALL,	   /* by any call that names a path, and what came of it */
	BPF_OPENS_WRITE,   /* such a call, for writing */
	BPF_OPENS_MAKE,	   /* such a call with O_CREAT or O_TRUNC */
	BPF_OPENS_PROGRAM, /* such a call, with a mode for a new file that lets it be run */
	BPF_OPENS_UP,	   /* such a call with ".." in the path as it was written */
	BPF_OPENS_CLASSES
};
#define BPF_OPEN_BIT(class) (1u << (class))

/* Values of names: classes of opens of files called so, and of those with such a name on the way, which is the file's
 * own too. */
#define BPF_OPEN_WAY(classes) ((classes) << 16)

/* The call; of compat ones too. */
enum bpf_open_call {
	BPF_OPEN_NONE,
	BPF_OPEN_OPEN,
	BPF_OPEN_OPENAT,
	BPF_OPEN_OPENAT2,
	BPF_OPEN_CREAT,
	BPF_OPEN_HANDLE,
	BPF_OPEN_KINDS
};

enum bpf_open_flag {
	BPF_OPEN_DIR = 1 << 0,
	BPF_OPEN_CUT = 1 << 1,	    /* the file's path is deeper or longer than there is room for, or has no folder */
	BPF_OPEN_NO_FILE = 1 << 2,  /* it failed */
	BPF_OPEN_BASE_CUT = 1 << 3, /* the same of the folder that the path as written begins at */
	BPF_OPEN_CREATED = 1 << 4,  /* it made the file */
};

/*
 * Behind it, with their NULs: the path as it was written, the names of the file's path from the last one up, and those
 * of the folder that a relative path as written begins at. The first and the last only of calls (not BPF_OPENS_READ
 * alone).
 */
struct bpf_open {
	__u64 mono_ns;
	__u64 start_ns; /* of the process, since boot */
	__s64 result;
	__s32 tgid;
	__u32 classes; /* those that it has, of the ones asked for */
	__u32 call;    /* enum bpf_open_call */
	__u32 flags;   /* enum bpf_open_flag */
	__u32 open_flags, mode;
	__u32 raw_len, len, base_len;
	char comm[16]; /* of the process */
	__u32 pad;
};

/* --- DNS */

#define BPF_DNS_MAX    1500 /* bytes of a datagram, or of a piece of a stream */
#define BPF_DNS_SMALL  256  /* most queries have room in this */
#define BPF_DNS_PIECES 12   /* of one packet of a stream */

enum bpf_dns_flag {
	BPF_DNS_QUERY = 1 << 0,	 /* to port 53; else an answer, from there */
	BPF_DNS_STREAM = 1 << 1, /* TCP: data is a piece of it */
	BPF_DNS_BEGIN = 1 << 2,	 /* the connection is made: seq is of the first byte that there will be */
};

struct bpf_dns {
	__u64 mono_ns;
	__u64 start_ns; /* of the process, since boot */
	__u64 cookie;	/* of the socket */
	__s32 tgid;	/* whoever runs: of a datagram to port 53, and of the beginning of such a stream, who asks */
	__s32 tid;
	__u32 seq;
	__u32 flags;
	__u8 local[16], remote[16]; /* IPv4 in the first four bytes; network order */
	__u16 local_port, remote_port;
	__u16 family;
	__u16 len;
	__u8 data[];
};

/* --- verdicts over connections */

#define BPF_POLICY_ENTRIES    256 /* POLICY_ENTRIES; one bit each, the lowest that is set decides */
#define BPF_POLICY_WORDS      (BPF_POLICY_ENTRIES / 64)
#define BPF_POLICY_CLASSES    1024 /* power of two; more than twice as many as entries */
#define BPF_POLICY_NAMES      4	   /* that are remembered of one address */
#define BPF_POLICY_LEARNED    8192
#define BPF_POLICY_COUNTED    2048
#define BPF_POLICY_PREFIXES   512  /* of one table */
#define BPF_POLICY_CONTAINERS 8192 /* of one table, that have a verdict of their own at a time */

/* A hash that both sides make: FNV-1a. */
#define BPF_HASH_START 0xcbf29ce484222325ULL
#define BPF_HASH_PRIME 0x100000001b3ULL
#define BPF_HASH_BELOW 0x9e3779b97f4a7c15ULL /* or-ed in by exclusive or: any name below that one */

struct bpf_policy_bits {
	__u64 w[BPF_POLICY_WORDS];
};

/* What is in force. */
struct bpf_policy_table {
	__u32 serial;
	__u32 enforce;					   /* 0 or 1 */
	__u8 by_container, by_user, by_program, by_domain; /* some entry asks about it */
	__u8 pad[4];
	struct bpf_policy_bits any;	      /* destinations of no prefix */
	struct bpf_policy_bits deny;	      /* entries that deny */
	struct bpf_policy_bits host;	      /* processes in no container */
	struct bpf_policy_bits unknown;	      /* in a container that is not known */
	struct bpf_policy_bits user, program; /* of those without a row of their own */
	__u16 port_class[65536];
	struct bpf_policy_bits ports[BPF_POLICY_CLASSES];
};

/* Two tables, of which one is in force while the other is filled; so keys begin with the table's number. */
struct bpf_policy_prefix {
	__u32 len; /* in bits, with those of table */
	__u8 table;
	__u8 address[16];
	__u8 pad[3];
};

struct bpf_policy_key {
	__u32 table;
	__u32 pad;
	__u64 value[2]; /* container: hash of its id; user: id; program: dev and inode; domain: hash of its name */
};

/* What does not depend on the table: names that an address had in answers of DNS. */
struct bpf_learned_key {
	__u64 netns; /* where the answer came; 0: said by user space, or it is not known */
	__u8 address[16];
};

struct bpf_learned {
	__u64 name[BPF_POLICY_NAMES];  /* hashes; 0: none */
	__u64 until[BPF_POLICY_NAMES]; /* ns, CLOCK_MONOTONIC */
};

/* What a thread was denied. */
struct bpf_denied_key {
	__u8 address[16];
	__s32 tid;
	__u16 port;
	__u16 pad;
};

enum bpf_policy_what { BPF_POLICY_CONNECT, BPF_POLICY_SEND };

struct bpf_denial {
	__s32 tgid, tid;
	__u64 mono_ns;
	__u64 start_ns;	  /* of the process, since boot */
	__u64 count;	  /* 0: of one */
	__u8 address[16]; /* IPv4 mapped into IPv6 */
	__u16 port, type, protocol, entry;
	__u32 serial; /* of the table that decided */
	__u8 denied;  /* else it would have been */
	__u8 what;    /* enum bpf_policy_what */
	__u8 pad[2];
};

struct bpf_denial_key {
	__u64 start_ns;
	__u8 address[16];
	__s32 tgid;
	__u16 port, entry;
	__u32 what_denied;
	__u32 period; /* 0 or 1, as in struct bpf_flood_key */
};

#endif
