/*
 * Does what no shell can with the network, in a network namespace of its own:
 *   net dns     an answer of DNS comes, www.example.org being 127.0.0.9; then connects there, which is refused
 *   net uring   connects to 127.0.0.8, port 2, through io_uring; exit status 77: there is none
 *   net ends    a client sends 5 bytes to port 77 and gets 7; both ends are closed
 */
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
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

static int dns(void)
{
	static const char answer[] = "\x12\x34\x81\x80\0\1\0\1\0\0\0\0\3www\7example\3org\0\0\1\0\1"
				     "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x7f\0\0\x09";
	struct sockaddr_in server = at("127.0.0.1", 53), client = at("127.0.0.1", 5353), peer = at("127.0.0.9", 1);
	int from = socket(AF_INET, SOCK_DGRAM, 0), to = socket(AF_INET, SOCK_DGRAM, 0);
	char got[sizeof(answer)];

	if (bind(from, (struct sockaddr *)&server, sizeof(server)) ||
	    bind(to, (struct sockaddr *)&client, sizeof(client)))
		return 1;
	if (sendto(from, answer, sizeof(answer) - 1, 0, (struct sockaddr *)&client, sizeof(client)) < 0 ||
	    recv(to, got, sizeof(got), 0) != sizeof(answer) - 1)
		return 2;
	connect(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&peer, sizeof(peer));
	return 0;
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

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*act)(void);
	} acts[] = { { "dns", dns }, { "uring", uring }, { "ends", ends } };
	int r = own_network();

	if (r || argc != 2)
		return r ? r : 64;
	for (size_t i = 0; i < sizeof(acts) / sizeof(*acts); i++)
		if (strcmp(argv[1], acts[i].name) == 0)
			return acts[i].act();
	return 64;
}
