/* Items of `network.policies` while they are read. Inside conf/ only, but for conf_peer_parse. */
#ifndef CONF_NETWORK_H
#define CONF_NETWORK_H

#include "conf/conf.h"
#include "conf/errors.h"
#include "conf/node.h"

/* Names p, and makes destinations of its texts, read from n; what is wrong goes to e. c counts them. -ENOMEM. */
int network_check(struct conf *c, struct conf_network_policy *p, const struct node *n, struct errors *e);

/*
 * One destination: "any", an address, a network (10.0.0.0/8), a domain (example.org; *.example.org: every name below
 * it), each with ":PORT" or ":FIRST-LAST" behind it; IPv6 with ports in brackets. Strings live in a. 0, -ENOMEM, or
 * -EINVAL with the reason in *ret_why.
 */
int conf_peer_parse(struct arena *a, const char *text, struct conf_peer *ret, const char **ret_why);

#endif
