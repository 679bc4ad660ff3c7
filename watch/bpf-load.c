/* What the loaders of BPF programs share: where they run, what libbpf says, the ring. On the caller's thread. */
#include "watch/bpf-load.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

int bpf_load_begin(struct buf *err)
{
	libbpf_set_print(print);
	if (in_initial_pid_namespace())
		return 0;
	buf_str(err, "BPF: not in the initial pid namespace");
	return -ENOTSUP;
}

/* --- the ring */

int bpf_ring_resize(struct bpf_map *map, size_t bytes)
{
	size_t size = (size_t)sysconf(_SC_PAGESIZE);

	while (size < bytes && size < (1U << 30))
		size *= 2;
	return bpf_map__set_max_entries(map, (uint32_t)size);
}

int bpf_ring_open(struct bpf_ring *r, const struct bpf_map *map, ring_buffer_sample_fn fn, void *ctx)
{
	r->fd = bpf_map__fd(map);
	r->buffer = ring_buffer__new(r->fd, fn, ctx, NULL);
	return r->buffer ? 0 : -errno;
}

void bpf_ring_close(struct bpf_ring *r)
{
	ring_buffer__free(r->buffer);
	r->buffer = NULL;
}

int bpf_ring_take(struct bpf_ring *r, unsigned int max)
{
	int n;

	r->room = max;
	r->taken = 0;
	n = ring_buffer__consume(r->buffer);
	return n < 0 && n != -ECANCELED ? n : (int)r->taken;
}

int bpf_ring_next(struct bpf_ring *r)
{
	/* What is given back is behind us, whatever is returned. */
	return ++r->taken < r->room ? 0 : -ECANCELED;
}
