/* Questions to DNS alike, told once and counted then. Thread "calls". */
#include "daemon/queries.h"

#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "lib/util.h"

struct key {
	uint64_t start_ns;
	int32_t tgid;
	uint16_t port, protocol;
	uint8_t server[SOCKET_ADDRESS];
	char question[]; /* type and name, with their NULs */
};

struct counted {
	struct queries_one one; /* the newest; its strings are in key */
	uint64_t more;		/* behind the first, which was told */
	UT_hash_handle hh;
	struct key key;
};

struct queries {
	void (*tell)(const struct queries_one *q, void *data);
	void *data;
	struct counted *table;
};

struct queries *queries_new(void (*tell)(const struct queries_one *q, void *data), void *data)
{
	struct queries *q = calloc(1, sizeof(*q));

	if (q)
		*q = (struct queries){ .tell = tell, .data = data };
	return q;
}

static void drop(struct queries *q, struct counted *c)
{
	HASH_DEL(q->table, c);
	free(c);
}

void queries_free(struct queries *q)
{
	if (!q)
		return;
	while (q->table)
		drop(q, q->table);
	free(q);
}

static struct counted *counted_new(const struct queries_one *one, size_t *ret_len)
{
	const struct event_socket *s = &one->socket;
	size_t type = strlen(s->query_type) + 1, name = strlen(s->query) + 1;
	struct counted *c = calloc(1, sizeof(*c) + type + name);

	if (!c)
		return NULL;
	c->one = *one;
	c->key.start_ns = one->start_ns;
	c->key.tgid = one->tgid;
	c->key.port = s->remote_port;
	c->key.protocol = s->protocol;
	memcpy(c->key.server, s->remote, sizeof(c->key.server));
	memcpy(c->key.question, s->query_type, type);
	memcpy(c->key.question + type, s->query, name);
	c->one.socket.query_type = c->key.question;
	c->one.socket.query = c->key.question + type;
	*ret_len = offsetof(struct key, question) + type + name;
	return c;
}

void queries_take(struct queries *q, const struct queries_one *one)
{
	struct counted *before = NULL, *c;
	size_t len;

	c = counted_new(one, &len);
	if (c)
		HASH_FIND(hh, q->table, &c->key, len, before);
	if (before) {
		before->more += one->count;
		before->one.mono_ns = one->mono_ns;
		free(c);
		return;
	}
	q->tell(one, q->data);
	if (c && HASH_COUNT(q->table) < QUERIES_MAX)
		HASH_ADD_KEYPTR(hh, q->table, &c->key, len, c);
	else
		free(c);
}

bool queries_end_period(struct queries *q)
{
	bool any = q->table != NULL;

	while (q->table) {
		struct counted *c = q->table;

		c->one.count = c->more;
		if (c->more)
			q->tell(&c->one, q->data);
		drop(q, c);
	}
	return any;
}
