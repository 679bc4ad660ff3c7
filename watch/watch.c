/*
 * The front of the sensors: owns struct watch and the thread "notify", which waits for events, changes of the mount
 * table and requests of other threads, and has the sensors do the work. Other threads only leave requests and read
 * counters.
 */
#include "watch/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/statfs.h>
#include <time.h>
#include <unistd.h>

#include "lib/clock.h"
#include "watch/decode.h"
#include "watch/internal.h"
#include "watch/rounds.h"

#define LINKED_MAX 65536
/*
 * Reads are this far apart under load, further the longer it lasts. Events that come one by one are read at once; a
 * flood is read in large pieces: fewer wake-ups for the writers, and the kernel merges more.
 */
#define PACE_NS	      (2 * NSEC_PER_MSEC)
#define PACE_MAX_NS   (10 * NSEC_PER_MSEC)
#define RETRY_MS      20   /* while events are being lost */
#define IDLE_MS	      1000 /* so that it is known since when nothing was read, should something be lost */
#define MOUNTS_GAP_NS (20 * NSEC_PER_MSEC)

enum { POLL_FAN, POLL_INO, POLL_MOUNTS, POLL_WAKE, POLL_COUNT };

/* --- the thread */

/* Of reading events; monotonic. */
struct pace {
	uint64_t last;	/* read */
	uint64_t until; /* events are not looked at before; 0: they are */
	uint64_t step;
};

