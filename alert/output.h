/*
 * An output from the inside: what a type has to offer, and what it may use. Inside alert/ only. All of it runs on the
 * output's own thread.
 */
#ifndef ALERT_OUTPUT_H
#define ALERT_OUTPUT_H

#include <poll.h>
#include <pthread.h>

#include "alert/format.h"
#include "alert/outputs.h"
#include "alert/spool.h"
#include "lib/queue.h"
#include "lib/role.h"

struct output;

struct output_type {
	const char *name;
	bool on_disk;	  /* the spool is */
	const char *role; /* whose process does the sending; NULL: our thread does */
	size_t batch_max; /* records in one send; 0: as the configuration says */
	/* The record of an alert. NULL: a line in the output's format. */
	void (*format)(struct output *o, struct buf *b, const struct alert *a);
	/* Makes ready to send: 0, or a negative errno with text in o->why. Called again before the next send. */
	int (*open)(struct output *o);
	/*
	 * Sends the records of b (n of them, each buf_bytes). 0; OUTPUT_REFUSED: they will never be taken, and are
	 * dropped; or a negative errno with text in o->why: they are sent again after close and open.
	 */
	int (*send)(struct output *o, const struct buf *b, size_t n);
	void (*close)(struct output *o);
};
#define OUTPUT_REFUSED 1

extern const struct output_type output_stdout, output_file, output_syslog, output_syslog_remote, output_journald,
	output_unix, output_program, output_http;

struct output {
	const struct output_type *type;
	const struct conf_output *c; /* of outputs' configuration */
	struct outputs *all;
	const char *host;
	struct queue *queue; /* of struct alert */
	int wake;	     /* eventfd */
	pthread_t thread;
	bool running;
	atomic_bool stopping, reopen;
	_Atomic uint64_t deadline; /* monotonic, once stopping */
	struct spawner *spawner;
	struct role *role; /* of type->role */
	/* the type's */
	int fd;
	uint64_t size;
	void *self;
	char why[160];

	/* the thread's */
	struct spool *spool;
	bool ready; /* open succeeded */
	struct buf record, batch;
	uint64_t retry_at, backoff;
	bool losing;
	uint64_t lost_told;

	_Atomic uint64_t delivered, failures, lost, pending, lost_on_push;
	pthread_mutex_t why_lock;
	char last_why[160]; /* for status */
	atomic_bool failing;
};

/*
 * Waits until fd is ready for events, and takes what is raised meanwhile into the spool; fd -1: until something is.
 * 0; -ETIMEDOUT; -ECANCELED: the output is to end.
 */
int output_wait(struct output *o, int fd, short events, uint64_t deadline_ns);
/* Everything that was raised so far goes into the spool. */
void output_ingest(struct output *o);
/* For types with .role "sink": post_settings as bytes; the body of one request, as the sink's scheme wants it. As open
 * and send. */
int output_sink_open(struct output *o, const struct buf *settings);
int output_sink_send(struct output *o, const struct buf *body);
void output_sink_close(struct output *o);
/* True when there is no time left to send anything. */
bool output_is_over(const struct output *o);
/* Deadline of a delivery that begins now, CLOCK_MONOTONIC ns. */
uint64_t output_deadline(const struct output *o);
/* Writes all of it to o->fd, which does not block. 0, or a negative errno (text in o->why). */
int output_write(struct output *o, const void *data, size_t len, uint64_t deadline_ns);
/* The next record of a batch; false: there is none. */
bool output_next(struct reader *r, const char **ret, size_t *ret_len);
/* o->why = "what: text of r"; returns r. */
int output_fail(struct output *o, int r, const char *what);
/* Records of b as lines to o->fd. */
int output_send_lines(struct output *o, const struct buf *b, size_t n);
/*
 * The same, and waits until the other end has read them: what lies in a pipe or socket is lost with its reader.
 * request: the ioctl that tells how much does (FIONREAD of a pipe, TIOCOUTQ of a socket).
 */
int output_send_read(struct output *o, const struct buf *b, size_t n, unsigned long request);
void output_close_fd(struct output *o);
/* A stream or datagram socket at a path; not blocking. Descriptor or negative errno. */
int output_connect_path(struct output *o, const char *path, int type);

#endif
