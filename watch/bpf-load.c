/* What the loaders of BPF programs share: where they run, what libbpf says, the ring. On the caller's thread. */
#include "watch/bpf-load.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>

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

/* The kernel refuses what reads its memory as if the program were wrong. */
static bool is_locked_down(void)
{
	_cleanup_fclose_ FILE *f = fopen("/sys/kernel/security/lockdown", "re");
	char line[128];

	return f && fgets(line, sizeof(line), f) && strstr(line, "[confidentiality]");
}

static const char *why_not(int error)
{
	struct btf *btf;

	if (error == -ENOSYS)
		return "the kernel has no bpf(2)";
	if (error == -EPERM)
		return "the kernel does not permit it (capabilities, lockdown)";
	if (is_locked_down())
		return "the kernel is locked down (confidentiality)";
	btf = btf__load_vmlinux_btf();
	if (!btf)
		return "the kernel has no BTF (/sys/kernel/btf/vmlinux)";
	btf__free(btf);
	return strerror(-error);
}

int bpf_load_failed(struct buf *err, const char *what, int error)
{
	buf_printf(err, "BPF%s%s: %s", what ? ", " : "", what ?: "", why_not(error));
	return error;
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

/* --- programs */

uint64_t bpf_missed(const struct bpf_program *p)
{
	struct bpf_prog_info info = { 0 };
	uint32_t len = sizeof(info);
	int fd = bpf_program__fd(p);

	return fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &len) == 0 ? info.recursion_misses : 0;
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

/*
 * The kernel has the ring's pages twice in a row, so that no record is broken at the end, and libbpf maps all of that;
 * a page that is mapped twice is resident twice. Here only as much of the beginning stands behind the end as a record
 * may reach. What follows is the ABI of the map (linux/bpf.h, and the kernel's Documentation/bpf/ringbuf.rst).
 */
#define RECORD_MAX (64U << 10) /* a multiple of all page sizes */

/* Bytes of the record with its header; they are multiples of 8. */
static size_t record_size(uint32_t head)
{
	return ((head & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT)) + BPF_RINGBUF_HDR_SZ + 7) & ~(size_t)7;
}

int bpf_ring_open(struct bpf_ring *r, const struct bpf_map *map, bpf_ring_fn *fn, void *ctx)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), bytes = bpf_map__max_entries(map);
	void *consumer, *producer;
	int fd = bpf_map__fd(map);

	*r = (struct bpf_ring){ .fd = fd, .fn = fn, .ctx = ctx, .mask = bytes - 1 };
	r->mapped = page + bytes + MIN(bytes, (size_t)RECORD_MAX);
	consumer = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (consumer == MAP_FAILED)
		return -errno;
	r->consumer = consumer;
	producer = mmap(NULL, r->mapped, PROT_READ, MAP_SHARED, fd, (off_t)page);
	if (producer == MAP_FAILED)
		return -errno;
	r->producer = producer;
	r->data = (const uint8_t *)producer + page;
	return 0;
}

void bpf_ring_close(struct bpf_ring *r)
{
	if (r->producer)
		munmap(r->producer, r->mapped);
	if (r->consumer)
		munmap(r->consumer, (size_t)sysconf(_SC_PAGESIZE));
	*r = (struct bpf_ring){ .fd = -1 };
}

unsigned int bpf_ring_take(struct bpf_ring *r, unsigned int max)
{
	unsigned long at = *r->consumer;
	unsigned int taken = 0;

	while (taken < max && at < __atomic_load_n(r->producer, __ATOMIC_ACQUIRE)) {
		const uint8_t *record = r->data + (at & r->mask);
		uint32_t head = __atomic_load_n((const uint32_t *)(const void *)record, __ATOMIC_ACQUIRE);

		/* Still being written; what is behind it waits. */
		if (head & BPF_RINGBUF_BUSY_BIT)
			break;
		if (!(head & BPF_RINGBUF_DISCARD_BIT)) {
			r->fn(r->ctx, record + BPF_RINGBUF_HDR_SZ, head);
			taken++;
		}
		at += record_size(head);
		__atomic_store_n(r->consumer, at, __ATOMIC_SEQ_CST);
	}
	return taken;
}
