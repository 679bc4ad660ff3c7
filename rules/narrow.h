/* The narrowest exception that keeps a rule from matching an event, in the rules' own language. */
#ifndef RULES_NARROW_H
#define RULES_NARROW_H

#include "event/field.h"
#include "lib/buf.h"

/*
 * Appends the items of `exceptions:` for v's event: which file, by which program of which parent, as which user, in
 * which container, as far as that is known. Every line is indented by two blanks; values may be any bytes. name: a
 * word. -ENODATA: nothing of it is known; -ENOMEM.
 */
int narrow_exception(struct field_view *v, const char *name, struct buf *b);

/* A rule file that gives an existing rule these exceptions. */
void narrow_override(const char *rule, const char *exceptions, struct buf *b);
/* A rule file of one rule that matches every event but those. */
void narrow_probe(const char *exceptions, struct buf *b);

/* A scalar of YAML that the rules' language reads as these bytes. */
void narrow_scalar(struct buf *b, const char *s, size_t len);

#endif
