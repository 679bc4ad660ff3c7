/*
 * sock_diag(7) and /proc/PID/fd put together. No state; the caller's thread changes its network namespace. Numbers of
 * sockets' inodes are one sequence for all namespaces.
 */
#include "proc/sockets.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>

#include "lib/cleanup.h"
#include "lib/util.h"

#define NAMESPACES_MAX 4096
#define ANSWER_MAX     32768
/* enum tcp_state of the kernel; a connected UDP socket is established, another closed */
#define STATE_ESTABLISHED 1
#define STATE_CLOSE	  7
#define STATE_LISTEN	  10

/* Of a hundred thousand: no more than what is needed. */
struct entry {
	uint64_t ino, cookie;
	uint8_t local[SOCKET_ADDRESS], remote[SOCKET_ADDRESS];
	uint16_t local_port, remote_port;
	uint8_t family, protocol, state;
	bool accepted, told;
};

#define PORT_WORDS (65536 / 64)

struct finder {
	const atomic_bool *stop;
	struct entry *entries;
	size_t n, cap, max;
	uint64_t listening[PORT_WORDS]; /* TCP ports of the namespace that is being looked at */
	ino_t namespaces[NAMESPACES_MAX];
	size_t n_namespaces;
	void (*fn)(int32_t pid, const struct event_socket *s, void *data);
	void *data;
	struct sockets_found found;
};

/* --- the kernel's list */

static void take_address(const uint32_t from[4], uint16_t family, uint8_t ret[SOCKET_ADDRESS])
{
	if (family == AF_INET6) {
		memcpy(ret, from, SOCKET_ADDRESS);
		return;
	}
	memset(ret, 0, 10);
	memset(ret + 10, 0xff, 2);
	memcpy(ret + 12, from, 4);
}

static struct entry *add_entry(struct finder *f)
{
	struct entry *grown;

	if (f->n == f->max)
		return NULL;
	if (f->n < f->cap)
		return &f->entries[f->n++];
	grown = realloc(f->entries, (f->cap ? f->cap * 2 : 256) * sizeof(*grown));
	if (!grown)
		return NULL;
	f->entries = grown;
	f->cap = f->cap ? f->cap * 2 : 256;
	return &f->entries[f->n++];
}

static void take_socket(struct finder *f, const struct inet_diag_msg *m, uint8_t protocol)
{
	struct entry *e;

	if (!m->idiag_inode || (m->idiag_family != AF_INET && m->idiag_family != AF_INET6))
		return;
	/* A UDP socket that is bound to no port of its own choice does nothing yet. */
	if (m->idiag_state == STATE_CLOSE && !m->id.idiag_sport)
		return;
	e = add_entry(f);
	if (!e) {
		f->found.missed++;
		return;
	}
	*e = (struct entry){ .family = m->idiag_family,
			     .protocol = protocol,
			     .state = m->idiag_state,
			     .local_port = ntohs(m->id.idiag_sport),
			     .remote_port = ntohs(m->id.idiag_dport),
			     .cookie = (uint64_t)m->id.idiag_cookie[1] << 32 | m->id.idiag_cookie[0],
			     .ino = m->idiag_inode };
	take_address(m->id.idiag_src, m->idiag_family, e->local);
	take_address(m->id.idiag_dst, m->idiag_family, e->remote);
	if (e->state == STATE_LISTEN)
		f->listening[e->local_port / 64] |= 1ULL << e->local_port % 64;
}

/* A connection from the port of a server is one that it accepted: nobody else is given that port. */
static void mark_accepted(struct finder *f, size_t from)
{
	for (size_t i = from; i < f->n; i++) {
		struct entry *e = &f->entries[i];

		e->accepted = e->protocol == IPPROTO_TCP && e->state == STATE_ESTABLISHED &&
			      f->listening[e->local_port / 64] >> e->local_port % 64 & 1;
	}
}

static int ask(int fd, uint8_t family, uint8_t protocol)
{
	struct {
		struct nlmsghdr head;
		struct inet_diag_req_v2 ask;
	} m = {
		.head = { .nlmsg_len = sizeof(m),
			  .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			  .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.ask = { .sdiag_family = family,
			 .sdiag_protocol = protocol,
			 .idiag_states = 1u << STATE_ESTABLISHED | 1u << STATE_LISTEN |
					 (protocol == IPPROTO_UDP ? 1u << STATE_CLOSE : 0) },
	};

	return send(fd, &m, sizeof(m), 0) == sizeof(m) ? 0 : -errno;
}

/* 1: there is more; 0: that was all. */
static int take_answer(struct finder *f, const char *data, size_t len, uint8_t protocol)
{
	const struct nlmsghdr *h = (const void *)data;

	for (; NLMSG_OK(h, (unsigned int)len); h = NLMSG_NEXT(h, len)) {
		if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR)
			return 0;
		if (h->nlmsg_type == SOCK_DIAG_BY_FAMILY && h->nlmsg_len >= NLMSG_LENGTH(sizeof(struct inet_diag_msg)))
			take_socket(f, NLMSG_DATA(h), protocol);
	}
	return 1;
}

