/*
 * Rule files as text, and the places in them that errors name. A condition may be put together from pieces of several
 * files (append): each piece knows where it came from.
 */
#ifndef RULES_SOURCE_H
#define RULES_SOURCE_H

#include <stdint.h>

#include "conf/errors.h"
#include "conf/node.h"
#include "lib/arena.h"

struct rules_file {
	const char *name;
	const char *text;
	size_t len;
	struct errors messages;
	size_t n_errors, n_warnings;
	struct rules_file *next;
};

/* A piece of a text: from offset on it is the scalar node of file. */
struct source_piece {
	size_t offset;
	struct rules_file *file;
	const struct node *node;
	struct source_piece *next;
};

struct source {
	const char *text;
	size_t len;
	struct source_piece *pieces, *last;
};

enum severity { SEVERITY_ERROR, SEVERITY_WARNING };

/* A message at a node. Text is taken as safe. */
void file_say(struct rules_file *f, enum severity severity, const struct node *n, const char *fmt, ...) _printf_(4, 5);
/* A message at a byte of a source. */
void source_say(const struct source *s, size_t at, enum severity severity, const char *fmt, ...) _printf_(4, 5);
/* s and a blank and the node's text; *s may be empty. -ENOMEM, -E2BIG beyond SOURCE_MAX. */
int source_append(struct arena *a, struct source *s, struct rules_file *f, const struct node *n);

#define SOURCE_MAX (256 * 1024)

/* Bytes for a message: escaped, cut at 60. */
#define SHOWN_MAX 256
const char *source_show(char ret[SHOWN_MAX], const char *s, size_t len);

#endif
