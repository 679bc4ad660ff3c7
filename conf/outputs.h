/* Items of `outputs` while they are read. Inside conf/ only. */
#ifndef CONF_OUTPUTS_H
#define CONF_OUTPUTS_H

#include "conf/conf.h"
#include "conf/errors.h"
#include "conf/node.h"

/* Adds what is missing in o, read from n, to e; names it. c holds those before it. -ENOMEM. */
int output_check(struct conf *c, struct conf_output *o, const struct node *n, struct errors *e);

#endif
