/*
 * The schema: one row for each configuration key. Inside conf/ only; others read struct conf and conf_describe.
 */
#ifndef CONF_SCHEMA_H
#define CONF_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/arena.h"
#include "lib/buf.h"

enum conf_type {
	/* One scalar; parsed by conf_types[].parse. */
	CONF_COUNT,
	CONF_SIZE,
	CONF_DURATION,
	CONF_WORD,
	CONF_WORDS,   /* one of the words, or a list of them, each once */
	CONF_FILE,    /* absolute path of one file; max: its length */
	CONF_PATTERN, /* absolute path or glob */
	CONF_HEX,     /* bytes of an absolute path */
	CONF_TEXT,    /* printable text; max: its length */
	CONF_TEXTS,   /* a text or a list of them */
	CONF_FILES,   /* a path, or a list of them; each may be a glob */
	/* Lists; loaded by conf/load.c. */
	CONF_PATHS,
	CONF_EXCLUDE,
	CONF_SENSITIVE,
	CONF_ATTRIBUTES,
	CONF_OUTPUTS,
	CONF_LADDERS,
	CONF_POLICIES,
	CONF_NETWORK,
	/* A key of a later version: an error that says so. */
	CONF_RESERVED,
	CONF_TYPE_COUNT
};

struct conf_key {
	const char *key; /* dotted; "paths[].path" is a key of an item of the list `paths` */
	enum conf_type type;
	size_t offset; /* in struct conf, or in struct conf_item, conf_output or conf_ladder for the keys of items */
	const char *preset; /* the default as written in a file; NULL: none */
	const char *beside; /* CONF_FILE without preset: the default is this name in the folder of store.path */
	uint64_t min, max;
	const char *const *words; /* CONF_WORD: in the order of the enumeration, NULL at the end */
	const char *help;
};

struct conf_type_info {
	const char *name; /* "duration" */
	const char *what; /* "a duration such as 200ms, 10s or 90d" */
	/* Reads text into field; what lives on goes to a. 0, -ENOMEM, or -EINVAL with the reason appended to why. */
	int (*parse)(struct arena *a, const struct conf_key *k, const char *text, void *field, struct buf *why);
};

/* An item of `paths` or `sensitive` while it is read. */
struct conf_item {
	const char *path;
	const char *path_hex;
	uint32_t attributes;
};

#define CONF_KEYS_MAX 128

extern const struct conf_key conf_schema[];
extern const size_t conf_schema_count;
extern const struct conf_type_info conf_types[CONF_TYPE_COUNT];

/* Sets the defaults of the keys of an item ("outputs[].") in the struct that their offsets speak of. -ENOMEM. */
int conf_schema_preset(struct arena *a, const char *prefix, void *item);

/*
 * The first row of the key `name` in the group `prefix` ("", "store.", "paths[]."), NULL when there is none;
 * *ret_group: it is not a key itself but the name of a group.
 */
const struct conf_key *conf_schema_find(const char *prefix, const char *name, bool *ret_group);
/* The name in the group `prefix` nearest to `name`; copied to ret; false when none is near. */
bool conf_schema_nearest(const char *prefix, const char *name, char ret[64]);

#endif
