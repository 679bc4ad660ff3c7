/* Items of `respond.ladders` while they are read. Inside conf/ only. */
#ifndef CONF_LADDERS_H
#define CONF_LADDERS_H

#include "conf/conf.h"
#include "conf/errors.h"
#include "conf/node.h"

/* Makes steps of the texts of l, read from n; what is wrong or missing goes to e. c holds the ladders before it.
 * -ENOMEM. */
int ladder_check(struct conf *c, struct conf_ladder *l, const struct node *n, struct errors *e);

#endif
