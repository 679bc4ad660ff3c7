/*
 * Getters of sockets: fd.* of calls that are about one. Run inside rule evaluation: no allocation, no system call.
 */
#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>

#include "event/field_get.h"
#include "lib/util.h"

static const struct event_socket *sock(const struct field_view *v)
{
	return v->face == FACE_CALL ? v->event->socket : NULL;
}

static const struct event_socket *ip_sock(const struct field_view *v)
{
	const struct event_socket *s = sock(v);

	return s && (s->family == AF_INET || s->family == AF_INET6) ? s : NULL;
}

struct end {
	const uint8_t *address; /* NULL: unknown */
	uint16_t port;
	const char *name;
};

static struct end get_end(const struct event_socket *s, bool remote)
{
	if (!s || !(remote ? s->has_remote : s->has_local))
		return (struct end){ 0 };
	return remote ? (struct end){ s->remote, s->remote_port, s->remote_name }
		      : (struct end){ s->local, s->local_port, NULL };
}

/* The end that a field's letter names: client, server, local, remote. */
static struct end named_end(const struct field_view *v, const struct field_ref *ref)
{
	const struct event_socket *s = ip_sock(v);
	char letter = ref->info->name[strlen("fd.")];
	bool server = s && socket_is_server(s);

	return get_end(s, letter == 'r' || (letter == 'c' && server) || (letter == 's' && !server));
}

FIELD_GETTER(get_fd_end_ip)
{
	struct end e = named_end(v, ref);

	if (e.address)
		field_set_bytes(ret, (const char *)e.address, SOCKET_ADDRESS);
}

FIELD_GETTER(get_fd_end_port)
{
	struct end e = named_end(v, ref);

	if (e.address)
		field_set_number(ret, e.port);
}

FIELD_GETTER(get_fd_end_name)
{
	field_set_string(ret, named_end(v, ref).name);
}

FIELD_GETTER(get_fd_ips)
{
	const struct event_socket *s = ip_sock(v);
	struct field_item *items = s ? field_items(v, 2) : NULL;

	for (unsigned i = 0; items && i < 2; i++) {
		struct end e = get_end(s, i == 0);

		if (e.address)
			items[ret->n++] = (struct field_item){ .s = (const char *)e.address, .len = SOCKET_ADDRESS };
	}
	ret->items = ret->n ? items : ret->items;
}

FIELD_GETTER(get_fd_ports)
{
	const struct event_socket *s = ip_sock(v);
	struct field_item *items = s ? field_items(v, 2) : NULL;

	for (unsigned i = 0; items && i < 2; i++) {
		struct end e = get_end(s, i == 0);

		if (e.address)
			items[ret->n++] = (struct field_item){ .number = e.port };
	}
	ret->items = ret->n ? items : ret->items;
}

FIELD_GETTER(get_fd_l4proto)
{
	if (sock(v))
		field_set_string(ret, socket_l4(sock(v)));
}

FIELD_GETTER(get_fd_sockfamily)
{
	if (sock(v) && socket_family(sock(v)))
		field_set_string(ret, ip_sock(v) ? "ip" : "unix");
}

FIELD_GETTER(get_fd_connected)
{
	if (sock(v))
		field_set_number(ret, sock(v)->connected);
}

FIELD_GETTER(get_fd_name_changed)
{
	if (sock(v))
		field_set_number(ret, sock(v)->new_peer);
}

FIELD_GETTER(get_evt_buffer)
{
	if (sock(v) && sock(v)->data)
		field_set_bytes(ret, (const char *)sock(v)->data, sock(v)->data_len);
}

void field_socket_type(struct field_view *v, struct field_value *ret)
{
	field_set_string(ret, sock(v) ? socket_family(sock(v)) : NULL);
}

void field_socket_typechar(struct field_view *v, struct field_value *ret)
{
	const struct event_socket *s = sock(v);

	if (s && socket_family(s))
		field_set_bytes(ret, s->family == AF_INET ? "4" : s->family == AF_INET6 ? "6" : "u", 1);
}

static char *put_end(char *at, const struct end *e)
{
	char text[SOCKET_TEXT];

	if (!e->address)
		return at;
	socket_address(e->address, e->port, text);
	return stpcpy(at, text);
}

/* As socket_tuple, in the view's room. */
void field_socket_name(struct field_view *v, struct field_value *ret)
{
	const struct event_socket *s = sock(v);
	size_t room = 2 * SOCKET_TEXT + 2;
	struct end client, server;
	char *text, *at;

	if (!s || s->family == AF_UNIX) {
		field_set_string(ret, s ? s->name : NULL);
		return;
	}
	client = get_end(s, socket_is_server(s));
	server = get_end(s, !socket_is_server(s));
	text = at = field_room(v, &room);
	if (room < 2 * SOCKET_TEXT + 2 || (!client.address && !server.address))
		return;
	at = put_end(at, &client);
	if (s->has_remote)
		at = stpcpy(at, "->");
	at = put_end(at, &server);
	field_set_bytes(ret, text, (size_t)(at - text));
}
