/*
 * The trust of the running gate: loaded once before the gate starts, then on a thread of its own ("trust") whenever
 * somebody asks, a package database changes or an entry runs out. The gate goes on with the old one meanwhile, and for
 * good when the new one cannot be loaded.
 */
#ifndef DAEMON_EXEC_TRUST_H
#define DAEMON_EXEC_TRUST_H

#include "daemon/monitor.h"
#include "exec/gate.h"
#include "exec/trust_load.h"

struct exec_trust;

struct exec_trust_state {
	uint64_t wanted, loaded; /* numbers of loads: what was wanted up to `loaded` is in force */
	size_t digests, paths, packages, denied;
	bool failed; /* the newest load; the one before is in force */
};

/* Loads on this thread. over: as in trust_load. The first snapshot is borrowed until exec_trust_free. */
int exec_trust_new(struct monitor *m, bool (*over)(void), struct exec_trust **ret, struct trust **ret_trust);
/* Starts the thread; g gets what it loads. */
int exec_trust_start(struct exec_trust *x, struct gate *g);
/* Everything is to be read again. Returns the number of the load that will hold what is so now. Any thread. */
uint64_t exec_trust_want(struct exec_trust *x);
/* The same of just the list that was made by hand: what is trusted and denied by digest or path. */
uint64_t exec_trust_want_list(struct exec_trust *x);
/*
 * Policies of containers are now those of conf: the gate gets them with the next load of everything, which holds the
 * images that they ask about. To be followed by exec_trust_want. Any thread.
 */
void exec_trust_set_policies(struct exec_trust *x, const struct conf *conf);
/* The snapshot that is in force; a reference the caller drops. Any thread. */
struct trust *exec_trust_ref(struct exec_trust *x);
void exec_trust_get_state(struct exec_trust *x, struct exec_trust_state *ret);
/* Ends the thread (a load that has begun is waited for) before the gate goes. NULL does nothing. */
void exec_trust_stop(struct exec_trust *x);
void exec_trust_free(struct exec_trust *x);

/* Whether t vouches for the file; h and d are the caller's to reuse. */
bool exec_trust_vouches(struct trust *t, struct exec_hash *h, struct exec_digests *d, const char *path, int fd,
			const struct stat *st);

DEFINE_CLEANUP(struct exec_trust *, exec_trust_free)

#endif
