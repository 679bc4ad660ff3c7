/* The parsers of the files of /proc/PID: any bytes in, nothing trusted; no I/O. */
#ifndef PROC_PARSE_H
#define PROC_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event/process.h"

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
