/* What the loaders of BPF programs share: where they run, what libbpf says, the size of rings. No state. */
#include "watch/bpf-load.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bpf/libbpf.h>

#include "lib/cleanup.h"
#include "lib/log.h"

/* Inode of the initial pid namespace (PROC_PID_INIT_INO). */
#define PID_INIT_INO 0xEFFFFFFCU

static int print(enum libbpf_print_level level, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
static int print(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	_cleanup_free_ char *line = NULL;

	if (level == LIBBPF_DEBUG || vasprintf(&line, fmt, ap) < 0)
		return 0;
	line[strcspn(line, "\n")] = '\0';
	log_debug("%s", line);
	return 0;
}

static bool in_initial_pid_namespace(void)
{
	struct stat st;

	return stat("/proc/self/ns/pid", &st) == 0 && st.st_ino == PID_INIT_INO;
}

size_t bpf_ring_size(size_t wanted)
{
	size_t size = (size_t)sysconf(_SC_PAGESIZE);

	while (size < wanted && size < (1U << 30))
		size *= 2;
	return size;
}

int bpf_load_begin(struct buf *err)
{
	libbpf_set_print(print);
	if (in_initial_pid_namespace())
		return 0;
	buf_str(err, "BPF: not in the initial pid namespace");
	return -ENOTSUP;
}
