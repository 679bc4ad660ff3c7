/*
 * utmp, wtmp and btmp (utmp(5)): who is logged in, who came and went, who was refused. Read when they change; of wtmp
 * and btmp just what was appended. Records are of the C library's form; anything may stand in them.
 */
#ifndef WATCH_UTMP_H
#define WATCH_UTMP_H

#include <stddef.h>

#include "lib/cleanup.h"
#include "watch/sessions.h"

#define UTMP_RECORDS_MAX 65536 /* read at once; of utmp in all */
#define UTMP_LINES_MAX	 1024  /* terminals of which is remembered who is on them */

enum utmp_kind { UTMP_NOW, UTMP_LOG, UTMP_FAILED }; /* utmp, wtmp, btmp */

struct utmp_file;

/*
 * What it is goes by its name: btmp..., utmp..., anything else is a log as wtmp. The file need not be there. since:
 * real ns; what a log says to have happened then or later is told by the first read (found), 0: nothing of before.
 */
int utmp_open(const char *path, uint64_t since, struct utmp_file **ret);
void utmp_close(struct utmp_file *u);
const char *utmp_path(const struct utmp_file *u);
enum utmp_kind utmp_kind(const struct utmp_file *u);
/*
 * Reads what is new, and calls fn for each. A file that was replaced or cut is read from its beginning. 0; the number
 * of records that were passed over for being too many (of utmp: as long as they stand there); -ENOENT; a negative
 * errno.
 */
int utmp_read(struct utmp_file *u, void (*fn)(const struct session_note *n, void *data), void *data);

DEFINE_CLEANUP(struct utmp_file *, utmp_close)

#endif
