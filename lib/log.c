/*
 * Messages to stderr, one write(2) a line so that lines of several threads do not mix. The level is the only state. Any
 * thread but the ones that answer permission events: stderr may be a file on a watched file system.
 */
#include "lib/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/cleanup.h"
#include "lib/text.h"

#define LOG_LINE_MAX 8192

static const struct {
	const char *name;
	int syslog; /* priority, RFC 5424 section 6.2.1 */
} log_levels[] = {
	[LOG_LEVEL_ERROR] = { "error", 3 },
	[LOG_LEVEL_WARN] = { "warning", 4 },
	[LOG_LEVEL_INFO] = { "info", 6 },
	[LOG_LEVEL_DEBUG] = { "debug", 7 },
};

static atomic_int log_threshold = LOG_LEVEL_INFO;
static pthread_once_t log_once = PTHREAD_ONCE_INIT;
static bool log_journal;

/* systemd names the journal's socket in JOURNAL_STREAM=DEV:INO (systemd.exec(5)). */
static void log_probe(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	log_journal = stream && sscanf(stream, "%llu:%llu", &dev, &ino) == 2 && fstat(STDERR_FILENO, &st) == 0 &&
		      st.st_dev == dev && st.st_ino == ino;
}

void log_set_level(enum log_level level)
{
	atomic_store(&log_threshold, (int)level);
}

void log_msg(enum log_level level, const char *fmt, ...)
{
	_cleanup_(buf_free) struct buf line = BUF_INIT;
	char text[LOG_LINE_MAX];
	int saved = errno, n;
	va_list ap;

	if ((int)level > atomic_load(&log_threshold))
		return;
	pthread_once(&log_once, log_probe);
	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	if (log_journal)
		buf_printf(&line, "<%d>", log_levels[level].syslog);
	else
		buf_printf(&line, "holdfast: %s: ", log_levels[level].name);
	text_sanitize(&line, text, MIN((size_t)n, sizeof(text) - 1));
	if ((size_t)n >= sizeof(text))
		buf_str(&line, "...");
	buf_char(&line, '\n');
	if (!line.failed && write(STDERR_FILENO, line.data, line.len) < 0)
		errno = saved; /* nowhere left to say it */
	errno = saved;
}
