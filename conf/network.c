/* Policies of the network: destinations from texts. No state; the thread that loads. */
#include "conf/network.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/text.h"
#include "lib/util.h"

#define DOMAIN_MAX 253 /* RFC 1035, without the last dot */
#define LABEL_MAX  63
#define PLACE_MAX  300

/* --- one destination */

static bool parse_number(const char *text, size_t len, unsigned long max, unsigned long *ret)
{
	unsigned long n = 0;

	if (!len || len > 5)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!isdigit((unsigned char)text[i]))
			return false;
		n = n * 10 + (unsigned long)(text[i] - '0');
	}
	*ret = n;
	return n <= max;
}

/* "443", "80-90" */
static bool parse_ports(const char *text, struct conf_peer *p)
{
	size_t len = strcspn(text, "-");
	unsigned long first, last;

	if (!parse_number(text, len, UINT16_MAX, &first))
		return false;
	last = first;
	if (text[len] && !parse_number(text + len + 1, strlen(text + len + 1), UINT16_MAX, &last))
		return false;
	p->first = (uint16_t)first;
	p->last = (uint16_t)last;
	return first <= last;
}

/* The bits behind the prefix do not count, and are cleared, so that two of the same are equal. */
static void mask(struct conf_peer *p)
{
	for (unsigned i = p->prefix; i < 128; i++)
		p->address[i / 8] &= (uint8_t) ~(0x80 >> i % 8);
}

/* "10.0.0.0/8". False: it is none. */
static bool parse_address(char *place, struct conf_peer *p, const char **ret_why)
{
	char *slash = strchr(place, '/');
	unsigned long prefix;
	bool four;

	if (slash)
		*slash = '\0';
	four = inet_pton(AF_INET, place, p->address + 12) == 1;
	if (!four && inet_pton(AF_INET6, place, p->address) != 1)
		return false;
	if (four)
		memset(p->address + 10, 0xff, 2);
	prefix = four ? 32 : 128;
	if (slash && !parse_number(slash + 1, strlen(slash + 1), four ? 32 : 128, &prefix)) {
		*ret_why = four ? "behind the slash stands a number of bits from 0 to 32"
				: "behind the slash stands a number of bits from 0 to 128";
		return true;
	}
	p->prefix = (uint8_t)(prefix + (four ? 96 : 0));
	mask(p);
	return true;
}

static bool is_domain(const char *name)
{
	size_t label = 0, letters = 0, len = strlen(name);

	if (len > DOMAIN_MAX)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (name[i] == '.') {
			if (!label)
				return false;
			label = letters = 0;
			continue;
		}
		if (!isalnum((unsigned char)name[i]) && name[i] != '-' && name[i] != '_')
			return false;
		letters += !isdigit((unsigned char)name[i]);
		if (++label > LABEL_MAX)
			return false;
	}
	/* What ends in a number is meant as an address. */
	return letters > 0;
}

