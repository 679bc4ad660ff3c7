/* Looking at processes that run already. On the workers; inside the gate only. */
#ifndef EXEC_GATE_LATE_H
#define EXEC_GATE_LATE_H

#include "exec/gate-internal.h"

/*
 * The program that the slot's process runs, and the script it was told to run: fd, pidfd and identity of the slot are
 * set. -ESRCH: gone (or there is no such script). Another negative errno: it lies where reading could wait for a
 * server.
 */
int late_open_exe(struct gate *g, struct slot *s);
int late_open_script(struct gate *g, struct slot *s);
/*
 * For s, the file that the O_PATH descriptor stands for: fd, lease, identity, owner and mode are set. in_memory: it has
 * no file system that could wait. As above.
 */
int late_open_file(struct gate *g, struct slot *s, int at, bool in_memory);
int late_kill(int pidfd);
/* The slot's process, when it was told to run the slot's file and still does: -ESRCH otherwise. */
int late_kill_running(struct gate *g, struct slot *s);

/* Identity of /proc/PID/exe without waiting for any server. */
int late_identify(int32_t pid, struct file_id *ret);

#endif