static int ms_until(uint64_t due, uint64_t now)
{
	return due > now ? (int)((due - now + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC) : 0;
}

/* True when events are to be read now. */
static bool pace_due(struct pace *p, uint64_t now)
{
	if (now >= p->last + p->step)
		return true;
	p->until = p->last + p->step;
	return false;
}

/* What was just mounted may soon be unmounted: it is read as if nothing had come before. */
static void pace_begin(struct pace *p)
{
	p->step = PACE_NS;
	p->until = MIN(p->until, p->last + PACE_NS);
}

/*
 * Events were read; when they had waited for it, more will come, and who waits for them is not woken before. What had
 * to open a file system is soon looked at again: whoever makes folders and unmounts has them resolved before that.
 */
static void pace_read(struct pace *p, uint64_t now, bool opened)
{
	bool busy = p->until && now < p->until + PACE_NS;

	p->step = busy && !opened ? MIN(p->step * 2, PACE_MAX_NS) : PACE_NS;
	p->last = clock_mono_ns();
	p->until = busy ? p->last + p->step : 0;
}

/* *ret_look: events were waited for as well. */
static int wait_for(struct watch *w, const struct pace *pace, struct pollfd *fds, bool *ret_look)
{
	uint64_t now = clock_mono_ns();
	bool look = now >= pace->until;
	int timeout = look ? IDLE_MS : ms_until(pace->until, now);

	fds[POLL_FAN] = (struct pollfd){ .fd = look && w->fan ? fan_fd(w->fan) : -1, .events = POLLIN };
	fds[POLL_INO] = (struct pollfd){ .fd = look && w->ino ? ino_fd(w->ino) : -1, .events = POLLIN };
	fds[POLL_MOUNTS] = (struct pollfd){ .fd = w->mountinfo, .events = POLLPRI };
	fds[POLL_WAKE] = (struct pollfd){ .fd = w->wake, .events = POLLIN };
	if (w->emit.losing)
		timeout = MIN(timeout, RETRY_MS);
	if (w->mounts_due)
		timeout = MIN(timeout, ms_until(w->mounts_due, now));
	*ret_look = look;
	return poll(fds, POLL_COUNT, timeout);
}

static void serve_requests(struct watch *w)
{
	struct buf sensitive = BUF_INIT;
	struct conf *conf;
	uint64_t count;

	while (read(w->wake, &count, sizeof(count)) < 0 && errno == EINTR)
		;
	pthread_mutex_lock(&w->inbox.lock);
	conf = TAKE_PTR(w->inbox.conf);
	sensitive = w->inbox.sensitive;
	w->inbox.sensitive = (struct buf)BUF_INIT;
	pthread_mutex_unlock(&w->inbox.lock);
	for (size_t at = 0; w->fan && at < sensitive.len; at += strlen(sensitive.data + at) + 1)
		fan_mark_sensitive(w->fan, sensitive.data + at);
	buf_free(&sensitive);
	if (!conf)
		return;
	conf_unref(w->conf);
	w->conf = conf;
	rounds_conf(w);
	pthread_mutex_lock(&w->inbox.lock);
	w->inbox.reloads++;
	pthread_cond_broadcast(&w->inbox.done);
	pthread_mutex_unlock(&w->inbox.lock);
}

/* Container starts change the mount table often: looked at at once, but not again and again. */
static void mounts_poll(struct watch *w, bool changed)
{
	uint64_t now = clock_mono_ns();

	if (changed && !w->mounts_due)
		w->mounts_due = MAX(now, w->mounts_read + MOUNTS_GAP_NS);
	if (!w->mounts_due || now < w->mounts_due)
		return;
	w->mounts_due = 0;
	w->mounts_read = now;
	rounds_mounts(w);
}

/* A moment; all that happened before is handed over. */
struct moment {
	uint64_t real, boot;
};

static struct moment moment_now(void)
{
	return (struct moment){ clock_real_ns(), clock_boot_ns() };
}

static void seen_until(struct watch *w, const struct moment *m)
{
	w->emit.seen_until = m->real;
	atomic_store(&w->seen, m->boot);
}

static bool is_unread(int fd)
{
	int n = 0;

	return fd >= 0 && (ioctl(fd, FIONREAD, &n) < 0 || n > 0);
}

uint64_t watch_seen(struct watch *w)
{
	uint64_t now = clock_boot_ns(), turn = atomic_load(&w->turn);

	/* It holds nothing, there was nothing, and it did not take anything in between. */
	if (turn % 2 == 0 && !is_unread(atomic_load(&w->fds[0])) && !is_unread(atomic_load(&w->fds[1])) &&
	    atomic_load(&w->turn) == turn)
		return now;
	return atomic_load(&w->seen);
}

static void read_events(struct watch *w)
{
	const struct moment before = moment_now();
	bool all = true;

	if (w->fan)
		all = fan_read(w->fan);
	if (w->ino)
		all = ino_read(w->ino) && all;
	if (all)
		seen_until(w, &before);
}

/* before: when it was begun to wait. */
static void events_poll(struct watch *w, struct pace *pace, bool came, const struct moment *before)
{
	uint64_t now = clock_mono_ns();

	if (!came)
		seen_until(w, before);
	if (!came || !pace_due(pace, now))
		return;
	read_events(w);
	pace_read(pace, now, w->fan && fan_opened(w->fan));
}

static void *notify_main(void *arg)
{
	struct watch *w = arg;
	struct pace pace = { .step = PACE_NS };
	struct pollfd fds[POLL_COUNT];
	struct moment before;

	pthread_setname_np(pthread_self(), "notify");
	while (!atomic_load(&w->stop)) {
		bool looked;
		int n;

		before = moment_now();
		atomic_store(&w->fds[0], w->fan ? fan_fd(w->fan) : -1);
		atomic_store(&w->fds[1], w->ino ? ino_fd(w->ino) : -1);
		atomic_fetch_add(&w->turn, 1);
		n = wait_for(w, &pace, fds, &looked);
		atomic_fetch_add(&w->turn, 1);
		if (n < 0 && errno != EINTR)
			emit_lost(&w->emit, 0, "the sensor cannot wait for events");
		if (n < 0)
			continue;
		if (fds[POLL_WAKE].revents)
			serve_requests(w);
		mounts_poll(w, fds[POLL_MOUNTS].revents);
		if (fds[POLL_MOUNTS].revents)
			pace_begin(&pace);
		if (looked)
			events_poll(w, &pace, fds[POLL_FAN].revents || fds[POLL_INO].revents, &before);
		emit_retry(&w->emit);
	}
	return NULL;
}

/* --- start and stop */

static int new_parts(struct watch *w)
{
	int r;

	w->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->wake < 0)
		return -errno;
	r = linked_new(LINKED_MAX, clock_real_ns(), &w->linked);
	if (r < 0)
		return r;
	r = mounts_read(WATCH_MOUNTINFO, &w->mounts, NULL);
	if (r < 0)
		return r;
	w->mountinfo = open(WATCH_MOUNTINFO, O_RDONLY | O_CLOEXEC);
	return w->mountinfo < 0 ? -errno : 0;
}

