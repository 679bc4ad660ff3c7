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
	BPF_CGROUP_LEGACY = 1 << 9, /* of a controller's hierarchy; in the unified one it is the root */
	BPF_CGROUP_CUT = 1 << 10,
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
	__u32 loginuid, session;
	__u32 tty_major, tty_minor; /* 0, 0: none */
	__u64 exe_ino;
	__u32 exe_dev; /* major << 20 | minor */
	__u32 argv_len, exe_len, cwd_len, cgroup_len;
	char comm[16];
	__u32 refused; /* enum bpf_refused */
};

/* --- system calls */

#define BPF_CALL_NUMBERS 512 /* CALL_NUMBER_MAX */
#define BPF_CALL_ROWS	 128
#define BPF_CALL_TEXT	 256 /* CALL_TEXT_MAX */

enum bpf_call_filter { BPF_CALL_ALL, BPF_CALL_RAW_SOCKETS };

struct bpf_call_row {
	__u8 filter;
	__u8 text[2]; /* which arguments are strings, from 1; 0 none; the fourth is the last that may be */
	__u8 pad;
};

struct bpf_call {
	__u32 id;
	__s32 tgid, tid;
	__u32 pad;
	__u64 mono_ns;
	__u64 start_ns; /* of the process, since boot */
	__s64 result;
	__u64 args[6];
	__u32 text_len[2]; /* with the NUL; 0: could not be read */
	char text[2][BPF_CALL_TEXT];
};

#endif
