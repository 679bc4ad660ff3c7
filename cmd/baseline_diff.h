/* What differs between two baselines, reported as check reports. */
#ifndef CMD_BASELINE_DIFF_H
#define CMD_BASELINE_DIFF_H

#include "cmd/command.h"

/* Exit status as of check. */
int baseline_diff(struct cmd *c, struct db *d, const struct baseline_info *a, const struct baseline_info *b);

#endif
