/* io_uring without a library: one request at a time. */
#ifndef TESTS_WATCH_URING_H
#define TESTS_WATCH_URING_H

#include <linux/io_uring.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

struct uring {
	int fd;
	struct io_uring_params p;
	uint8_t *ring;
	struct io_uring_sqe *sqes;
};

static inline bool uring_open(struct uring *u)
{
	memset(u, 0, sizeof(*u));
	u->fd = (int)syscall(SYS_io_uring_setup, 8, &u->p);
	if (u->fd < 0)
		return false;
	u->ring = mmap(NULL, u->p.sq_off.array + u->p.sq_entries * 4 + u->p.cq_off.cqes + u->p.cq_entries * 16,
		       PROT_READ | PROT_WRITE, MAP_SHARED, u->fd, IORING_OFF_SQ_RING);
	u->sqes = mmap(NULL, u->p.sq_entries * sizeof(*u->sqes), PROT_READ | PROT_WRITE, MAP_SHARED, u->fd,
		       IORING_OFF_SQES);
	return u->ring != MAP_FAILED && u->sqes != MAP_FAILED && u->p.features & IORING_FEAT_SINGLE_MMAP;
}

/* False: it was not taken. */
static inline bool uring_do(struct uring *u, const struct io_uring_sqe *sqe)
{
	_Atomic uint32_t *tail = (void *)(u->ring + u->p.sq_off.tail);
	uint32_t at = *tail & (u->p.sq_entries - 1);

	u->sqes[at] = *sqe;
	((uint32_t *)(void *)(u->ring + u->p.sq_off.array))[at] = at;
	atomic_store(tail, *tail + 1);
	return syscall(SYS_io_uring_enter, u->fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) == 1;
}

#endif
