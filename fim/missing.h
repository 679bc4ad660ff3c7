/*
 * Reports configured paths that do not exist.
 */
#ifndef FIM_MISSING_H
#define FIM_MISSING_H

#include "fim/skip.h"
#include "fim/walk.h"

/* GAP_NO_PATH for each through o->gap; a non-zero value of that is returned. */
int missing_report(const struct walk_options *o, const struct skips *skips);

#endif
