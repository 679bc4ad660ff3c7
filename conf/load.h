/* Nodes to configuration. Inside conf/ only. */
#ifndef CONF_LOAD_H
#define CONF_LOAD_H

#include "conf/conf.h"
#include "conf/errors.h"
#include "conf/node.h"

/* Sets the fields of c, that has the defaults, from the document (NULL: empty). 0, -EINVAL with errors added, -ENOMEM.
 */
int conf_load_nodes(struct conf *c, const struct node *root, struct errors *e);

#endif
