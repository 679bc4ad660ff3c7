/* Who else asks what is trusted, from any thread: responses, drift, baselines that were made. See monitor.h. */
#ifndef DAEMON_EXEC_VOUCH_H
#define DAEMON_EXEC_VOUCH_H

#include "daemon/exec_trust.h"
#include "daemon/monitor.h"

/* They are answered by that from here on; NULL: by nobody, and nobody still uses what was there when it returns. */
void exec_vouch_from(struct monitor *m, struct exec_trust *t);

#endif
