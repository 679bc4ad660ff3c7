/* How alerts look outside: Falco's JSON, Elastic Common Schema, a line for people. No state; any thread. */
#ifndef ALERT_FORMAT_H
#define ALERT_FORMAT_H

#include "alert/alert.h"
#include "conf/conf.h"

/* One line, without the newline. */
void alert_format(struct buf *b, const struct alert *a, enum conf_format format, const char *host);
/* "12:00:00.123456789: Warning " and the output, as Falco writes it. */
void alert_message(struct buf *b, const struct alert *a);

#endif
