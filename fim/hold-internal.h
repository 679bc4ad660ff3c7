/* What fim/hold.c (changes that are held) and fim/hold_run.c (transactions, package databases) share. */
#ifndef FIM_HOLD_INTERNAL_H
#define FIM_HOLD_INTERNAL_H

#include <pthread.h>

#include "fim/live-internal.h"
#include "pkg/explain.h"

#define HOLD_GRACE_NS NSEC_PER_SEC /* events and settling lag behind the end of a transaction */

enum run_trust { RUN_ASKED, RUN_TRUSTED, RUN_REFUSED };

/* A process that runs a package manager. */
struct run {
	struct run *next;
	const struct package_manager *manager;
	const char *program;
	int32_t pid;
	uint64_t start_ns;
	int pidfd, exe; /* -1: none */
	uint64_t since; /* real ns */
	uint64_t ended; /* boot ns; 0: it runs */
	enum run_trust trust;
	size_t held;
	uint8_t base[DIGEST_MAX]; /* of the program in the baseline */
	size_t base_len;
};

/* A package manager that the kernel was seen to start, by the path of the file itself. */
struct started {
	int32_t pid; /* 0: free */
	uint64_t start_ns;
	const char *program; /* of the table */
};

/* One reading of the databases, and of the programs of runs. */
struct round {
	struct live *l;
	struct message *message; /* that it is through; owned until it is posted */
	pthread_t thread;
	uint64_t started; /* boot ns */
	uint64_t cost;
	bool load;
	enum digest_algo algo;
	struct packages *packages; /* what is known so far, then what was read; counted */
	size_t n;
	struct {
		struct run *run; /* of the live thread */
		const char *program;
		int exe;
		uint8_t base[DIGEST_MAX];
		size_t base_len;
		bool trusted;
	} asked[HOLD_RUNS_MAX];
	int error;
};

struct held {
	struct held *prev, *next;
	struct held *same; /* next of the same path */
	struct chain *chain;
	struct run *run; /* NULL: not of a package; only waits for its turn */
	uint64_t added;	 /* boot ns */
	bool ready;
	enum deviation_status status;
	char *cause; /* when ready */
	char *path, *path2;
	enum change change;
	attr_mask attributes;
	struct process *process;
	const char *why;
	uint64_t boot_ns;
	uint8_t actors;
	uint8_t extra_len;
	uint8_t extra[PACKAGE_DIGEST_MAX];
	uint8_t *before, *after; /* record_encode; NULL: absent */
	uint32_t before_len, after_len;
};

/* All that is held of one path. */
struct chain {
	struct path_node node;
	struct held *first, *last;
	uint64_t urgent; /* since then (boot ns) somebody else's change waits behind; 0: none does */
};

struct hold {
	struct run *runs;
	size_t n_runs;
	struct started started[HOLD_RUNS_MAX]; /* the newest replace the oldest */
	size_t next_started;
	/* Counted; NULL: not read yet. before[0] is from between transactions, the others are what `after` was last. */
	struct packages *after, *before[EXPLAIN_BEFORE];
	bool stale;	     /* a transaction has run since before[0] was read */
	struct round *round; /* the one that runs */
	uint64_t next_round;
	bool urgent;
	struct held *first, *last;
	size_t n, n_ready;
	struct pathmap chains;
	struct process *cached; /* the last one that was asked about */
	struct run *cached_run;
	bool cached_itself;
};

/* --- hold_run.c */
/* The transaction that p belongs to, when it is a trusted one or not known not to be; NULL. */
struct run *run_of(struct live *l, struct process *p, bool *ret_itself);
/* Notices ends; forgets runs that are over. */
void runs_poll(struct live *l, uint64_t now);
void runs_free(struct hold *h);
/* Its program was compared. */
void run_decide(struct run *r, bool trusted);
/* True: a reading was started, hold_round_done comes. False: nothing to read, or not possible now. */
bool round_start(struct live *l, uint64_t now);
void round_free(struct round *r);

/* --- hold.c */
/* Decides about what is held by what is known; all: nothing is waited for. started: when the reading of that began. */
void hold_verify(struct live *l, uint64_t started, bool all);

#endif
