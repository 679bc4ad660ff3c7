/*
 * Transactions: which processes are package managers, whether their programs are the installed ones, when they end; and
 * the thread ("packages") that reads package databases, one reading at a time. The live thread owns the runs; the other
 * thread only its struct round.
 */
#include "fim/hold-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/util.h"
#include "proc/read.h"

#define RUN_KEEP_NS	(10 * NSEC_PER_SEC)  /* events of its last moments may still come */
#define RUN_START_SLACK (50 * NSEC_PER_MSEC) /* a start told by a message may be off by some clock ticks */
#define RUN_PROGRAM_MAX (64 * MIB)

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434 /* the same on every architecture */
#endif

/* --- runs, on the live thread */

static void run_close(struct run *r)
{
	cleanup_close(&r->pidfd);
	cleanup_close(&r->exe);
	r->pidfd = r->exe = -1;
}

/* The process is still the one that was meant, and runs what it was said to run. */
static bool run_is(const struct run *r)
{
	_cleanup_arena_ struct arena a = ARENA_INIT;
	_cleanup_close_ int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int dir = proc >= 0 ? proc_open(proc, r->pid) : -1;
	struct process now = { 0 };

	if (dir < 0 || proc_read_fd(dir, PROC_PART_STAT | PROC_PART_EXE, &a, &now) < 0)
		return false;
	if (!(now.known & PROCESS_START) || !(now.known & PROCESS_EXE) || !streq(now.exe, r->program))
		return false;
	return now.start_ns <= r->start_ns + RUN_START_SLACK && r->start_ns <= now.start_ns + RUN_START_SLACK;
}

void hold_exec(struct live *l, const struct fs_event *e)
{
	struct hold *h = l->hold;
	const char *program = package_manager_program(e->path);

	if (!program || !l->conf->packages.hold || !e->process || !(e->process->known & PROCESS_START))
		return;
	h->started[h->next_started] = (struct started){ e->pid, e->process->start_ns, program };
	h->next_started = (h->next_started + 1) % HOLD_RUNS_MAX;
}

/*
 * It has ended already. What the kernel was seen to start by this name is what stands there, when that was not touched
 * since before the process began.
 */
static int run_open_ended(const struct hold *h, const struct run *r)
{
	_cleanup_close_ int fd = -1;
	bool seen = false;
	struct stat st;

	for (size_t i = 0; i < HOLD_RUNS_MAX && !seen; i++)
		seen = h->started[i].pid == r->pid && h->started[i].start_ns <= r->start_ns + RUN_START_SLACK &&
		       r->start_ns <= h->started[i].start_ns + RUN_START_SLACK &&
		       streq(h->started[i].program, r->program);
	if (!seen)
		return -1;
	fd = open(r->program, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
	    (uint64_t)st.st_ctim.tv_sec * NSEC_PER_SEC + (uint64_t)st.st_ctim.tv_nsec >= r->since)
		return -1;
	return TAKE_FD(fd);
}

static void run_note_base(struct live *l, struct run *r)
{
	_cleanup_arena_ struct arena a = ARENA_INIT;
	struct side base;

	if (states_base(l->states, &a, r->program, &base) < 0 || !base.exists ||
	    !(base.rec.have & ATTR_BIT(ATTR_DIGEST)))
		return;
	r->base_len = base.rec.digest_len;
	memcpy(r->base, base.rec.digest, r->base_len);
}

/* Its descriptors first: what is true of the pid afterwards is true of them. */
static void run_open(struct live *l, struct run *r)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/exe", r->pid);
	r->pidfd = (int)syscall(SYS_pidfd_open, r->pid, 0);
	r->exe = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (r->pidfd < 0 || r->exe < 0 || !run_is(r)) {
		run_close(r);
		r->ended = clock_boot_ns();
		r->exe = run_open_ended(l->hold, r);
	}
	if (r->exe < 0)
		r->trust = RUN_REFUSED;
	else
		run_note_base(l, r);
}

static struct run *run_find(const struct hold *h, const struct process *image)
{
	for (struct run *r = h->runs; r; r = r->next)
		if (r->pid == image->pid && r->start_ns == image->start_ns)
			return r;
	return NULL;
}

static struct run *run_new(struct live *l, const struct package_actor *a)
{
	struct hold *h = l->hold;
	struct run *r = h->n_runs < HOLD_RUNS_MAX ? calloc(1, sizeof(*r)) : NULL;

	if (!r) {
		l->counters.errors++;
		return NULL;
	}
	*r = (struct run){ .next = h->runs,
			   .manager = a->manager,
			   .program = a->program,
			   .pid = a->image->pid,
			   .start_ns = a->image->start_ns,
			   .pidfd = -1,
			   .exe = -1,
			   /* What it wrote before this event was read counts too. */
			   .since = clock_real_ns() - (clock_boot_ns() - a->image->start_ns) };
	h->runs = r;
	h->n_runs++;
	h->stale = true;
	h->next_round = 0;
	run_open(l, r);
	return r;
}

static struct run *run_look(struct live *l, const struct process *p, bool *ret_itself)
{
	struct package_actor a;
	struct run *r;

	if (!package_actor(p, &a) || !(a.image->known & PROCESS_START))
		return NULL;
	*ret_itself = a.itself;
	r = run_find(l->hold, a.image);
	return r ? r : run_new(l, &a);
}

struct run *run_of(struct live *l, struct process *p, bool *ret_itself)
{
	struct hold *h = l->hold;
	struct run *r;

