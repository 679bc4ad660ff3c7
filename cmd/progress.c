/*
 * The progress line. One thread of its own ("progress") that reads the run's counters, draws to stderr, and waits for
 * the signals on a signalfd; it writes nothing but scan->stop.
 */
#include "cmd/progress.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cmd/command.h"
#include "lib/clock.h"
#include "lib/text.h"

#define PROGRESS_INTERVAL_MS 200
#define PROGRESS_WINDOW	     16 /* samples the rate is taken over: about three seconds */

struct progress {
	struct progress_options options;
	pthread_t thread;
	int signals; /* signalfd */
	int ended;   /* eventfd */
	bool draws;
	int signo;
	sigset_t before;
	struct {
		uint64_t time, files, bytes;
	} samples[PROGRESS_WINDOW];
	size_t n;
};

static void progress_set(sigset_t *ret)
{
	sigemptyset(ret);
	sigaddset(ret, SIGINT);
	sigaddset(ret, SIGTERM);
	sigaddset(ret, SIGHUP);
}

static size_t progress_columns(void)
{
	struct winsize size;

	return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
}

/* Nanoseconds until `total` at this rate a second, 0 for unknown. */
static uint64_t progress_left(uint64_t done, uint64_t total, uint64_t rate)
{
	return total > done && rate ? (total - done) / rate * NSEC_PER_SEC + NSEC_PER_SEC : 0;
}

static void progress_sample(struct progress *p, uint64_t now, uint64_t files, uint64_t bytes)
{
	p->samples[p->n % PROGRESS_WINDOW].time = now;
	p->samples[p->n % PROGRESS_WINDOW].files = files;
	p->samples[p->n++ % PROGRESS_WINDOW].bytes = bytes;
}

static void progress_rates(const struct progress *p, struct buf *b, uint64_t files, uint64_t bytes, uint64_t total)
{
	size_t oldest = p->n < PROGRESS_WINDOW ? 0 : p->n % PROGRESS_WINDOW;
	uint64_t ms = p->n ? (clock_mono_ns() - p->samples[oldest].time) / NSEC_PER_MSEC : 0, rate, byte_rate, left;

	if (!ms)
		return;
	rate = (files - p->samples[oldest].files) * 1000 / ms;
	byte_rate = (bytes - p->samples[oldest].bytes) * 1000 / ms;
	left = MAX(progress_left(files, total, rate), progress_left(bytes, p->options.expected_bytes, byte_rate));
	buf_str(b, "  ");
	cmd_number(b, rate);
	buf_str(b, " files/s  ");
	text_size(b, byte_rate);
	buf_str(b, "/s");
	if (left) {
		buf_str(b, "  ");
		text_duration(b, left);
		buf_str(b, " left");
	}
}

static void progress_draw(struct progress *p)
{
	_cleanup_buf_ struct buf b = BUF_INIT;
	struct scan_progress *s = p->options.scan;
	uint64_t files = s->files, bytes = s->bytes, listed = s->listed, total = 0;

	if (s->walked || p->options.expected)
		total = s->walked ? listed : MAX(listed, p->options.expected);
	buf_printf(&b, "%s ", p->options.verb);
	cmd_number(&b, files);
	if (total) {
		buf_str(&b, " of ");
		cmd_number(&b, total);
	}
	buf_str(&b, " files  ");
	text_size(&b, bytes);
	progress_rates(p, &b, files, bytes, total);
	progress_sample(p, clock_mono_ns(), files, bytes);
	if (b.failed)
		return;
	dprintf(STDERR_FILENO, "\r%.*s\033[K", (int)MIN(b.len, progress_columns() - 1), b.data);
}

static void *progress_run(void *data)
{
	struct progress *p = data;
	struct pollfd fds[] = { { .fd = p->ended, .events = POLLIN }, { .fd = p->signals, .events = POLLIN } };
	struct signalfd_siginfo info;

	for (;;) {
		int n = poll(fds, 2, p->draws ? PROGRESS_INTERVAL_MS : -1);

		if (fds[0].revents)
			return NULL;
		if (n > 0 && fds[1].revents && read(p->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
			p->signo = (int)info.ssi_signo;
			p->options.scan->stop = 1;
		}
		if (p->draws)
			progress_draw(p);
	}
}

static void progress_free(struct progress *p)
{
	if (p->signals >= 0)
		close(p->signals);
	if (p->ended >= 0)
		close(p->ended);
	pthread_sigmask(SIG_SETMASK, &p->before, NULL);
	free(p);
}

int progress_start(const struct progress_options *o, struct progress **ret)
{
	struct progress *p = calloc(1, sizeof(*p));
	sigset_t set;
	int r;

	if (!p)
		return -ENOMEM;
	progress_set(&set);
	/* Blocked before any thread of the run starts: they inherit it, and only the signalfd sees them. */
	pthread_sigmask(SIG_BLOCK, &set, &p->before);
	p->options = *o;
	p->draws = !o->quiet && isatty(STDERR_FILENO);
	p->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	p->ended = eventfd(0, EFD_CLOEXEC);
	r = p->signals < 0 || p->ended < 0 ? -errno : -pthread_create(&p->thread, NULL, progress_run, p);
	if (r) {
		progress_free(p);
		return r;
	}
	pthread_setname_np(p->thread, "progress");
	*ret = p;
	return 0;
}

int progress_stop(struct progress *p)
{
	uint64_t one = 1;
	int signo;

	if (!p)
		return 0;
	if (write(p->ended, &one, sizeof(one)) != (ssize_t)sizeof(one))
		abort(); /* an eventfd of our own takes eight bytes */
	pthread_join(p->thread, NULL);
	if (p->draws)
		dprintf(STDERR_FILENO, "\r\033[K");
	signo = p->signo;
	progress_free(p);
	return signo;
}
