/*
 * Readers of one /proc/PID, and the parsers of its files (any bytes in, nothing trusted; exported for tests and
 * fuzzing). Every file is reached through one descriptor of /proc/PID, so that what is read is of one process even when
 * its pid is given to another meanwhile. Values are borrowed from an arena; what could not be read stays unknown.
 */
#ifndef PROC_READ_H
#define PROC_READ_H

#include <stdbool.h>
#include <stddef.h>

#include "event/process.h"
#include "lib/arena.h"

/* What proc_read_fd reads; listed by how soon it is gone when the process ends. */
enum proc_part {
	PROC_PART_EXE = 1 << 0, /* exe, argv and cwd are gone at exit */
	PROC_PART_ARGV = 1 << 1,
	PROC_PART_CWD = 1 << 2,
	PROC_PART_CGROUP = 1 << 3, /* this and the rest stay until the parent waited for it */
	PROC_PART_STAT = 1 << 4,   /* start, parent, session, tty, comm */
	PROC_PART_LOGIN = 1 << 5,  /* loginuid, audit session */
	PROC_PART_IDS = 1 << 6,
	PROC_PART_NAMESPACES = 1 << 7, /* gone at exit */
	PROC_PART_IMAGE = PROC_PART_EXE | PROC_PART_ARGV,
	PROC_PART_REST = PROC_PART_NAMESPACES | PROC_PART_CWD | PROC_PART_CGROUP | PROC_PART_STAT |
			 PROC_PART_LOGIN, /* of an exec */
	PROC_PART_ALL = PROC_PART_IMAGE | PROC_PART_REST | PROC_PART_IDS,
};

/* One process read from procfs ("/proc") as far as it can be (values borrowed from a); parent not set. -ESRCH when
 * gone. */
int proc_read(const char *procfs, int32_t pid, struct arena *a, struct process *ret);
/* Descriptor of PID below the procfs opened as procfd; -ESRCH when gone. The caller closes it. */
int proc_open(int procfd, int32_t pid);
/* Adds the parts to *ret, whose known bits for those parts must be clear. -ESRCH: nothing could be read. */
int proc_read_fd(int dirfd, unsigned int parts, struct arena *a, struct process *ret);

/* Inode of its namespace of that kind ("mnt"); 0: not known. */
uint32_t proc_namespace(int dirfd, const char *kind);

/* The files of an image, opened ahead; -1 where not. */
struct proc_fds {
	int dir, exe, cmdline;
};

void proc_fds_close(struct proc_fds *fds);
/* Executable and arguments through them; what is not open is opened below dir. As proc_read_fd. */
int proc_read_image(const struct proc_fds *fds, struct arena *a, struct process *ret);

struct proc_stat {
	char comm[16];
	bool has_mm;  /* false: a kernel thread, or past the point of exit where the image was dropped */
	bool exiting; /* or waiting to be waited for */
	int32_t ppid, sid;
	uint32_t tty_nr;
	uint64_t start_ns;
};

/* A start time (ns since boot) as stat gives it: cut to a clock tick. */
uint64_t proc_tick(uint64_t boot_ns);
/* -EBADMSG when it is not a stat line. */
int proc_parse_stat(const char *data, size_t len, struct proc_stat *ret);
/* The Uid: and Gid: lines of status. */
int proc_parse_ids(const char *data, size_t len, struct process *ret);
/* Its lines of capabilities and of pids in the innermost namespace: all of PROCESS_STANDING, or -EBADMSG. */
int proc_parse_standing(const char *data, size_t len, struct process *ret);
/* A decimal number with at most a newline behind it. */
int proc_parse_u32(const char *data, size_t len, uint32_t *ret);
/* tty_nr as the kernel encodes it: "pts/3", "tty1", "ttyS0", "229:0" (major:minor) when the driver is not known; 0:
 * -ENOTTY. */
int proc_tty_name(uint32_t tty_nr, char *ret, size_t size);
/*
 * The one path of /proc/PID/cgroup that says most, on unified, legacy and hybrid hosts: the first that names a
 * container (cgroup_names_container), looked for in the unified, then the name=systemd, then the
 * controllers' hierarchies; else the unified path when it is not the root; else name=systemd when it is not the root;
 * else the longest. Not terminated; borrowed from data.
 */
int proc_parse_cgroup(const char *data, size_t len, const char **ret, size_t *ret_len);

#endif
