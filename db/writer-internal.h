/* The writer inside: writer.c is what others call, writer_main.c the thread "db". */
#ifndef DB_WRITER_INTERNAL_H
#define DB_WRITER_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "db/sign.h"
#include "db/writer.h"
#include "lib/queue.h"

#define PENDING_MAX 8192

struct writer {
	struct db *d;
	struct sign_key *key;
	struct conf *conf;
	struct queue *queue;
	pthread_t thread;
	void (*stored)(struct event *e, void *data);
	void *data;

	/* any thread */
	atomic_uint_fast64_t n_stored, n_dropped, n_commits, n_failures, n_trimmed, db_size;
	atomic_uint_fast64_t overflow, overflow_since; /* dropped by writer_put since the last gap about it */
	atomic_bool failing;
	struct event token; /* in the queue: flush */
	pthread_mutex_t lock;
	pthread_cond_t flushed;
	bool pushing; /* somebody puts a token into the queue, and may wait for room */
	uint64_t flush_wanted, flush_done;
	struct event change_token;   /* in the queue: change */
	pthread_mutex_t change_lock; /* one at a time */
	int (*change)(struct db *d, void *data);
	void *change_data;
	int change_result;
	pthread_mutex_t why_lock;
	uint64_t failing_since; /* real; the writer's thread alone changes these two */
	char why[160];

	/* the writer's thread */
	struct event *pending[PENDING_MAX];
	size_t n;	  /* pending */
	size_t added;	  /* of these, in the open transaction */
	size_t announced; /* of these, handed to stored() */
	bool open;
	uint64_t commit_at, begin_at, retry_at, heartbeat_at, prune_at, overflow_at; /* monotonic */
	bool pruned_in_vain; /* the last time, the file did not get smaller */
	uint64_t lost;	     /* while failing */
	uint64_t down_since; /* real; before this run */
	bool begun;
};

/* --- writer_main.c: data is the writer; ends when its queue is closed */
void *writer_main(void *data);

#endif
