/* What the loaders of BPF programs share: where they run, what libbpf says, the ring. On the caller's thread. */
#include "watch/bpf-load.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "lib/util.h"
#include "watch/mounts.h"

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

/* Who joins a mount namespace stands at its root; also the own one, by a thread that shares no root with the others. */
static void *stat_root(void *data)
{
	_cleanup_close_ int ns = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	struct stat *st = data;

	if (ns < 0 || unshare(CLONE_FS) < 0 || setns(ns, CLONE_NEWNS) < 0 || stat("/", st) < 0)
		st->st_ino = 0;
	return NULL;
}

/* The programs tell paths from the root of the mount namespace. False only when it is known to be another than ours. */
static bool at_root(void)
{
	struct stat root = { 0 }, own;
	pthread_t thread;

	if (stat("/", &own) < 0 || pthread_create(&thread, NULL, stat_root, &root) != 0)
		return true;
	pthread_join(thread, NULL);
	return !root.st_ino || (root.st_dev == own.st_dev && root.st_ino == own.st_ino);
}

int bpf_load_begin(struct buf *err)
{
	libbpf_set_print(print);
	if (!in_initial_pid_namespace())
		buf_str(err, "BPF: not in the initial pid namespace");
	else if (!at_root())
		buf_str(err, "BPF: in a chroot, where paths would be told from another root");
	else
		return 0;
	return -ENOTSUP;
}

/* --- cgroups */

/* A mount of our own, which nobody sees and no folder is needed for (Linux 5.2). Older C libraries lack the calls. */
static int mount_cgroups(void)
{
	_cleanup_close_ int fs = (int)syscall(SYS_fsopen, "cgroup2", 1 /* FSOPEN_CLOEXEC */);

	if (fs < 0 || syscall(SYS_fsconfig, fs, 6 /* FSCONFIG_CMD_CREATE */, NULL, NULL, 0) < 0)
		return -ENOTSUP;
	return (int)syscall(SYS_fsmount, fs, 1 /* FSMOUNT_CLOEXEC */, 0);
}

int bpf_cgroup_root(void)
{
	_cleanup_(mounts_free) struct mount_table mounts = { 0 };
	int fd = mount_cgroups();

	if (fd >= 0)
		return fd;
	if (mounts_read("/proc/self/mountinfo", &mounts, NULL) < 0)
		return -ENOTSUP;
	for (size_t i = 0; i < mounts.n && fd < 0; i++)
		if (streq(mounts.mounts[i].fstype, "cgroup2"))
			fd = open(mounts.mounts[i].point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -ENOTSUP : fd;
}

/* --- maps */

void bpf_map_each_key(const struct bpf_map *map, unsigned int max, void (*fn)(int fd, const void *key, void *data),
		      void *data)
{
	uint64_t key[BPF_KEY_MAX / sizeof(uint64_t)], next[BPF_KEY_MAX / sizeof(uint64_t)];
	int fd = bpf_map__fd(map);
	bool any = bpf_map__key_size(map) <= sizeof(key) && bpf_map_get_next_key(fd, NULL, next) == 0;

	for (unsigned int i = 0; any && i < max; i++) {
		memcpy(key, next, sizeof(key));
		/* Before it may be gone: after one that is not there the kernel begins anew. */
		any = bpf_map_get_next_key(fd, key, next) == 0;
		fn(fd, key, data);
	}
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
