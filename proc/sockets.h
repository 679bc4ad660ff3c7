/*
 * Sockets that are there already: the kernel's own list (sock_diag(7)) of every network namespace that a process is in,
 * and whose they are.
 */
#ifndef PROC_SOCKETS_H
#define PROC_SOCKETS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "event/socket.h"

#define SOCKETS_MAX 262144

struct sockets_found {
	uint64_t told;
	uint64_t missed; /* for which there was no room; namespaces that could not be entered */
};

/*
 * Calls fn with each TCP and UDP socket, IPv4 and IPv6, that listens or has a peer, and the process with the lowest pid
 * that holds it; op is SOCKET_FOUND. Of no more than max sockets, 0: SOCKETS_MAX, 64 bytes each. Enters other network
 * namespaces: on a thread that nothing else is done on, which is not in its own afterwards. Ends early once *stop is
 * true. 0, or a negative errno.
 */
int sockets_each(const char *procfs, size_t max, const atomic_bool *stop,
		 void (*fn)(int32_t pid, const struct event_socket *s, void *data), void *data,
		 struct sockets_found *ret);

#endif
