/*
 * Starts programs for a process that must not fork: a helper, forked while there is no thread and no fanotify group
 * yet, does it for us. A child of ours would hold a copy of the group that answers program starts until its own exec
 * has happened, and that exec waits for an answer: were we killed in between, every program start would hang.
 */
#ifndef LIB_SPAWNER_H
#define LIB_SPAWNER_H

#include <stddef.h>
#include <sys/types.h>

#include "lib/cleanup.h"
#include "lib/util.h"

#define SPAWNER_ARGS_MAX  256
#define SPAWNER_BYTES_MAX 65536 /* of all arguments */
#define SPAWNER_WAIT_NS	  (10 * NSEC_PER_SEC)

struct spawner;

/* Forks the helper. It ends with us. Negative errno. */
int spawner_start(struct spawner **ret);
void spawner_stop(struct spawner *s);
/*
 * Starts argv[0] (an absolute path; no shell, no search) in a session of its own: standard input is a pipe whose other,
 * non-blocking end comes back, standard output and error are ours. *ret_pidfd: of the child, to end it (SIGKILL goes to
 * it alone). The caller closes both. Any thread; waits until the exec has happened or failed, which is then the error.
 * -ETIMEDOUT: the helper did not answer within SPAWNER_WAIT_NS.
 */
int spawner_run(struct spawner *s, const char *const *argv, size_t n, int *ret_stdin, int *ret_pidfd);
/*
 * Starts this program once more as a role (lib/role.h): standard input is fd, which stays the caller's; there are no
 * other descriptors and hardly an environment. Does not wait for the exec, which may want an answer of the gate. Any
 * thread. The caller closes *ret_pidfd.
 */
int spawner_role(struct spawner *s, const char *name, int fd, pid_t *ret_pid, int *ret_pidfd);

DEFINE_CLEANUP(struct spawner *, spawner_stop)

#endif