static int dump(struct finder *f, int fd, uint8_t family, uint8_t protocol)
{
	char answer[ANSWER_MAX] __attribute__((aligned(8)));
	ssize_t n;
	int r = ask(fd, family, protocol);

	while (r == 0 && !*f->stop) {
		n = recv(fd, answer, sizeof(answer), 0);
		if (n <= 0)
			return n < 0 ? -errno : 0;
		if (!take_answer(f, answer, (size_t)n, protocol))
			break;
	}
	return r;
}

static int dump_namespace(struct finder *f)
{
	static const struct {
		uint8_t family, protocol;
	} kinds[] = {
		{ AF_INET, IPPROTO_TCP }, { AF_INET6, IPPROTO_TCP }, { AF_INET, IPPROTO_UDP }, { AF_INET6, IPPROTO_UDP }
	};
	const struct timeval limit = { .tv_sec = 5 };
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	int r = fd < 0 ? -errno : 0;
	size_t before = f->n;

	memset(f->listening, 0, sizeof(f->listening));
	if (r == 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	for (size_t i = 0; i < ARRAY_SIZE(kinds) && r == 0; i++)
		r = dump(f, fd, kinds[i].family, kinds[i].protocol);
	mark_accepted(f, before);
	return r;
}

/* --- namespaces */

static bool is_known(const struct finder *f, ino_t ino)
{
	for (size_t i = 0; i < f->n_namespaces; i++)
		if (f->namespaces[i] == ino)
			return true;
	return false;
}

static bool is_own(const struct stat *st)
{
	struct stat own;

	return stat("/proc/thread-self/ns/net", &own) == 0 && own.st_ino == st->st_ino;
}

static void enter(struct finder *f, int proc, int32_t pid)
{
	_cleanup_close_ int fd = -1;
	struct stat st;
	char name[32];

	snprintf(name, sizeof(name), "%d/ns/net", pid);
	if (fstatat(proc, name, &st, 0) < 0 || is_known(f, st.st_ino))
		return;
	if (f->n_namespaces == NAMESPACES_MAX) {
		f->found.missed++;
		return;
	}
	f->namespaces[f->n_namespaces++] = st.st_ino;
	fd = openat(proc, name, O_RDONLY | O_CLOEXEC);
	/* Our own needs no entering, which may not be allowed. */
	if (fd < 0 || (!is_own(&st) && setns(fd, CLONE_NEWNET) < 0) || dump_namespace(f) < 0)
		f->found.missed++;
}

/* --- whose they are */

static int compare(const void *a, const void *b)
{
	uint64_t x = ((const struct entry *)a)->ino, y = ((const struct entry *)b)->ino;

	return (x > y) - (x < y);
}

static void tell(struct finder *f, int32_t pid, uint64_t ino)
{
	struct entry key = { .ino = ino }, *e;
	struct event_socket s;

	e = f->n ? bsearch(&key, f->entries, f->n, sizeof(key), compare) : NULL;
	if (!e || e->told)
		return;
	e->told = true;
	f->found.told++;
	s = (struct event_socket){ .op = SOCKET_FOUND,
				   .family = e->family,
				   .type = e->protocol == IPPROTO_TCP ? SOCK_STREAM : SOCK_DGRAM,
				   .protocol = e->protocol,
				   .has_local = true,
				   .has_remote = e->remote_port != 0,
				   .connected = e->state == STATE_ESTABLISHED,
				   .accepted = e->accepted,
				   .local_port = e->local_port,
				   .remote_port = e->remote_port,
				   .ino = e->ino,
				   .cookie = e->cookie };
	memcpy(s.local, e->local, sizeof(s.local));
	memcpy(s.remote, e->remote, sizeof(s.remote));
	f->fn(pid, &s, f->data);
}

static void scan_process(struct finder *f, int proc, int32_t pid)
{
	char name[32], target[64];
	struct dirent *d;
	ssize_t n;
	DIR *dir;
	int fd;

	snprintf(name, sizeof(name), "%d/fd", pid);
	fd = openat(proc, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((d = readdir(dir)) && !*f->stop) {
		unsigned long long ino;

		n = readlinkat(dirfd(dir), d->d_name, target, sizeof(target) - 1);
		target[MAX(n, (ssize_t)0)] = '\0';
		if (sscanf(target, "socket:[%llu]", &ino) == 1)
			tell(f, pid, ino);
	}
	closedir(dir);
}

static int each_process(struct finder *f, const char *procfs, void (*fn)(struct finder *f, int proc, int32_t pid))
{
	DIR *dir = opendir(procfs);
	struct dirent *d;

	if (!dir)
		return -errno;
	while ((d = readdir(dir)) && !*f->stop) {
		int32_t pid = atoi(d->d_name);

		if (pid > 0)
			fn(f, dirfd(dir), pid);
	}
	closedir(dir);
	return 0;
}

int sockets_each(const char *procfs, size_t max, const atomic_bool *stop,
		 void (*fn)(int32_t pid, const struct event_socket *s, void *data), void *data,
		 struct sockets_found *ret)
{
	struct finder *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return -ENOMEM;
	f->stop = stop;
	f->max = max ? max : SOCKETS_MAX;
	f->fn = fn;
	f->data = data;
	r = each_process(f, procfs, enter);
	if (f->n)
		qsort(f->entries, f->n, sizeof(*f->entries), compare);
	if (r == 0)
		r = each_process(f, procfs, scan_process);
	if (r == 0)
		*ret = f->found;
	free(f->entries);
	free(f);
	return r;
}
