/*
 * The netlink socket of the proc connector: opened and heard by connector.c alone.
 */
#ifndef WATCH_PROC_SOCKET_H
#define WATCH_PROC_SOCKET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include <linux/netlink.h>

#include "lib/buf.h"

/* Listens, with the kernel's consent: -ENOTSUP outside of the initial namespaces, where none comes. Text in err. */
int proc_socket_open(int buffer, int *ret_fd, struct buf *err);
void proc_socket_ignore(int fd);
/*
 * Only these kinds (PROC_EVENT_* or'ed) from now on; before Linux 6.6 all come as before. The numbers of the messages
 * then have holes that are none: only the socket's drops tell of a loss.
 */
void proc_socket_select(int fd, uint32_t kinds);
/* The receive buffer, beyond net.core.rmem_max where allowed. */
int proc_socket_set_buffer(int fd, int bytes);
/* How many messages were dropped since it was opened (modulo 2^32); 0 where the kernel does not tell. */
uint32_t proc_socket_drops(int fd);

#define PROC_BATCH    32
#define PROC_MSG_SIZE 256 /* one message is 76 bytes */

/* Datagrams received at one go. */
struct proc_batch {
	struct mmsghdr hdr[PROC_BATCH];
	struct iovec iov[PROC_BATCH];
	struct sockaddr_nl from[PROC_BATCH];
	char data[PROC_BATCH][PROC_MSG_SIZE] __attribute__((aligned(8)));
};

void proc_batch_init(struct proc_batch *b);
/* Number of datagrams, or a negative errno. Never waits. */
int proc_batch_receive(struct proc_batch *b, int fd);
/* Others with CAP_NET_ADMIN could write to the socket too: only the kernel's port is believed. */
bool proc_batch_from_kernel(const struct proc_batch *b, int i);

#endif
