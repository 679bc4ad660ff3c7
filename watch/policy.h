/*
 * Policies of the network as the kernel asks them: each destination of each policy is an entry, a bit in their order;
 * what holds for an address, a port, a container, a user or a program is a set of bits, and the lowest that all of them
 * have decides. An immutable table; any thread.
 */
#ifndef WATCH_POLICY_H
#define WATCH_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/conf.h"
#include "event/container.h"
#include "lib/cleanup.h"
#include "watch/bpf/record.h"

#define POLICY_PREFIXES_MAX BPF_POLICY_PREFIXES

/* The first entries allow what is protected, whoever asks; the last one denies the unknown. */
enum policy_entry_fixed {
	POLICY_FIRST = CONF_PROTECT_COUNT,
	POLICY_UNKNOWN = BPF_POLICY_ENTRIES - 1,
};
_Static_assert(POLICY_FIRST + CONF_PEERS_MAX <= POLICY_UNKNOWN, "every destination has a bit");

/* What the node is like; made by watch/policy_world.c, or by a test. */
#define POLICY_PROTECTED_MAX 128
_Static_assert(POLICY_PROTECTED_MAX + BPF_POLICY_ENTRIES <= POLICY_PREFIXES_MAX, "every destination has a prefix");
_Static_assert(2 * (POLICY_PROTECTED_MAX + BPF_POLICY_ENTRIES) < BPF_POLICY_CLASSES, "and its ports two bounds");
struct policy_world {
	struct policy_protected {
		enum conf_protect what;
		uint8_t address[16];  /* IPv4 mapped into IPv6 */
		uint8_t prefix;	      /* of 128 bits */
		uint16_t first, last; /* ports */
	} protected[POLICY_PROTECTED_MAX];
	size_t n_protected;
	size_t unprotected; /* of what is to be, for which there was no room */
	/* By policy; what it does not ask for is not looked at. */
	struct policy_subject {
		bool has_user, has_program; /* they are there */
		uint32_t user;
		uint32_t program_dev; /* major << 20 | minor, as the kernel keeps it */
		uint64_t program_ino;
	} subjects[CONF_POLICIES_MAX];
};

struct policy_table {
	struct conf *conf;	     /* counted; owns the texts */
	struct bpf_policy_table set; /* enforce is the caller's */
	struct policy_entry {
		const char *policy, *text; /* its name, the destination as written; NULL: not an entry of a policy */
		bool deny;
	} entries[BPF_POLICY_ENTRIES];
	struct policy_prefix {
		uint8_t address[16];
		uint8_t len;
		struct bpf_policy_bits bits;
	} prefixes[POLICY_PREFIXES_MAX];
	size_t n_prefixes;
	struct policy_subject_bits {
		uint64_t value[2];
		struct bpf_policy_bits bits;
	} users[CONF_POLICIES_MAX], programs[CONF_POLICIES_MAX], domains[CONF_PEERS_MAX];
	size_t n_users, n_programs, n_domains;
};

/* serial: of the caller's choice; its lowest bit is the kernel's place for it. -ENOMEM. */
int policy_table_new(struct conf *conf, const struct policy_world *w, uint32_t serial, struct policy_table **ret);
void policy_table_free(struct policy_table *t);
/* Entries that can count for a process of this container. */
void policy_of_container(const struct policy_table *t, const struct container *c, struct bpf_policy_bits *ret);

/* As the kernel makes them: of a container's id, and of a domain in lower case (below: any name below it). */
uint64_t policy_hash_id(const char *id);
uint64_t policy_hash_domain(const char *name, bool below);

DEFINE_CLEANUP(struct policy_table *, policy_table_free)

#endif
