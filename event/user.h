/*
 * Account names by reading /etc/passwd itself: no NSS, so no network, no modules, no surprise in a daemon. Names of
 * other sources (LDAP, systemd) are unknown here.
 */
#ifndef EVENT_USER_H
#define EVENT_USER_H

#include <stddef.h>
#include <stdint.h>

#include "lib/cleanup.h"

/*
 * Account name, NULL when unknown. Looks at most once a second whether /etc/passwd is another file now. Thread-safe,
 * borrowed for good. Not for threads that answer permission events.
 */
const char *user_name(uint32_t uid);
/* The same as text, cut where it does not fit: the name, or the number where it is unknown. */
void user_text(uint32_t uid, char *ret, size_t size);

/* The same over any file in the format of passwd(5). Names are borrowed until user_table_free. */
struct user_table;
int user_table_new(const char *path, uint64_t interval_ns, struct user_table **ret);
void user_table_free(struct user_table *t);
const char *user_table_name(struct user_table *t, uint32_t uid);

DEFINE_CLEANUP(struct user_table *, user_table_free)

#endif