/* fanotify when it can mark something of what is wanted, else inotify for everything. */
static int new_sensor(struct watch *w, const char *sensor, struct buf *err)
{
	bool only_fan = sensor && streq(sensor, "fanotify");
	int r = -ENOTSUP;

	if (!sensor || only_fan) {
		r = fan_new(w, &w->fan, err);
		if (!r) {
			rounds_start(w);
			if (only_fan || atomic_load(&w->marks))
				return 0;
			buf_str(err, "fanotify: no file system could be marked");
			fan_free(TAKE_PTR(w->fan));
			ino_free(TAKE_PTR(w->ino));
		}
		if (only_fan)
			return r;
	} else if (!streq(sensor, "inotify")) {
		buf_printf(err, "no such sensor: %s", sensor);
		return -EINVAL;
	}
	w->weak_why = err->data && err->len ? strdup(err->data) : NULL;
	r = ino_new(w, true, &w->ino, err);
	if (r < 0)
		return r;
	w->weak = !sensor;
	rounds_start(w);
	buf_reset(err);
	return 0;
}

static int start_thread(struct watch *w)
{
	sigset_t all, before;
	int r;

	/* Signals are the main thread's business. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&w->thread, NULL, notify_main, w);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	w->running = !r;
	return -r;
}

static struct watch *watch_new(const struct watch_options *o)
{
	struct watch *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->o = *o;
	w->o.conf = NULL;
	w->conf = conf_ref((struct conf *)(uintptr_t)o->conf);
	w->mountinfo = -1;
	w->wake = -1;
	w->fds[0] = w->fds[1] = -1;
	w->turn = 1;
	w->pid = getpid();
	pthread_mutex_init(&w->inbox.lock, NULL);
	pthread_cond_init(&w->inbox.done, NULL);
	pthread_mutex_init(&w->published.lock, NULL);
	pthread_mutex_init(&w->follower.lock, NULL);
	emit_init(&w->emit, o, &w->stop);
	emit_init(&w->accesses, o, &w->stop);
	w->accesses.take = o->accesses;
	w->gaps.emit = &w->emit;
	return w;
}

int watch_start(const struct watch_options *o, const char *sensor, struct watch **ret, struct buf *err)
{
	struct watch *w = watch_new(o);
	int r;

	if (!w)
		return -ENOMEM;
	r = new_parts(w);
	if (r < 0)
		buf_printf(err, "sensor: %s", strerror(-r));
	else
		r = new_sensor(w, sensor, err);
	if (!r)
		r = start_thread(w);
	if (r < 0) {
		watch_stop(w);
		return r;
	}
	*ret = w;
	return 0;
}

static void wake(struct watch *w)
{
	uint64_t one = 1;

	while (write(w->wake, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

void watch_stop(struct watch *w)
{
	if (!w)
		return;
	if (w->running) {
		atomic_store(&w->stop, true);
		wake(w);
		pthread_join(w->thread, NULL);
	}
	fan_free(w->fan);
	ino_free(w->ino);
	emit_free(&w->emit);
	emit_free(&w->accesses);
	gaps_free(&w->gaps);
	mounts_free(&w->mounts);
	linked_free(w->linked);
	buf_free(&w->unmounted);
	buf_free(&w->inbox.sensitive);
	if (w->inbox.conf)
		conf_unref(w->inbox.conf);
	arena_free(&w->published.arena);
	pthread_mutex_destroy(&w->published.lock);
	pthread_mutex_destroy(&w->follower.lock);
	pthread_cond_destroy(&w->inbox.done);
	pthread_mutex_destroy(&w->inbox.lock);
	if (w->mountinfo >= 0)
		close(w->mountinfo);
	if (w->wake >= 0)
		close(w->wake);
	free(w->weak_why);
	conf_unref(w->conf);
	free(w);
}

/* --- requests of other threads */

int watch_reload(struct watch *w, const struct conf *conf)
{
	struct conf *old;
	uint64_t before;

	pthread_mutex_lock(&w->inbox.lock);
	before = w->inbox.reloads;
	old = w->inbox.conf;
	w->inbox.conf = conf_ref((struct conf *)(uintptr_t)conf);
	wake(w);
	while (w->inbox.reloads == before)
		pthread_cond_wait(&w->inbox.done, &w->inbox.lock);
	pthread_mutex_unlock(&w->inbox.lock);
	if (old)
		conf_unref(old);
	return 0;
}

void watch_mark_sensitive(struct watch *w, const char *path)
{
	pthread_mutex_lock(&w->inbox.lock);
	/* Full means that the sensor is far behind; it marks what it sees created by itself anyway. */
	if (w->inbox.sensitive.len < MIB)
		buf_add(&w->inbox.sensitive, path, strlen(path) + 1);
	pthread_mutex_unlock(&w->inbox.lock);
	wake(w);
}

void watch_add_linked(struct watch *w, const char *path)
{
	_Alignas(struct file_handle) uint8_t key[DECODE_KEY_MAX];
	struct file_handle *handle = (struct file_handle *)(key + DECODE_FSID_LEN);
	struct statfs st;
	int mount_id;

	if (!w->fan)
		return;
	handle->handle_bytes = DECODE_HANDLE_MAX;
	if (name_to_handle_at(AT_FDCWD, path, handle, &mount_id, 0) < 0 || statfs(path, &st) < 0)
		return;
	memcpy(key, &st.f_fsid, DECODE_FSID_LEN);
	if (linked_add(w->linked, key, DECODE_FSID_LEN + 8 + handle->handle_bytes, path) == -ENOSPC &&
	    !atomic_exchange(&w->linked_full, true))
		w->o.gap(&(struct watch_gap){ .reason = GAP_LIMIT,
					      .scope = path,
					      .detail = "too many guarded files with several links",
					      .key = WATCH_KEY_LINKED },
			 w->o.data);
}

/* --- for status */

const char *watch_sensor(const struct watch *w)
{
	return w->fan ? "fanotify" : "inotify";
}

void watch_get_stats(struct watch *w, struct watch_stats *ret)
{
	*ret = (struct watch_stats){
		.events = atomic_load(&w->events),
		.kept = atomic_load(&w->emit.kept),
		.dropped = atomic_load(&w->dropped),
		.merged = atomic_load(&w->emit.merged),
		.stale = atomic_load(&w->stale),
		.overflows = atomic_load(&w->emit.overflows),
		.marks = atomic_load(&w->marks),
		.wanted = atomic_load(&w->wanted),
		.watches = atomic_load(&w->watches),
		.linked = linked_count(w->linked),
		.handle_hits = atomic_load(&w->handle_hits),
		.handle_misses = atomic_load(&w->handle_misses),
		.depth = queue_depth(w->o.out),
	};
}

int watch_each_mark(struct watch *w, int (*fn)(const struct watch_mark *m, void *data), void *data)
{
	int r = 0;

	pthread_mutex_lock(&w->published.lock);
	for (size_t i = 0; i < w->published.n && !r; i++)
		r = fn(&w->published.marks[i], data);
	pthread_mutex_unlock(&w->published.lock);
	return r;
}

void watch_on_marks(struct watch *w, void (*fn)(void *data), void *data)
{
	pthread_mutex_lock(&w->follower.lock);
	w->follower.fn = fn;
	w->follower.data = data;
	pthread_mutex_unlock(&w->follower.lock);
}
