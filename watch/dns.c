/*
 * Messages of DNS: bounded reading of them, and a table of the newest answers, the oldest of which goes when it is
 * full.
 */
#include "watch/dns.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "lib/clock.h"
#include "lib/util.h"

#define HEADER	    12
#define TYPE_A	    1
#define TYPE_AAAA   28
#define CLASS_IN    1
#define LABELS_MAX  128 /* of one name, with those that pointers lead to */
#define RECORDS_MAX 256
#define KEPT_NS	    (600 * NSEC_PER_SEC)
#define TTL_MAX	    86400U

struct message {
	const uint8_t *data;
	size_t len, at;
};

static bool has(const struct message *r, size_t n)
{
	return r->len - r->at >= n;
}

static bool take16(struct message *r, uint16_t *ret)
{
	if (!has(r, 2))
		return false;
	*ret = (uint16_t)(r->data[r->at] << 8 | r->data[r->at + 1]);
	r->at += 2;
	return true;
}

static bool take32(struct message *r, uint32_t *ret)
{
	uint16_t high, low;

	if (!take16(r, &high) || !take16(r, &low))
		return false;
	*ret = (uint32_t)high << 16 | low;
	return true;
}

/* Where a name goes to. */
struct name {
	char *text;
	size_t len, size;
	bool escape; /* what is no letter, digit, '-' or '_'; else such a name is none */
};

static bool put_char(struct name *n, uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		c = (uint8_t)(c - 'A' + 'a');
	if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_') {
		n->text[n->len++] = (char)c;
		return true;
	}
	if (n->escape)
		n->len += (size_t)snprintf(n->text + n->len, 5, "\\%03u", c);
	return n->escape;
}

static bool take_label(const struct message *r, size_t at, size_t n, struct name *to)
{
	if (to->len + n * (to->escape ? 4 : 1) + 2 > to->size)
		return false;
	if (to->len)
		to->text[to->len++] = '.';
	for (size_t i = 0; i < n; i++)
		if (!put_char(to, r->data[at + i]))
			return false;
	return true;
}

/* Ends behind the name as it stands there; pointers only lead back. name: NULL: not wanted, and not looked at. */
static bool take_name(struct message *r, struct name *name)
{
	size_t at = r->at;
	bool jumped = false;

	for (unsigned int i = 0; i < LABELS_MAX && at < r->len; i++) {
		size_t n = r->data[at];

		if (!n || (n & 0xc0) == 0xc0) {
			if (!jumped)
				r->at = at + (n ? 2 : 1);
			if (r->at > r->len)
				return false;
			if (!n || !name) {
				if (name)
					name->text[name->len] = '\0';
				return true;
			}
			if (at + 1 >= r->len || ((n & 0x3f) << 8 | r->data[at + 1]) >= at)
				return false;
			at = (n & 0x3f) << 8 | r->data[at + 1];
			jumped = true;
			continue;
		}
		if (n & 0xc0 || r->len - at - 1 < n || (name && !take_label(r, at + 1, n, name)))
			return false;
		at += 1 + n;
	}
	return false;
}

static void take_address(const struct message *r, uint16_t type, uint32_t ttl, struct dns_answer *ret)
{
	uint8_t *to;

	if (ret->n == DNS_ADDRESSES_MAX)
		return;
	to = ret->addresses[ret->n].address;
	memset(to, 0, SOCKET_ADDRESS);
	if (type == TYPE_AAAA) {
		memcpy(to, r->data + r->at, SOCKET_ADDRESS);
	} else {
		memset(to + 10, 0xff, 2);
		memcpy(to + 12, r->data + r->at, 4);
	}
	ret->addresses[ret->n++].ttl = MIN(ttl, TTL_MAX);
}

static bool take_record(struct message *r, struct dns_answer *ret)
{
	uint16_t type, class, len;
	uint32_t ttl;

	if (!take_name(r, NULL) || !take16(r, &type) || !take16(r, &class) || !take32(r, &ttl) || !take16(r, &len) ||
	    !has(r, len))
		return false;
	if (class == CLASS_IN && ((type == TYPE_A && len == 4) || (type == TYPE_AAAA && len == 16)))
		take_address(r, type, ttl, ret);
	r->at += len;
	return true;
}

int dns_parse(const uint8_t *data, size_t len, struct dns_answer *ret)
{
	struct name name = { .text = ret->name, .size = sizeof(ret->name) };
	struct message r = { data, len, 2 };
	uint16_t flags, questions, answers, type, class;

	ret->n = 0;
	if (len < HEADER || !take16(&r, &flags) || !take16(&r, &questions) || !take16(&r, &answers))
		return -EBADMSG;
	/* A response to a query, without an error. */
	if ((flags & 0xf80f) != 0x8000 || questions != 1)
		return -EBADMSG;
	r.at = HEADER;
	if (!take_name(&r, &name) || !take16(&r, &type) || !take16(&r, &class) || class != CLASS_IN)
		return -EBADMSG;
	for (unsigned int i = 0; i < answers && i < RECORDS_MAX; i++) {
		if (!take_record(&r, ret))
			return flags & 0x0200 ? 0 : -EBADMSG; /* cut, as it says itself */
	}
	return 0;
}

