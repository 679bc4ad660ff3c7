/*
 * What is known of a folder before any of its entries is looked at: its path and what the configuration says of it, so
 * that an event in a folder that nothing guards costs one look-up.
 */
#ifndef WATCH_PLACE_H
#define WATCH_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/conf.h"

struct place {
	const char *path; /* host path of the folder */
	uint32_t len;
	uint8_t self;	/* enum scope_answer of the folder itself */
	bool ask;	/* not guarded, but something in it may be: each entry is to be asked for */
	bool sensitive; /* an entry of it may be sensitive */
	bool covered;	/* all entries are sensitive: the folder's own mark sees their opens */
	bool own;	/* the daemon's own state folder, or in it */
	attr_mask mask;
};

/* Borrows path. state_dir may be NULL. */
void place_init(struct place *p, const struct conf *conf, const char *state_dir, const char *path, size_t len);
/* Scope of the entry `name`; full is its whole path. name NULL: of the folder itself. */
enum scope_answer place_answer(const struct place *p, const struct scope *scope, const char *name, const char *full);
/* path is dir, or lies below it. */
bool place_is_below(const char *dir, const char *path);
/* A name that editors and package managers use for files in the making. */
bool place_is_temporary(const char *path);
/* Length of the part of a glob before its first component with a wildcard, without the trailing slash ("/home" of
 * "/home/x*"). */
size_t place_literal_prefix(const char *pattern);

#endif
