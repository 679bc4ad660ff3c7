/*
 * Does what no shell can with the network, in a network namespace of its own:
 *   net dns     asks DNS, over UDP, and www.example.org is 127.0.0.9; over TCP, in pieces, and tcp.example.org is
 *               127.0.0.10; connects to both, which is refused
 *   net uring   connects to 127.0.0.8, port 2, through io_uring; exit status 77: there is none
 *   net ends    a client sends 5 bytes to port 77 and gets 7; both ends are closed
 *   net heirs PROGRAM  starts it with both ends of a connection to port 76
 *   net many    50,000 connections to port 78, one after the other, each closed at once
 *   net pool    connects to 198.51.100.9, port 3333, where somebody listens
 *   net crowd   has 100,000 UDP sockets in ten processes, says so, and keeps them until it is ended; exit status 77: it
 *               may not
 *   net serve   listens at 127.0.0.1, port 13, until it is ended
 */
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/io_uring.h>

static struct sockaddr_in at(const char *address, uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };

	inet_pton(AF_INET, address, &a.sin_addr);
	return a;
}

static int own_network(void)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd, r;

	if (unshare(CLONE_NEWNET))
		return 77;
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	r = ioctl(fd, SIOCSIFFLAGS, &lo);
	close(fd);
	return r ? 1 : 0;
}

#define QUERY(label) "\x12\x34\1\0\0\1\0\0\0\0\0\0\3" label "\7Example\3org\0\0\1\0\1"
#define ANSWER(label, byte)                                                                                            \
	"\x12\x34\x81\x80\0\1\0\1\0\0\0\0\3" label "\7Example\3org\0\0\1\0\1"                                          \
	"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x7f\0\0" byte

static int dns_datagram(const struct sockaddr_in *where)
{
	static const char query[] = QUERY("WWW"), answer[] = ANSWER("www", "\x09");
	int server = socket(AF_INET, SOCK_DGRAM, 0), client = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	char got[sizeof(answer)];

	if (bind(server, (const struct sockaddr *)where, sizeof(*where)) ||
	    connect(client, (const struct sockaddr *)where, sizeof(*where)) ||
	    send(client, query, sizeof(query) - 1, 0) < 0 ||
	    recvfrom(server, got, sizeof(got), 0, (struct sockaddr *)&from, &len) != sizeof(query) - 1)
		return 1;
	if (sendto(server, answer, sizeof(answer) - 1, 0, (struct sockaddr *)&from, len) < 0 ||
	    recv(client, got, sizeof(got), 0) != sizeof(answer) - 1)
		return 2;
	return 0;
}

static int dns_stream(const struct sockaddr_in *where)
{
	static const char query[] = "\0\x21" QUERY("tcp"), answer[] = "\0\x31" ANSWER("tcp", "\x0a");
	int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0), server;
	static const int one = 1;
	char got[sizeof(answer)];

	if (bind(listener, (const struct sockaddr *)where, sizeof(*where)) || listen(listener, 1) ||
	    connect(client, (const struct sockaddr *)where, sizeof(*where)))
		return 3;
	server = accept(listener, NULL, NULL);
	setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (send(client, query, sizeof(query) - 1, 0) < 0 || recv(server, got, sizeof(query) - 1, MSG_WAITALL) < 0)
		return 4;
	for (size_t i = 0; i < sizeof(answer) - 1; i++)
		if (send(server, answer + i, 1, 0) != 1)
			return 5;
	return recv(client, got, sizeof(answer) - 1, MSG_WAITALL) == sizeof(answer) - 1 ? 0 : 6;
}

static int dns(void)
{
	struct sockaddr_in server = at("127.0.0.1", 53), peers[] = { at("127.0.0.9", 1), at("127.0.0.10", 1) };
	int r = dns_datagram(&server);

	r = r ? r : dns_stream(&server);
	for (int i = 0; i < 2 && !r; i++)
		connect(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&peers[i], sizeof(*peers));
	return r;
}

static int uring(void)
{
	struct sockaddr_in peer = at("127.0.0.8", 2);
	struct io_uring_params p = { 0 };
	int fd = (int)syscall(SYS_io_uring_setup, 1, &p);
	struct io_uring_sqe *sqe;
	uint8_t *ring;

	if (fd < 0 || !(p.features & IORING_FEAT_SINGLE_MMAP))
		return 77;
	ring = mmap(NULL, p.sq_off.array + p.sq_entries * sizeof(uint32_t) + p.cq_off.cqes, PROT_READ | PROT_WRITE,
		    MAP_SHARED, fd, IORING_OFF_SQ_RING);
	sqe = mmap(NULL, p.sq_entries * sizeof(*sqe), PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQES);
	if (ring == MAP_FAILED || sqe == MAP_FAILED)
		return 77;
	*sqe = (struct io_uring_sqe){ .opcode = IORING_OP_CONNECT,
				      .fd = socket(AF_INET, SOCK_STREAM, 0),
				      .addr = (uintptr_t)&peer,
				      .off = sizeof(peer) };
	memset(ring + p.sq_off.array, 0, sizeof(uint32_t));
	atomic_store((_Atomic uint32_t *)(void *)(ring + p.sq_off.tail), 1);
	return syscall(SYS_io_uring_enter, fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) == 1 ? 0 : 77;
}