static void write_type(uint16_t type, char ret[DNS_TYPE_MAX])
{
	static const struct {
		uint16_t type;
		const char *name;
	} types[] = {
		{ TYPE_A, "A" }, { 2, "NS" },	  { 5, "CNAME" },  { 6, "SOA" },     { 10, "NULL" },
		{ 12, "PTR" },	 { 13, "HINFO" }, { 15, "MX" },	   { 16, "TXT" },    { TYPE_AAAA, "AAAA" },
		{ 29, "LOC" },	 { 33, "SRV" },	  { 35, "NAPTR" }, { 39, "DNAME" },  { 43, "DS" },
		{ 44, "SSHFP" }, { 46, "RRSIG" }, { 47, "NSEC" },  { 48, "DNSKEY" }, { 50, "NSEC3" },
		{ 52, "TLSA" },	 { 64, "SVCB" },  { 65, "HTTPS" }, { 99, "SPF" },    { 251, "IXFR" },
		{ 252, "AXFR" }, { 255, "ANY" },  { 256, "URI" },  { 257, "CAA" },
	};

	snprintf(ret, DNS_TYPE_MAX, "TYPE%u", type);
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (types[i].type == type)
			snprintf(ret, DNS_TYPE_MAX, "%s", types[i].name);
}

int dns_parse_query(const uint8_t *data, size_t len, struct dns_query *ret)
{
	struct name name = { .text = ret->name, .size = sizeof(ret->name), .escape = true };
	struct message r = { data, len, 2 };
	uint16_t flags, questions, type, class;

	if (len < HEADER || !take16(&r, &flags) || !take16(&r, &questions))
		return -EBADMSG;
	/* A query, no response; not an update or a notification. */
	if (flags & 0xf800 || questions != 1)
		return -EBADMSG;
	r.at = HEADER;
	if (!take_name(&r, &name) || !take16(&r, &type) || !take16(&r, &class))
		return -EBADMSG;
	if (!name.len)
		memcpy(ret->name, ".", 2);
	write_type(type, ret->type);
	return 0;
}

/* --- what is remembered */

struct known {
	uint8_t address[SOCKET_ADDRESS];
	uint64_t until;
	char name[DNS_NAME_MAX];
	UT_hash_handle hh;
};

struct dns_cache {
	pthread_mutex_t lock;
	struct known *table; /* oldest first */
};

struct dns_cache *dns_cache_new(void)
{
	struct dns_cache *c = calloc(1, sizeof(*c));

	if (c)
		pthread_mutex_init(&c->lock, NULL);
	return c;
}

static void forget(struct dns_cache *c, struct known *k)
{
	HASH_DEL(c->table, k);
	free(k);
}

void dns_cache_free(struct dns_cache *c)
{
	if (!c)
		return;
	while (c->table)
		forget(c, c->table);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

static void remember(struct dns_cache *c, const uint8_t *address, const char *name, uint64_t until)
{
	struct known *k = NULL;

	HASH_FIND(hh, c->table, address, SOCKET_ADDRESS, k);
	if (k)
		HASH_DEL(c->table, k); /* the newest are last */
	else if (HASH_COUNT(c->table) >= DNS_CACHE_MAX)
		forget(c, c->table);
	k = k ?: calloc(1, sizeof(*k));
	if (!k)
		return;
	memcpy(k->address, address, SOCKET_ADDRESS);
	memcpy(k->name, name, strlen(name) + 1);
	k->until = until;
	HASH_ADD(hh, c->table, address, SOCKET_ADDRESS, k);
}

void dns_cache_add(struct dns_cache *c, const struct dns_answer *a, uint64_t now)
{
	pthread_mutex_lock(&c->lock);
	for (size_t i = 0; i < a->n && a->name[0]; i++)
		remember(c, a->addresses[i].address, a->name,
			 now + MAX(2 * a->addresses[i].ttl * NSEC_PER_SEC, (uint64_t)KEPT_NS));
	pthread_mutex_unlock(&c->lock);
}

bool dns_cache_get(struct dns_cache *c, const uint8_t address[SOCKET_ADDRESS], uint64_t now, char ret[DNS_NAME_MAX])
{
	struct known *k = NULL;

	pthread_mutex_lock(&c->lock);
	HASH_FIND(hh, c->table, address, SOCKET_ADDRESS, k);
	if (k && k->until >= now)
		memcpy(ret, k->name, strlen(k->name) + 1);
	else
		k = NULL;
	pthread_mutex_unlock(&c->lock);
	return k != NULL;
}

size_t dns_cache_count(struct dns_cache *c)
{
	size_t n;

	pthread_mutex_lock(&c->lock);
	n = HASH_COUNT(c->table);
	pthread_mutex_unlock(&c->lock);
	return n;
}
