/* The name that a new hard link was made of: among those of the sensitive files, which rules ask for. */
#ifndef ALERT_LINK_H
#define ALERT_LINK_H

#include "conf/conf.h"

#define LINK_LOOKS_MAX 1024 /* files looked at for one link */

/* A path of the inode other than `not`; copied to a. NULL: none of them. Thread "alert". */
const char *link_source(const struct conf *conf, uint64_t dev, uint64_t ino, const char * not, struct arena *a);

#endif
