/*
 * What a scan's workers have to do: ranges of names, from the walker, and large files, which a worker that meets one in
 * its range leaves to whoever is free. Large files go first, the largest before all: what is left at the end is small.
 * Both kinds are bounded. A worker never waits for room and never for another worker's file: nothing can lock up.
 */
#ifndef FIM_JOBS_H
#define FIM_JOBS_H

#include "event/event.h"
#include "fim/walk.h"

/* A range of one folder's names, or one large file of it. */
struct job {
	struct job *next;
	struct folder *folder;
	struct large *large; /* not NULL: that file, and nothing below counts */
	uint64_t size;	     /* of the large file */
	uint32_t from, to;
	int64_t dir;  /* with it the piece of the baseline that covers the range; 0: the baseline does not have it */
	uint32_t seq; /* of the range in its folder */
};

struct jobs;

int jobs_new(struct jobs **ret);
/* All jobs must have been taken. */
void jobs_free(struct jobs *q);
/* The walker: waits while there are many. 0, or -EPIPE when closed (the caller keeps the job). */
int jobs_push(struct jobs *q, struct job *j);
/* A worker that is at a job: 0, or -EAGAIN when there are too many large files (the caller keeps it and reads it
 * itself). Works after jobs_close, too. */
int jobs_push_large(struct jobs *q, struct job *j);
/* Waits for the next one, which is then being done until jobs_done. NULL: closed, nothing left, and no one at work who
 * could still find a large file. */
struct job *jobs_take(struct jobs *q);
void jobs_done(struct jobs *q);
/* The walker is through. */
void jobs_close(struct jobs *q);

#endif
