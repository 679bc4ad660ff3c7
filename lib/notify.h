/*
 * The service manager's notification protocol, as far as it is needed here: messages to the socket that NOTIFY_SOCKET
 * names, and descriptors that the manager kept from an earlier run (sd_notify(3): FDSTORE; sd_listen_fds(3):
 * LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES). Main thread, before others exist, but notify_send: any.
 */
#ifndef LIB_NOTIFY_H
#define LIB_NOTIFY_H

#include <stddef.h>

/* A socket that is connected to the manager; -ENOENT when there is none. */
int notify_open(void);
/* text: "FDSTORE=1\nFDNAME=x"; fd: goes along with it, -1: none. Never waits. 0 or a negative errno. */
int notify_send(int notify, const char *text, int fd);
/* The first descriptor that the manager gave us under a name that begins so; now the caller's, closed on exec. -ENOENT.
 */
int notify_take(const char *prefix, char *ret_name, size_t size);

#endif
