/*
 * Messages of DNS in streams: each has its length before it, in two bytes (RFC 1035, 4.2.2). Pieces come as packets
 * did: again, one over the other, before their turn. Bounded: streams, pieces that wait, and a message.
 */
#include "watch/dns.h"

#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "lib/util.h"

#define LENGTH	    2
#define MESSAGE_MIN 12 /* its header */

struct piece {
	uint32_t seq;
	size_t len;
	uint8_t *data;
};

struct stream {
	struct dns_stream_id id;
	struct dns_stream_who who;
	uint32_t next; /* number of the byte that comes next */
	uint8_t head[LENGTH];
	size_t have;	  /* of the message that comes, its length too */
	uint8_t *message; /* once its length is known */
	size_t len;
	struct piece waiting[DNS_STREAM_PIECES_MAX];
	size_t n_waiting;
	UT_hash_handle hh;
};

struct dns_streams {
	struct stream *table; /* the one used longest ago first */
	uint64_t lost;
};

struct dns_streams *dns_streams_new(void)
{
	return calloc(1, sizeof(struct dns_streams));
}

static void forget(struct dns_streams *s, struct stream *t)
{
	HASH_DEL(s->table, t);
	for (size_t i = 0; i < t->n_waiting; i++)
		free(t->waiting[i].data);
	free(t->message);
	free(t);
}

void dns_streams_free(struct dns_streams *s)
{
	if (!s)
		return;
	while (s->table)
		forget(s, s->table);
	free(s);
}

uint64_t dns_streams_lost(const struct dns_streams *s)
{
	return s->lost;
}

static struct stream *find(struct dns_streams *s, const struct dns_stream_id *id)
{
	struct stream *t = NULL;

	HASH_FIND(hh, s->table, id, sizeof(*id), t);
	if (!t)
		return NULL;
	HASH_DEL(s->table, t); /* the newest are last */
	HASH_ADD(hh, s->table, id, sizeof(t->id), t);
	return t;
}

static struct stream *begin(struct dns_streams *s, const struct dns_stream_id *id, uint32_t seq)
{
	struct stream *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	if (HASH_COUNT(s->table) >= DNS_STREAMS_MAX)
		forget(s, s->table);
	t->id = *id;
	t->next = seq;
	HASH_ADD(hh, s->table, id, sizeof(t->id), t);
	return t;
}

void dns_streams_begin(struct dns_streams *s, const struct dns_stream_id *id, uint32_t seq,
		       const struct dns_stream_who *who)
{
	struct stream *t = find(s, id);

	/* Said again. */
	if (t && t->next == seq)
		return;
	if (t)
		forget(s, t);
	t = begin(s, id, seq);
	if (t)
		t->who = *who;
}

/* Bytes in their turn. False: no message begins here. */
static bool take(struct stream *t, const uint8_t *data, size_t len,
		 void (*fn)(const uint8_t *message, size_t len, const struct dns_stream_who *who, void *data2),
		 void *data2)
{
	while (len) {
		size_t n;

		if (t->have < LENGTH) {
			t->head[t->have++] = *data++;
			len--;
			t->next++;
			if (t->have < LENGTH)
				continue;
			t->len = (size_t)(t->head[0] << 8 | t->head[1]);
			t->message = t->len < MESSAGE_MIN ? NULL : malloc(t->len);
			if (!t->message)
				return false;
			continue;
		}
		n = MIN(len, t->len - (t->have - LENGTH));
		memcpy(t->message + t->have - LENGTH, data, n);
		t->have += n;
		t->next += (uint32_t)n;
		data += n;
		len -= n;
		if (t->have - LENGTH < t->len)
			continue;
		fn(t->message, t->len, &t->who, data2);
		free(TAKE_PTR(t->message));
		t->have = 0;
	}
	return true;
}

/* How much of a piece was taken before; -1: it comes before its turn. */
static int64_t overlap(const struct stream *t, uint32_t seq, size_t len)
{
	int32_t ahead = (int32_t)(seq - t->next);

	return ahead > 0 ? -1 : MIN((int64_t)len, -(int64_t)ahead);
}

static bool keep(struct stream *t, uint32_t seq, const uint8_t *data, size_t len)
{
	uint8_t *copy;

	for (size_t i = 0; i < t->n_waiting; i++)
		if (t->waiting[i].seq == seq && t->waiting[i].len >= len)
			return true;
	copy = t->n_waiting < DNS_STREAM_PIECES_MAX ? malloc(len) : NULL;
	if (!copy)
		return false;
	memcpy(copy, data, len);
	t->waiting[t->n_waiting++] = (struct piece){ seq, len, copy };
	return true;
}

/* One whose turn it is; false: there is none. */
static bool take_waiting(struct stream *t, struct piece *ret)
{
	for (size_t i = 0; i < t->n_waiting; i++) {
		if (overlap(t, t->waiting[i].seq, t->waiting[i].len) < 0)
			continue;
		*ret = t->waiting[i];
		t->waiting[i] = t->waiting[--t->n_waiting];
		return true;
	}
	return false;
}

void dns_streams_add(struct dns_streams *s, const struct dns_stream_id *id, uint32_t seq, const uint8_t *data,
		     size_t len,
		     void (*fn)(const uint8_t *message, size_t len, const struct dns_stream_who *who, void *data2),
		     void *data2)
{
	struct stream *t = find(s, id);
	struct piece p;
	int64_t before;
	bool good;

	if (!len)
		return;
	t = t ?: begin(s, id, seq);
	if (!t || len > DNS_STREAM_PIECE_MAX) {
		s->lost++;
		return;
	}
	before = overlap(t, seq, len);
	good = before < 0 ? keep(t, seq, data, len) : take(t, data + before, len - (size_t)before, fn, data2);
	while (good && take_waiting(t, &p)) {
		before = overlap(t, p.seq, p.len);
		good = take(t, p.data + before, p.len - (size_t)before, fn, data2);
		free(p.data);
	}
	if (good)
		return;
	s->lost++;
	forget(s, t);
}
