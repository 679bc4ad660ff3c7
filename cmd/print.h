/*
 * Output of the commands: stdout through a buffer, aligned tables, colour, JSON lines. Whatever comes from outside the
 * program (names, paths, texts of others) goes through out_text, table_cell or out_json, which let no control byte
 * pass.
 */
#ifndef CMD_PRINT_H
#define CMD_PRINT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/arena.h"
#include "lib/buf.h"

enum colour { COLOUR_NONE, COLOUR_BOLD, COLOUR_DIM, COLOUR_RED, COLOUR_GREEN, COLOUR_YELLOW, COLOUR_BLUE };

struct out {
	int fd;
	bool terminal;
	bool colour;
	int error; /* errno of the first failed write; nothing is written after it */
	struct buf buf;
};

void out_init(struct out *o, int fd);
/* Trusted format; arguments that come from outside are escaped first. */
void out_printf(struct out *o, const char *fmt, ...) _printf_(2, 3);
void out_str(struct out *o, const char *s);
void out_text(struct out *o, const char *s);
/* What is escaped already. */
void out_sanitized(struct out *o, const char *s);
void out_colour(struct out *o, enum colour c);
/* One object a line. Takes over the reference; NULL (out of memory) is an error. */
void out_json(struct out *o, json_t *j);
/* Writes what is buffered. A reader that went away (EPIPE) is no failure, just the end of output. */
void out_flush(struct out *o);
/* Flushes and frees; 0, or EX_IOERR with a message when output was lost (a full disk). */
int out_finish(struct out *o);

/*
 * --- tables: cells row by row, printed aligned. Rows are kept in memory: the caller bounds them. Without titles, a row
 * that has only its first cell is a line of its own and makes no column wider.
 */

struct table {
	struct arena arena;
	const char *const *titles; /* NULL: no heading */
	size_t columns;
	size_t right; /* bit n: column n is aligned to the right */
	const char **cells;
	enum colour *colours;
	size_t n, cap;
	bool failed;
};

#define TABLE_INIT                                                                                                     \
	{                                                                                                              \
		.n = 0                                                                                                 \
	}
void table_init(struct table *t, const char *const *titles, size_t columns, size_t right);
/* Escapes. NULL is an empty cell. */
void table_cell(struct table *t, const char *s);
void table_cell_colour(struct table *t, const char *s, enum colour c);
void table_printf(struct table *t, const char *fmt, ...) _printf_(2, 3);
void table_print(struct table *t, struct out *o, const char *indent);
void table_free(struct table *t);
#define _cleanup_table_ __attribute__((cleanup(table_free)))

/* Columns a terminal needs for s (UTF-8 that is printable). */
size_t print_width(const char *s);

#endif
