/*
 * Perf events of executable mappings. The kernel writes each into the ring of the processor that it happens on; the
 * thread is woken by the first and then lets more come together.
 */
#include "watch/mappings.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/util.h"

#define RING_PAGES 16 /* a power of two */
#define REST_MS	   20

struct ring {
	struct perf_event_mmap_page *page; /* the data is behind it */
	uint64_t size;
};

struct mappings {
	struct mappings_hooks hooks;
	pthread_t thread;
	bool running;
	size_t n;
	struct ring *rings;
	struct pollfd *fds; /* of the rings; the last: the end */
};

struct mapped {
	struct perf_event_header head;
	uint32_t pid, tid;
	uint64_t address, len, offset;
	uint32_t major, minor;
	uint64_t ino, generation;
	uint32_t prot, flags; /* the path follows */
};

struct lost {
	struct perf_event_header head;
	uint64_t id, n;
};

static void copy_out(const struct ring *r, uint64_t at, void *to, size_t len)
{
	const char *data = (const char *)r->page + r->page->data_offset;
	size_t from = at & (r->size - 1), first = MIN(len, r->size - from);

	memcpy(to, data + from, first);
	memcpy((char *)to + first, data, len - first);
}

static void tell(struct mappings *m, const struct ring *r, uint64_t at, const struct perf_event_header *head)
{
	struct mapped e;
	struct lost l;

	if (head->type == PERF_RECORD_LOST && head->size >= sizeof(l)) {
		copy_out(r, at, &l, sizeof(l));
		m->hooks.lost(l.n, m->hooks.data);
	} else if (head->type == PERF_RECORD_MMAP2 && head->size >= sizeof(e)) {
		copy_out(r, at, &e, sizeof(e));
		if (e.prot & PROT_EXEC && e.ino && (int32_t)e.pid > 0)
			m->hooks.mapped((int32_t)e.pid, e.address, m->hooks.data);
	}
}

static void drain(struct mappings *m, struct ring *r)
{
	uint64_t head = __atomic_load_n(&r->page->data_head, __ATOMIC_ACQUIRE), tail = r->page->data_tail;
	struct perf_event_header h;

	while (head - tail >= sizeof(h)) {
		copy_out(r, tail, &h, sizeof(h));
		if (h.size < sizeof(h) || h.size > head - tail)
			break;
		tell(m, r, tail, &h);
		tail += h.size;
	}
	__atomic_store_n(&r->page->data_tail, head, __ATOMIC_RELEASE);
}

static void *run(void *data)
{
	struct mappings *m = data;
	struct pollfd *end = &m->fds[m->n];

	pthread_setname_np(pthread_self(), "mappings");
	while (!end->revents) {
		if (poll(m->fds, m->n + 1, -1) < 0)
			continue;
		for (size_t i = 0; i < m->n; i++)
			drain(m, &m->rings[i]);
		if (!end->revents)
			poll(end, 1, REST_MS);
	}
	return NULL;
}

/* 0, or 1: the processor is not online. */
static int open_ring(struct mappings *m, int cpu)
{
	struct perf_event_attr a = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(a),
		.config = PERF_COUNT_SW_DUMMY,
		.mmap = 1,
		.mmap2 = 1,
		.watermark = 1,
		.wakeup_watermark = 1,
	};
	_cleanup_close_ int fd = (int)syscall(SYS_perf_event_open, &a, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *at;

	if (fd < 0)
		return errno == ENODEV ? 1 : -errno;
	at = mmap(NULL, page * (RING_PAGES + 1), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return -errno;
	m->rings[m->n] = (struct ring){ at, page * RING_PAGES };
	m->fds[m->n++] = (struct pollfd){ .fd = TAKE_FD(fd), .events = POLLIN };
	return 0;
}

static int open_rings(struct mappings *m)
{
	long cpus = MAX(sysconf(_SC_NPROCESSORS_CONF), 1);
	int r = 0;

	m->rings = calloc((size_t)cpus, sizeof(*m->rings));
	m->fds = calloc((size_t)cpus + 1, sizeof(*m->fds));
	if (!m->rings || !m->fds)
		return -ENOMEM;
	for (int i = 0; i < cpus && r >= 0; i++)
		r = open_ring(m, i);
	return r < 0 ? r : m->n ? 0 : -ENODEV;
}

static int start_thread(struct mappings *m)
{
	sigset_t all, old;
	int r;

	m->fds[m->n] = (struct pollfd){ .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .events = POLLIN };
	if (m->fds[m->n].fd < 0)
		return -errno;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = -pthread_create(&m->thread, NULL, run, m);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	m->running = r == 0;
	if (r < 0)
		close(m->fds[m->n].fd);
	return r;
}

int mappings_start(const struct mappings_hooks *h, struct mappings **ret)
{
	struct mappings *m = calloc(1, sizeof(*m));
	int r;

	if (!m)
		return -ENOMEM;
	m->hooks = *h;
	r = open_rings(m);
	if (r == 0)
		r = start_thread(m);
	if (r < 0)
		mappings_stop(m);
	else
		*ret = m;
	return r;
}

void mappings_stop(struct mappings *m)
{
	if (!m)
		return;
	if (m->running) {
		eventfd_write(m->fds[m->n].fd, 1);
		pthread_join(m->thread, NULL);
		close(m->fds[m->n].fd);
	}
	for (size_t i = 0; i < m->n; i++) {
		munmap(m->rings[i].page, m->rings[i].size + (size_t)sysconf(_SC_PAGESIZE));
		close(m->fds[i].fd);
	}
	free(m->rings);
	free(m->fds);
	free(m);
}
