/*
 * What policies of the network need to know of the node: servers of DNS, addresses of the kubelet and of the API
 * server, ids of users, files of programs. Reads files below `root`; any thread.
 */
#ifndef WATCH_POLICY_WORLD_H
#define WATCH_POLICY_WORLD_H

#include "watch/policy.h"

/* root: "/", or a recorded tree. What cannot be had is left out; what there is no room for is counted (unprotected). */
void policy_world_read(const struct conf *conf, const char *root, struct policy_world *ret);
/* Whether servers, ids of users and files of programs are as they were: else a table is to be made anew. */
bool policy_world_same(const struct conf *conf, const struct policy_world *a, const struct policy_world *b);

/*
 * fn is called with each address that root's /etc/hosts has for a domain of the policies (policy_hash_domain): no
 * answer of DNS tells those.
 */
void policy_hosts_each(const struct conf *conf, const char *root,
		       void (*fn)(uint64_t domain, const uint8_t address[16], void *data), void *data);

#endif
