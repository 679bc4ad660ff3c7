/* What the files of `holdfast explain` share. */
#ifndef CMD_EXPLAIN_H
#define CMD_EXPLAIN_H

#include "cmd/command.h"

/* Why the alert of that number was raised, and what would keep it from being raised again. Exit status. */
int explain_alert(struct cmd *c, int64_t id);

#endif
