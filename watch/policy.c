/* Policies of the network to the sets of bits that the BPF program combines. Pure; any thread. */
#include "watch/policy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/text.h"
#include "lib/util.h"

static void set_bit(struct bpf_policy_bits *b, unsigned bit)
{
	b->w[bit / 64] |= 1ULL << bit % 64;
}

static bool has_bit(const struct bpf_policy_bits *b, unsigned bit)
{
	return b->w[bit / 64] >> bit % 64 & 1;
}

static void add_bits(struct bpf_policy_bits *b, const struct bpf_policy_bits *more)
{
	for (size_t i = 0; i < BPF_POLICY_WORDS; i++)
		b->w[i] |= more->w[i];
}

static uint64_t hash(const char *s)
{
	uint64_t h = BPF_HASH_START;

	for (; *s; s++)
		h = (h ^ (uint8_t)*s) * BPF_HASH_PRIME;
	return h;
}

uint64_t policy_hash_id(const char *id)
{
	return hash(id) ?: 1;
}

uint64_t policy_hash_domain(const char *name, bool below)
{
	return hash(name) ^ (below ? BPF_HASH_BELOW : 0);
}

/* --- entries in their order */

/* What an entry is made of; the protected ones have several rows. */
struct row {
	unsigned bit;
	const struct conf_peer *peer; /* NULL: protected */
	const uint8_t *address;	      /* NULL: any, or a domain */
	uint8_t prefix;
	uint16_t first, last;
};

struct compiler {
	struct policy_table *t;
	struct row rows[POLICY_PROTECTED_MAX + BPF_POLICY_ENTRIES];
	size_t n;
	/* By policy: its entries. */
	struct bpf_policy_bits of_policy[CONF_POLICIES_MAX];
	struct bpf_policy_bits fixed; /* those that count whoever asks */
	bool bound[UINT16_MAX + 2];   /* ports from which on other entries count */
};

static void add_protected(struct compiler *c, const struct policy_world *w)
{
	const struct conf_words *words = &c->t->conf->network.protect;

	for (unsigned i = 0; i < words->n; i++)
		set_bit(&c->fixed, words->word[i]);
	for (size_t i = 0; i < w->n_protected; i++) {
		const struct policy_protected *p = &w->protected[i];

		if (has_bit(&c->fixed, p->what))
			c->rows[c->n++] = (struct row){ p->what, NULL, p->address, p->prefix, p->first, p->last };
	}
}

static void add_peers(struct compiler *c, size_t policy, const struct conf_peer *peers, size_t n, bool deny,
		      unsigned *bit)
{
	const struct conf_network_policy *p = &c->t->conf->network.policies[policy];

	for (size_t i = 0; i < n && *bit < POLICY_UNKNOWN; i++, (*bit)++) {
		const struct conf_peer *peer = &peers[i];

		c->t->entries[*bit] = (struct policy_entry){ p->name, peer->text, deny };
		c->rows[c->n++] =
			(struct row){ *bit,	    peer,	 peer->domain || !peer->prefix ? NULL : peer->address,
				      peer->prefix, peer->first, peer->last };
		set_bit(&c->of_policy[policy], *bit);
		if (deny)
			set_bit(&c->t->set.deny, *bit);
	}
}

static void add_policies(struct compiler *c)
{
	const struct conf *conf = c->t->conf;
	unsigned bit = POLICY_FIRST;

	for (size_t i = 0; i < conf->network.n_policies; i++) {
		const struct conf_network_policy *p = &conf->network.policies[i];

		add_peers(c, i, p->allow, p->n_allow, false, &bit);
		add_peers(c, i, p->deny, p->n_deny, true, &bit);
	}
	/* For nobody else than unknown containers: who is one has to be asked then. */
	if (conf->network.unknown != CONF_UNKNOWN_DENY)
		return;
	c->t->set.by_container = true;
	c->t->entries[POLICY_UNKNOWN].deny = true;
	set_bit(&c->t->set.deny, POLICY_UNKNOWN);
	c->rows[c->n++] = (struct row){ .bit = POLICY_UNKNOWN, .last = UINT16_MAX };
}

/* --- destinations */

static bool holds(const struct row *r, const uint8_t *address, unsigned len)
{
	for (unsigned i = 0; i < r->prefix; i++)
		if (i >= len || ((r->address[i / 8] ^ address[i / 8]) & 0x80 >> i % 8))
			return false;
	return true;
}

static bool is_known_prefix(const struct policy_table *t, const struct row *r)
{
	for (size_t i = 0; i < t->n_prefixes; i++)
		if (t->prefixes[i].len == r->prefix && memcmp(t->prefixes[i].address, r->address, 16) == 0)
			return true;
	return false;
}

/* The longest prefix is found, so it has the bits of those around it too. */
static void compile_prefixes(struct compiler *c)
{
	struct policy_table *t = c->t;

	for (size_t i = 0; i < c->n; i++) {
		const struct row *r = &c->rows[i];

		if (!r->address && !(r->peer && r->peer->domain))
			set_bit(&t->set.any, r->bit);
		if (!r->address || is_known_prefix(t, r) || t->n_prefixes == POLICY_PREFIXES_MAX)
			continue;
		memcpy(t->prefixes[t->n_prefixes].address, r->address, 16);
		t->prefixes[t->n_prefixes++].len = r->prefix;
	}
	for (size_t i = 0; i < t->n_prefixes; i++) {
		struct policy_prefix *p = &t->prefixes[i];

		p->bits = t->set.any;
		for (size_t k = 0; k < c->n; k++)
			if (c->rows[k].address && holds(&c->rows[k], p->address, p->len))
				set_bit(&p->bits, c->rows[k].bit);
	}
}

