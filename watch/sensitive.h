/* Finding what exists of the sensitive paths. */
#ifndef WATCH_SENSITIVE_H
#define WATCH_SENSITIVE_H

#include <stdbool.h>

#include "conf/conf.h"
#include "watch/mounts.h"

#define SENSITIVE_MAX 65536 /* entries looked at in one go */

/*
 * Calls fn for each existing file and folder that is sensitive (folders below a sensitive one too), at or below `under`
 * ("/" for all). Remote and pseudo file systems are not entered, symlinks not followed. -E2BIG when SENSITIVE_MAX was
 * reached.
 */
int sensitive_each(const struct conf *conf, const struct mount_table *mounts, const char *under,
		   void (*fn)(const char *path, bool is_dir, void *data), void *data);

#endif
