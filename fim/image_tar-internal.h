/* What the files of the tar reader share. Nothing outside fim/image_tar*.c includes this. */
#ifndef FIM_IMAGE_TAR_INTERNAL_H
#define FIM_IMAGE_TAR_INTERNAL_H

#include "fim/image_tar.h"

#define TAR_XATTRS_MAX 1024 /* of one file */

struct pair {
	const uint8_t *name, *value; /* into pax */
	size_t name_len, value_len;
	size_t order;
};

struct tar_reader {
	struct tar_input in;
	struct buf *err;
	const uint8_t *p; /* of the current piece: what is left */
	size_t left;
	uint64_t offset;		 /* of p in the archive */
	uint64_t content;		 /* bytes of the current entry not yet read */
	uint32_t padding;		 /* behind them */
	struct buf path, link;		 /* of the entry */
	struct buf long_path, long_link; /* GNU */
	struct buf pax;			 /* whole header */
	struct buf xattrs;		 /* canonical */
	bool has_path, has_link;	 /* from PAX */
	bool has_size, has_uid, has_gid, has_mtime;
	uint64_t size, uid, gid;
	int64_t mtime;
	struct pair pairs[TAR_XATTRS_MAX];
	size_t n_pairs;
};

/* -EBADMSG, with where and what. */
int tar_malformed(struct tar_reader *t, const char *what);

/* --- image_tar_pax.c */
/* What the header in t->pax says: "LEN KEY=VALUE\n", LEN counting all of it. */
int tar_parse_pax(struct tar_reader *t);
/* The extended attributes that headers gave, sorted by name; of two of one name the later one. Borrowed from t. */
int tar_set_xattrs(struct tar_reader *t, struct record *rec);

#endif
