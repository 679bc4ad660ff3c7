/* Sockets as people and JSON see them. No state; any thread. */
#include "event/socket.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "event/json.h"
#include "lib/clock.h"
#include "lib/text.h"
#include "lib/util.h"

const char *const socket_op_names[SOCKET_OP_COUNT] = {
	[SOCKET_CONNECT] = "connect", [SOCKET_ACCEPT] = "accept", [SOCKET_LISTEN] = "listen",
	[SOCKET_BIND] = "bind",	      [SOCKET_SEND] = "send",	  [SOCKET_RECEIVE] = "receive",
	[SOCKET_FOUND] = "found",     [SOCKET_CLOSE] = "close",	  [SOCKET_QUERY] = "query",
	[SOCKET_INHERIT] = "inherit",
};

const char *const socket_verdict_names[SOCKET_VERDICT_COUNT] = {
	[SOCKET_DENIED] = "denied",
	[SOCKET_UNEXPECTED] = "unexpected",
};

static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

const char *socket_l4(const struct event_socket *s)
{
	static const struct {
		uint16_t protocol;
		const char *name;
	} names[] = {
		{ IPPROTO_TCP, "tcp" },	    { IPPROTO_UDP, "udp" },   { IPPROTO_ICMP, "icmp" },
		{ IPPROTO_ICMPV6, "icmp" }, { IPPROTO_SCTP, "sctp" }, { 262 /* IPPROTO_MPTCP */, "tcp" },
	};

	if (s->family != AF_INET && s->family != AF_INET6)
		return NULL;
	if (s->type == SOCK_RAW)
		return "raw";
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (names[i].protocol == s->protocol)
			return names[i].name;
	return NULL;
}

const char *socket_family(const struct event_socket *s)
{
	return s->family == AF_INET ? "ipv4" : s->family == AF_INET6 ? "ipv6" : s->family == AF_UNIX ? "unix" : NULL;
}

static void write_ip(const uint8_t address[SOCKET_ADDRESS], char ret[INET6_ADDRSTRLEN])
{
	if (memcmp(address, mapped, sizeof(mapped)) == 0)
		inet_ntop(AF_INET, address + sizeof(mapped), ret, INET6_ADDRSTRLEN);
	else
		inet_ntop(AF_INET6, address, ret, INET6_ADDRSTRLEN);
}

void socket_address(const uint8_t address[SOCKET_ADDRESS], uint16_t port, char ret[SOCKET_TEXT])
{
	char ip[INET6_ADDRSTRLEN];

	write_ip(address, ip);
	snprintf(ret, SOCKET_TEXT, strchr(ip, ':') ? "[%s]:%u" : "%s:%u", ip, port);
}

void socket_tuple(struct buf *b, const struct event_socket *s)
{
	bool server = socket_is_server(s);
	char local[SOCKET_TEXT], remote[SOCKET_TEXT];

	if (s->family == AF_UNIX) {
		if (s->name)
			text_escape(b, s->name, strlen(s->name));
		return;
	}
	socket_address(s->local, s->local_port, local);
	socket_address(s->remote, s->remote_port, remote);
	if (s->has_local && s->has_remote)
		buf_printf(b, "%s->%s", server ? remote : local, server ? local : remote);
	else if (s->has_remote)
		buf_printf(b, server ? "%s->" : "->%s", remote);
	else if (s->has_local)
		buf_str(b, local);
}

void socket_text(struct buf *b, const struct event_socket *s)
{
	if (s->op == SOCKET_QUERY && s->query)
		buf_printf(b, "%s %s  ", s->query, s->query_type);
	socket_tuple(b, s);
	if (s->op == SOCKET_CLOSE)
		buf_printf(b, "  %" PRIu64 " bytes sent, %" PRIu64 " received", s->sent, s->received);
	if (s->op == SOCKET_CLOSE && s->open_ns)
		buf_printf(b, ", %" PRIu64 ".%03u s", (uint64_t)(s->open_ns / NSEC_PER_SEC),
			   (unsigned int)(s->open_ns / NSEC_PER_MSEC % 1000));
}

const struct event_socket *socket_copy(struct arena *a, const struct event_socket *s)
{
	struct event_socket *c = arena_dup(a, s, sizeof(*s));

	if (!c)
		return NULL;
	c->name = s->name ? arena_strdup(a, s->name) : NULL;
	c->remote_name = s->remote_name ? arena_strdup(a, s->remote_name) : NULL;
	c->query = s->query ? arena_strdup(a, s->query) : NULL;
	c->query_type = s->query_type ? arena_strdup(a, s->query_type) : NULL;
	c->policy = s->policy ? arena_strdup(a, s->policy) : NULL;
	c->data = s->data ? arena_dup(a, s->data, s->data_len) : NULL;
	return (!s->name || c->name) && (!s->remote_name || c->remote_name) && (!s->query || c->query) &&
			       (!s->query_type || c->query_type) && (!s->policy || c->policy) && (!s->data || c->data)
		       ? c
		       : NULL;
}

static void put_end(json_t *o, const char *ip_key, const char *port_key, const uint8_t *address, uint16_t port)
{
	char ip[INET6_ADDRSTRLEN];

	write_ip(address, ip);
	json_object_set_new(o, ip_key, json_string(ip));
	json_object_set_new(o, port_key, json_integer(port));
}

static const char *direction(const struct event_socket *s)
{
	static const char *const names[SOCKET_OP_COUNT] = {
		[SOCKET_CONNECT] = "out", [SOCKET_SEND] = "out",   [SOCKET_QUERY] = "out",
		[SOCKET_ACCEPT] = "in",	  [SOCKET_RECEIVE] = "in",
	};

	if (s->op == SOCKET_CLOSE)
		return s->accepted ? "in" : "out";
	if (s->op == SOCKET_INHERIT)
		return s->accepted ? "in" : s->began ? "out" : NULL;
	return s->op < SOCKET_OP_COUNT ? names[s->op] : NULL;
}

json_t *socket_json(const struct event_socket *s, const char *error)
{
	bool ip = s->family == AF_INET || s->family == AF_INET6;
	json_t *o = json_object();

	json_put_string(o, "family", socket_family(s));
	json_put_string(o, "protocol", socket_l4(s));
	json_put_string(o, "direction", direction(s));
	if (ip && s->has_local)
		put_end(o, "local_ip", "local_port", s->local, s->local_port);
	if (ip && s->has_remote)
		put_end(o, "remote_ip", "remote_port", s->remote, s->remote_port);
	json_put_string(o, "remote_name", s->remote_name);
	json_put_string(o, "socket", s->name);
	if (s->uring)
		json_object_set_new(o, "io_uring", json_true());
	json_put_string(o, "verdict", socket_verdict_names[s->verdict]);
	json_put_string(o, "policy", s->policy);
	if (s->op == SOCKET_CLOSE) {
		json_object_set_new(o, "bytes_sent", json_u64(s->sent));
		json_object_set_new(o, "bytes_received", json_u64(s->received));
		if (s->open_ns)
			json_object_set_new(o, "open_ms", json_u64(s->open_ns / NSEC_PER_MSEC));
	}
	json_put_string(o, "query", s->query);
	json_put_string(o, "query_type", s->query_type);
	if (s->approximate)
		json_object_set_new(o, "approximate", json_true());
	json_put_string(o, "error", error);
	return o;
}
