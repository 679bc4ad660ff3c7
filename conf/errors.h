/*
 * Configuration errors: collected with their place, written out in line order.
 */
#ifndef CONF_ERRORS_H
#define CONF_ERRORS_H

#include <stddef.h>
#include <stdint.h>

#include "lib/buf.h"
#include "lib/cleanup.h"
#include "lib/util.h"

#define ERRORS_MAX 1000 /* more are counted, not kept */

struct error;

struct errors {
	struct error *list;
	size_t n, cap;
	size_t lost; /* not kept: too many */
	int failed;  /* out of memory */
};

#define ERRORS_INIT                                                                                                    \
	{                                                                                                              \
		NULL, 0, 0, 0, 0                                                                                       \
	}

/* Lines and columns count from 1. Text is taken as safe: whoever quotes foreign bytes escapes them. */
void errors_add(struct errors *e, uint32_t line, uint32_t column, const char *fmt, ...) _printf_(4, 5);
/* True when there is something to write. */
int errors_any(const struct errors *e);
/* Appends "name:line:column: text\n" for each, by line and column, those of one place in the order they were found. */
void errors_write(struct errors *e, const char *name, struct buf *b);
void errors_free(struct errors *e);

#define _cleanup_errors_ _cleanup_(errors_free)

#endif
