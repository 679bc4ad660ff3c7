/*
 * Readers of one /proc/PID. Every file is reached through one descriptor of /proc/PID, so that what is read is of one
 * process even when its pid is given to another meanwhile. Values are borrowed from an arena; what could not be read
 * stays unknown.
 */
#ifndef PROC_READ_H
#define PROC_READ_H

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

#endif