static int ends(void)
{
	struct sockaddr_in a = at("127.0.0.1", 77);
	int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0), server;
	char data[8];

	if (bind(listener, (struct sockaddr *)&a, sizeof(a)) || listen(listener, 1) ||
	    connect(client, (struct sockaddr *)&a, sizeof(a)))
		return 1;
	server = accept(listener, NULL, NULL);
	if (send(client, "hello", 5, 0) != 5 || recv(server, data, 5, MSG_WAITALL) != 5 ||
	    send(server, "goodbye", 7, 0) != 7 || recv(client, data, 7, MSG_WAITALL) != 7)
		return 2;
	close(client);
	if (recv(server, data, 1, 0) != 0)
		return 3;
	close(server);
	return 0;
}

static int heirs(const char *program)
{
	struct sockaddr_in a = at("127.0.0.1", 76);
	int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);

	if (bind(listener, (struct sockaddr *)&a, sizeof(a)) || listen(listener, 1) ||
	    connect(client, (struct sockaddr *)&a, sizeof(a)) || accept(listener, NULL, NULL) < 0)
		return 1;
	execl(program, program, (char *)NULL);
	return 2;
}

static int many(void)
{
	struct sockaddr_in a = at("127.0.0.1", 78);
	struct linger now = { 1, 0 };
	int listener = socket(AF_INET, SOCK_STREAM, 0), client, server;

	if (bind(listener, (struct sockaddr *)&a, sizeof(a)) || listen(listener, 1))
		return 1;
	for (int i = 0; i < 50000; i++) {
		client = socket(AF_INET, SOCK_STREAM, 0);
		if (client < 0 || connect(client, (struct sockaddr *)&a, sizeof(a)))
			return 2;
		server = accept(listener, NULL, NULL);
		/* No port is left waiting. */
		if (server < 0 || setsockopt(client, SOL_SOCKET, SO_LINGER, &now, sizeof(now)))
			return 3;
		close(client);
		close(server);
	}
	return 0;
}

static int pool(void)
{
	struct ifreq lo = { .ifr_name = "lo" };
	struct sockaddr_in a = at("198.51.100.9", 3333);
	int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);

	memcpy(&lo.ifr_addr, &a, sizeof(a));
	return ioctl(listener, SIOCSIFADDR, &lo) || bind(listener, (struct sockaddr *)&a, sizeof(a)) ||
	       listen(listener, 1) || connect(client, (struct sockaddr *)&a, sizeof(a));
}

enum { CROWDS = 10, EACH = 10000 };

static int crowd_of(int which)
{
	char address[24];

	snprintf(address, sizeof(address), "127.0.0.%d", which + 1);
	for (int i = 0; i < EACH; i++) {
		struct sockaddr_in a = at(address, (uint16_t)(1024 + i));
		int fd = socket(AF_INET, SOCK_DGRAM, 0);

		if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)))
			return 77;
	}
	return 0;
}

static int crowd(void)
{
	struct rlimit room = { EACH + 100, EACH + 100 };
	int pair[2];
	char all[CROWDS];

	if (setrlimit(RLIMIT_NOFILE, &room) || socketpair(AF_UNIX, SOCK_DGRAM, 0, pair))
		return 77;
	for (int i = 0; i < CROWDS; i++)
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			return crowd_of(i) || send(pair[1], "", 1, 0) != 1 || pause();
		}
	/* One that has no room ends, and its word does not come. */
	for (int i = 0; i < CROWDS; i++)
		if (poll(&(struct pollfd){ .fd = pair[0], .events = POLLIN }, 1, 30000) != 1 || recv(pair[0], all, 1, 0) != 1)
			return 77;
	return write(1, "there\n", 6) != 6 || pause();
}

static int serve(void)
{
	struct sockaddr_in a = at("127.0.0.1", 13);
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	return bind(listener, (struct sockaddr *)&a, sizeof(a)) || listen(listener, 1) || pause();
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*act)(void);
	} acts[] = { { "dns", dns },   { "uring", uring }, { "ends", ends },
		     { "many", many }, { "pool", pool },   { "crowd", crowd }, { "serve", serve } };
	int r = own_network();

	if (!r && argc == 3 && strcmp(argv[1], "heirs") == 0)
		return heirs(argv[2]);
	if (r || argc != 2)
		return r ? r : 64;
	for (size_t i = 0; i < sizeof(acts) / sizeof(*acts); i++)
		if (strcmp(argv[1], acts[i].name) == 0)
			return acts[i].act();
	return 64;
}
