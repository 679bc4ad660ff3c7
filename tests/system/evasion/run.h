/* What the parts of the driver share: the matrix itself. */
#ifndef TESTS_SYSTEM_EVASION_RUN_H
#define TESTS_SYSTEM_EVASION_RUN_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "tests/system/evasion/evasion.h"

#define FILE_SYSTEMS 5
#define ATTACKS_MAX  160
#define PEERS_MAX    8

struct cell {
	bool tried, ended;
	int error; /* why it could not be done; 0: it was */
	pid_t pid;
	int status;
	uint64_t done_ns;
	_Atomic uint64_t told_ns; /* 0: not yet */
	_Atomic bool author, wrong_author;
	bool ran;      /* the program had its first instructions */
	int result_fd; /* of the child, struct result */
	int out_fd;    /* what a started program writes to */
	bool at_check, at_full;
	unsigned peers; /* bits: who saw or stopped it */
	enum outcome outcome;
};

struct row {
	struct attack attack;
	enum kind kind;
	const struct op_case *op;
	char slug[64];
	struct cell cells[FILE_SYSTEMS];
};

struct matrix {
	struct row rows[ATTACKS_MAX];
	size_t n;
	bool here[FILE_SYSTEMS];
	char device[FILE_SYSTEMS][32];
	const char *peers[PEERS_MAX];
	enum peer_kind { PEER_OF_FILES, PEER_OF_STARTS, PEER_OF_ALL } peer_kinds[PEERS_MAX];
	size_t peer_count;
	pid_t pids_kept[ATTACKS_MAX * FILE_SYSTEMS];
	size_t kept;
};

extern const char *const fs_names[FILE_SYSTEMS];

/* The row and file system whose folder is named first in the text at or after start. NULL: none */
struct row *matrix_named(struct matrix *m, const char *text, size_t *ret_fs);

/* told.c: a thread that follows the monitor's output and marks what it tells. */
int told_start(struct matrix *m, const char *path);
void told_stop(void);
/* Marks what a command, or a file, names. what: 0 check, 1 check --full, else the peer's number plus 2. */
int told_command(struct matrix *m, const char *command, unsigned what);
int told_file(struct matrix *m, const char *path, unsigned what);

/* table.c */
enum outcome promised(const struct row *r, size_t fs);
/* Decides, prints; how many are worse than promised. tsv may be NULL. */
unsigned table_print(struct matrix *m, FILE *tsv);

#endif