static void compile_domains(struct compiler *c)
{
	struct policy_table *t = c->t;

	for (size_t i = 0; i < c->n; i++) {
		const struct conf_peer *peer = c->rows[i].peer;
		uint64_t h = peer && peer->domain ? policy_hash_domain(peer->domain, peer->below) : 0;
		size_t k = 0;

		if (!peer || !peer->domain)
			continue;
		while (k < t->n_domains && t->domains[k].value[0] != h)
			k++;
		t->domains[k].value[0] = h;
		set_bit(&t->domains[k].bits, c->rows[i].bit);
		t->n_domains = MAX(t->n_domains, k + 1);
	}
	t->set.by_domain = t->n_domains > 0;
}

/* Ports between two bounds are all alike. */
static void compile_ports(struct compiler *c)
{
	static const struct bpf_policy_bits none;
	struct policy_table *t = c->t;
	unsigned class = 0;

	for (size_t i = 0; i < c->n; i++)
		c->bound[c->rows[i].first] = c->bound[(size_t)c->rows[i].last + 1] = true;
	for (unsigned port = 0; port <= UINT16_MAX; port++) {
		if (port == 0 || c->bound[port]) {
			class += port != 0;
			t->set.ports[class] = none;
			for (size_t i = 0; i < c->n; i++)
				if (c->rows[i].first <= port && port <= c->rows[i].last)
					set_bit(&t->set.ports[class], c->rows[i].bit);
		}
		t->set.port_class[port] = (uint16_t) class;
	}
}

/* --- who */

static struct bpf_policy_bits *subject_bits(struct policy_subject_bits *all, size_t *n, uint64_t first, uint64_t second)
{
	size_t i = 0;

	while (i < *n && (all[i].value[0] != first || all[i].value[1] != second))
		i++;
	if (i == *n) {
		all[i].value[0] = first;
		all[i].value[1] = second;
		(*n)++;
	}
	return &all[i].bits;
}

static void compile_subjects(struct compiler *c, const struct policy_world *w)
{
	struct policy_table *t = c->t;

	t->set.host = t->set.user = t->set.program = c->fixed;
	/* That entry is about containers alone: whose user and program they are does not matter. */
	set_bit(&t->set.user, POLICY_UNKNOWN);
	set_bit(&t->set.program, POLICY_UNKNOWN);
	for (size_t i = 0; i < t->conf->network.n_policies; i++) {
		const struct conf_network_policy *p = &t->conf->network.policies[i];
		const struct policy_subject *s = &w->subjects[i];

		if (p->image || p->namespace)
			t->set.by_container = true;
		else
			add_bits(&t->set.host, &c->of_policy[i]);
		if (!p->user)
			add_bits(&t->set.user, &c->of_policy[i]);
		else if (s->has_user)
			add_bits(subject_bits(t->users, &t->n_users, s->user, 0), &c->of_policy[i]);
		if (!p->program)
			add_bits(&t->set.program, &c->of_policy[i]);
		else if (s->has_program)
			add_bits(subject_bits(t->programs, &t->n_programs, s->program_dev, s->program_ino),
				 &c->of_policy[i]);
		t->set.by_user |= p->user != NULL;
		t->set.by_program |= p->program != NULL;
	}
	/* Of a container that is not known yet it is known what holds for all. */
	t->set.unknown = t->set.host;
	if (t->conf->network.unknown == CONF_UNKNOWN_DENY)
		set_bit(&t->set.unknown, POLICY_UNKNOWN);
	/* Who has a row has what holds for everybody too. */
	for (size_t i = 0; i < t->n_users; i++)
		add_bits(&t->users[i].bits, &t->set.user);
	for (size_t i = 0; i < t->n_programs; i++)
		add_bits(&t->programs[i].bits, &t->set.program);
}

static bool matches_glob(const char *glob, const char *s)
{
	return !glob || (s && text_glob(glob, s));
}

void policy_of_container(const struct policy_table *t, const struct container *c, struct bpf_policy_bits *ret)
{
	const struct conf_words *words = &t->conf->network.protect;
	unsigned bit = POLICY_FIRST;

	*ret = (struct bpf_policy_bits){ { 0 } };
	for (unsigned i = 0; i < words->n; i++)
		set_bit(ret, words->word[i]);
	for (size_t i = 0; i < t->conf->network.n_policies; i++) {
		const struct conf_network_policy *p = &t->conf->network.policies[i];
		unsigned end = bit + (unsigned)(p->n_allow + p->n_deny);
		bool matches = matches_glob(p->image, c->image) && matches_glob(p->namespace, c->namespace);

		for (; bit < end && bit < POLICY_UNKNOWN; bit++)
			if (matches)
				set_bit(ret, bit);
	}
}

int policy_table_new(struct conf *conf, const struct policy_world *w, uint32_t serial, struct policy_table **ret)
{
	struct policy_table *t = calloc(1, sizeof(*t));
	struct compiler *c = calloc(1, sizeof(*c));

	if (!t || !c) {
		free(t);
		free(c);
		return -ENOMEM;
	}
	t->conf = conf_ref(conf);
	t->set.serial = serial;
	c->t = t;
	add_protected(c, w);
	add_policies(c);
	compile_prefixes(c);
	compile_domains(c);
	compile_ports(c);
	compile_subjects(c, w);
	free(c);
	*ret = t;
	return 0;
}

void policy_table_free(struct policy_table *t)
{
	if (!t)
		return;
	conf_unref(t->conf);
	free(t);
}