	if (p != h->cached) {
		h->cached_itself = false;
		h->cached_run = run_look(l, p, &h->cached_itself);
		if (h->cached)
			process_unref(h->cached);
		h->cached = process_ref(p);
	}
	r = h->cached_run;
	*ret_itself = h->cached_itself;
	if (!r || r->trust == RUN_REFUSED || (r->ended && clock_boot_ns() > r->ended + RUN_KEEP_NS / 2))
		return NULL; /* what a package started and left behind is no part of it */
	return r;
}

static void run_forget_cached(struct hold *h)
{
	if (h->cached)
		process_unref(h->cached);
	h->cached = NULL;
	h->cached_run = NULL;
}

static bool run_asked_now(const struct hold *h, const struct run *r)
{
	for (size_t i = 0; h->round && i < h->round->n; i++)
		if (h->round->asked[i].run == r)
			return true;
	return false;
}

/* An open file would keep its file system from being unmounted. */
void run_decide(struct run *r, bool trusted)
{
	r->trust = trusted ? RUN_TRUSTED : RUN_REFUSED;
	cleanup_close(&r->exe);
	r->exe = -1;
}

void runs_poll(struct live *l, uint64_t now)
{
	struct hold *h = l->hold;

	for (struct run **at = &h->runs, *r; (r = *at);) {
		struct pollfd p = { .fd = r->pidfd, .events = POLLIN };

		if (!r->ended && (r->pidfd < 0 || poll(&p, 1, 0) != 0))
			r->ended = now;
		if (!r->ended || r->held || now < r->ended + RUN_KEEP_NS || run_asked_now(h, r)) {
			at = &r->next;
			continue;
		}
		*at = r->next;
		h->n_runs--;
		run_forget_cached(h);
		run_close(r);
		free(r);
	}
}

void runs_free(struct hold *h)
{
	run_forget_cached(h);
	for (struct run *r; (r = h->runs);) {
		h->runs = r->next;
		run_close(r);
		free(r);
	}
}

/* --- the reading, on its own thread */

static bool round_digest_is(struct digest *d, int fd, const uint8_t *want, size_t len)
{
	uint8_t have[DIGEST_MAX];
	uint64_t n;

	return len && digest_fd(d, fd, RUN_PROGRAM_MAX, have, &n, NULL, NULL) == 0 && digest_size(d) == len &&
	       memcmp(have, want, len) == 0;
}

static bool round_trusts(const struct round *r, size_t i)
{
	_cleanup_digest_ struct digest *base = NULL, *package = NULL;
	struct package_file f;

	if (r->asked[i].base_len && digest_new(r->algo, &base) == 0 &&
	    round_digest_is(base, r->asked[i].exe, r->asked[i].base, r->asked[i].base_len))
		return true;
	return r->packages && packages_find(r->packages, r->asked[i].program, &f) == 0 && f.digest_len &&
	       digest_new_named(f.algo, &package) == 0 &&
	       round_digest_is(package, r->asked[i].exe, f.digest, f.digest_len);
}

static void *round_main(void *data)
{
	struct round *r = data;
	_cleanup_buf_ struct buf warnings = BUF_INIT;
	struct packages *loaded = NULL;

	pthread_setname_np(pthread_self(), "packages");
	if (r->load)
		r->error = packages_store_get(r->l->o.packages, &loaded, &warnings);
	if (loaded) {
		if (r->packages)
			packages_unref(r->packages);
		r->packages = loaded;
	}
	for (size_t i = 0; i < r->n; i++)
		r->asked[i].trusted = round_trusts(r, i);
	r->cost = clock_boot_ns() - r->started;
	/* What reading took is many times what stays. */
	malloc_trim(0);
	live_post(r->l, TAKE_PTR(r->message));
	return NULL;
}

void round_free(struct round *r)
{
	if (r->packages)
		packages_unref(r->packages);
	free(r->message);
	free(r);
}

static struct round *round_new(struct live *l, uint64_t now, bool load)
{
	struct hold *h = l->hold;
	struct round *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->message = calloc(1, sizeof(*r->message));
	if (!r->message) {
		free(r);
		return NULL;
	}
	*r->message = (struct message){ .kind = MESSAGE_HOLD, .path = "" };
	r->l = l;
	r->started = now;
	r->load = load;
	r->algo = l->read.algo;
	r->packages = h->after ? packages_ref(h->after) : NULL;
	for (struct run *run = h->runs; run && r->n < HOLD_RUNS_MAX; run = run->next) {
		if (run->trust != RUN_ASKED)
			continue;
		r->asked[r->n].run = run;
		r->asked[r->n].program = run->program;
		r->asked[r->n].exe = run->exe; /* runs that are asked about are not forgotten */
		r->asked[r->n].base_len = run->base_len;
		memcpy(r->asked[r->n].base, run->base, run->base_len);
		r->n++;
	}
	return r;
}

bool round_start(struct live *l, uint64_t now)
{
	struct hold *h = l->hold;
	bool load = !h->after || packages_touched(h->after);
	struct round *r = round_new(l, now, load);

	if (!r || (!load && !r->n)) {
		if (r)
			round_free(r);
		return false;
	}
	h->round = r;
	if (pthread_create(&r->thread, NULL, round_main, r) == 0)
		return true;
	l->counters.errors++;
	h->round = NULL;
	round_free(r);
	return false;
}
