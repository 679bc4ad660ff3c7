/*
 * The work of a scan: two lists under one lock. Owns neither jobs nor what they point to. Shared by the walker and all
 * workers; no system call but waiting is made under the lock.
 */
#include "fim/jobs.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#define JOBS_RANGES 128 /* bounds memory and open folders */
#define JOBS_LARGE  256 /* as well: each holds its range's records until it has been read */

struct jobs {
	pthread_mutex_t lock;
	pthread_cond_t more; /* something to take, or the end */
	pthread_cond_t room; /* for the walker */
	struct job *first;   /* ranges, in order */
	struct job **last;
	struct job *large; /* the largest first */
	unsigned n, n_large;
	unsigned busy;	  /* workers at a job */
	unsigned waiting; /* workers without one: a push wakes nobody for nothing */
	bool closed, blocked;
};

int jobs_new(struct jobs **ret)
{
	struct jobs *q = calloc(1, sizeof(*q));

	if (!q)
		return -ENOMEM;
	pthread_mutex_init(&q->lock, NULL);
	pthread_cond_init(&q->more, NULL);
	pthread_cond_init(&q->room, NULL);
	q->last = &q->first;
	*ret = q;
	return 0;
}

void jobs_free(struct jobs *q)
{
	if (!q)
		return;
	pthread_cond_destroy(&q->room);
	pthread_cond_destroy(&q->more);
	pthread_mutex_destroy(&q->lock);
	free(q);
}

/* Locked. */
static void jobs_wake(struct jobs *q)
{
	if (q->waiting)
		pthread_cond_signal(&q->more);
}

int jobs_push(struct jobs *q, struct job *j)
{
	int r = -EPIPE;

	pthread_mutex_lock(&q->lock);
	while (!q->closed && q->n == JOBS_RANGES) {
		q->blocked = true;
		pthread_cond_wait(&q->room, &q->lock);
		q->blocked = false;
	}
	if (!q->closed) {
		j->next = NULL;
		*q->last = j;
		q->last = &j->next;
		q->n++;
		jobs_wake(q);
		r = 0;
	}
	pthread_mutex_unlock(&q->lock);
	return r;
}

int jobs_push_large(struct jobs *q, struct job *j)
{
	struct job **at = &q->large;
	int r = -EAGAIN;

	pthread_mutex_lock(&q->lock);
	if (q->n_large < JOBS_LARGE) {
		while (*at && (*at)->size >= j->size)
			at = &(*at)->next;
		j->next = *at;
		*at = j;
		q->n_large++;
		jobs_wake(q);
		r = 0;
	}
	pthread_mutex_unlock(&q->lock);
	return r;
}

/* Locked. */
static struct job *jobs_next(struct jobs *q)
{
	struct job *j = q->large;

	if (j) {
		q->large = j->next;
		q->n_large--;
		return j;
	}
	j = q->first;
	if (!j)
		return NULL;
	q->first = j->next;
	if (!q->first)
		q->last = &q->first;
	q->n--;
	/* At half, not at the first free place: else the walker and a worker hand the processor over for every job. */
	if (q->blocked && q->n <= JOBS_RANGES / 2)
		pthread_cond_signal(&q->room);
	return j;
}

struct job *jobs_take(struct jobs *q)
{
	struct job *j;

	pthread_mutex_lock(&q->lock);
	while (!(j = jobs_next(q)) && !(q->closed && !q->busy)) {
		q->waiting++;
		pthread_cond_wait(&q->more, &q->lock);
		q->waiting--;
	}
	q->busy += j != NULL;
	pthread_mutex_unlock(&q->lock);
	return j;
}

void jobs_done(struct jobs *q)
{
	pthread_mutex_lock(&q->lock);
	q->busy--;
	if (q->closed && !q->busy)
		pthread_cond_broadcast(&q->more);
	pthread_mutex_unlock(&q->lock);
}

void jobs_close(struct jobs *q)
{
	pthread_mutex_lock(&q->lock);
	q->closed = true;
	pthread_cond_broadcast(&q->more);
	pthread_cond_broadcast(&q->room);
	pthread_mutex_unlock(&q->lock);
}