static int parse_domain(struct arena *a, char *place, struct conf_peer *p, const char **ret_why)
{
	size_t len = strlen(place);

	p->below = strncmp(place, "*.", 2) == 0;
	if (len && place[len - 1] == '.')
		place[len - 1] = '\0';
	for (char *c = place; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	if (!is_domain(place + (p->below ? 2 : 0))) {
		*ret_why = "neither an address, a network (10.0.0.0/8), a domain (*.example.org), nor any";
		return -EINVAL;
	}
	p->domain = arena_strdup(a, place + (p->below ? 2 : 0));
	return p->domain ? 0 : -ENOMEM;
}

/* The part before the ports, in ret; and the ports, NULL: none. */
static bool split(const char *text, char ret[PLACE_MAX], const char **ret_ports)
{
	const char *end = text[0] == '[' ? strchr(text, ']') : NULL, *colon = strchr(text, ':');
	size_t len;

	*ret_ports = NULL;
	if (text[0] == '[') {
		if (!end || (end[1] && end[1] != ':'))
			return false;
		*ret_ports = end[1] ? end + 2 : NULL;
		text++;
		len = (size_t)(end - text);
	} else if (colon && !strchr(colon + 1, ':')) {
		*ret_ports = colon + 1;
		len = (size_t)(colon - text);
	} else {
		len = strlen(text);
	}
	if (len >= PLACE_MAX)
		return false;
	memcpy(ret, text, len);
	ret[len] = '\0';
	return true;
}

int conf_peer_parse(struct arena *a, const char *text, struct conf_peer *ret, const char **ret_why)
{
	struct conf_peer p = { .text = text, .last = UINT16_MAX };
	const char *ports, *why = NULL;
	char place[PLACE_MAX];
	int r = 0;

	if (!split(text, place, &ports))
		why = "not accepted";
	else if (ports && !parse_ports(ports, &p))
		why = "behind the colon stands a port, or two joined by -";
	else if (!streq(place, "any") && !parse_address(place, &p, &why))
		r = parse_domain(a, place, &p, &why);
	if (why) {
		*ret_why = why;
		return -EINVAL;
	}
	if (r == 0)
		*ret = p;
	return r;
}

/* --- a policy */

static const struct node *member(const struct node *n, const char *key)
{
	for (const struct node_item *i = n->items; i; i = i->next)
		if (i->key && i->key->kind == NODE_SCALAR && streq(i->key->text, key))
			return i->value;
	return NULL;
}

static void peer_error(const struct node *n, const char *key, const char *text, const char *why, struct errors *e)
{
	_cleanup_buf_ struct buf shown = BUF_INIT;

	text_escape(&shown, text, MIN(strlen(text), (size_t)80));
	errors_add(e, n->line, n->column, "network.policies[].%s: '%s': %s", key, shown.data ?: "", why);
}

static int parse_list(struct conf *c, const struct node *n, const char *key, struct conf_peer **ret, size_t *ret_n,
		      struct errors *e)
{
	const struct node *list = member(n, key);
	const struct node_item one = { .value = list };
	size_t room = 0;

	if (!list || list->null || list->kind == NODE_MAPPING)
		return 0;
	for (const struct node_item *i = list->kind == NODE_LIST ? list->items : &one; i; i = i->next)
		room++;
	*ret = arena_zalloc(&c->arena, (room + 1) * sizeof(**ret));
	if (!*ret)
		return -ENOMEM;
	for (const struct node_item *i = list->kind == NODE_LIST ? list->items : &one; i; i = i->next) {
		const char *why, *text;
		int r;

		if (i->value->kind != NODE_SCALAR || i->value->null)
			continue; /* said already */
		text = arena_strdup(&c->arena, i->value->text);
		r = text ? conf_peer_parse(&c->arena, text, &(*ret)[*ret_n], &why) : -ENOMEM;
		if (r == -EINVAL)
			peer_error(i->value, key, text, why, e);
		else if (r < 0)
			return r;
		else
			(*ret_n)++;
	}
	return 0;
}

static int name_policy(struct conf *c, struct conf_network_policy *p, const struct node *n, struct errors *e)
{
	char name[32];

	if (!p->name) {
		snprintf(name, sizeof(name), "policy-%zu", c->network.n_policies + 1);
		p->name = arena_strdup(&c->arena, name);
	}
	for (size_t i = 0; p->name && i < c->network.n_policies; i++)
		if (streq(c->network.policies[i].name, p->name))
			errors_add(e, n->line, n->column, "network.policies: two of the same `name`");
	return p->name ? 0 : -ENOMEM;
}

int network_check(struct conf *c, struct conf_network_policy *p, const struct node *n, struct errors *e)
{
	size_t before = c->network.n_peers;
	int r = name_policy(c, p, n, e);

	if (r == 0)
		r = parse_list(c, n, "allow", &p->allow, &p->n_allow, e);
	if (r == 0)
		r = parse_list(c, n, "deny", &p->deny, &p->n_deny, e);
	if (r < 0)
		return r;
	if (!member(n, "allow") && !member(n, "deny"))
		errors_add(e, n->line, n->column, "network.policies: '%s' has neither `allow` nor `deny`", p->name);
	c->network.n_peers += p->n_allow + p->n_deny;
	if (before <= CONF_PEERS_MAX && c->network.n_peers > CONF_PEERS_MAX)
		errors_add(e, n->line, n->column, "network.policies: more than %d destinations in all", CONF_PEERS_MAX);
	return 0;
}
