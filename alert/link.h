/* The name that a new hard link was made of: among those of the sensitive files, which rules ask for. */
#ifndef ALERT_LINK_H
#define ALERT_LINK_H

#include "conf/conf.h"
#include "event/event.h"

#define LINK_LOOKS_MAX 1024 /* files looked at for one link */

/* Another path of the inode that e says was linked, in the container whose file it is; copied to a. NULL: none of them.
 * Thread "alert". */
const char *link_source(const struct conf *conf, const struct event *e, struct arena *a);

#endif
