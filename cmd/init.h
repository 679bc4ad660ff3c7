/* Of cmd/init.c, which takes the baseline, and cmd/init_summary.c, which tells of it, alone. */
#ifndef CMD_INIT_H
#define CMD_INIT_H

#include "cmd/command.h"
#include "cmd/report.h"
#include "db/baseline.h"

struct init_options {
	const char *root, *digest, *image, *platform;
	bool replace;
	uint64_t threads;
};

struct init {
	struct cmd *c;
	const struct init_options *o;
	const char *name;
	enum baseline_kind kind;
	char *root;
	struct arena arena;
	struct scope scope;
	enum digest_algo algo;
	struct gap_list gaps;
	struct baseline_info info; /* of what was taken */
	uint64_t folders, took;
	size_t kept; /* files whose content is kept */
	/* Files without a digest: why, and the first of them. */
	struct unread {
		unsigned reason;
		uint64_t n;
	} unread[64];
	size_t n_unread;
	struct table unread_names;
};

/*
 * What the store has of baseline id: info and folders, and with entries what was not read and why. Negative errno, then
 * the store says why.
 */
int init_look(struct init *k, struct db *d, int64_t id, bool entries);

/* As text or JSON, on standard output. */
void init_summary(struct init *k);

#endif
