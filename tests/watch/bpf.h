/* What the tests of watch/bpf share: the programs, loaded, and a folder of their own. */
#ifndef TESTS_WATCH_BPF_H
#define TESTS_WATCH_BPF_H

#include "tests/watch/loaded.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "watch/bpf.h"

extern char **environ;

struct fixture {
	struct bpf_procs *b;
	char dir[64], program[96];
	/* What is looked for, and what was found of it. */
	int32_t pid;
	unsigned int forks, execs, exits;
	struct arena arena;
	struct bpf_proc_event fork, exec;
};

static inline int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	_cleanup_buf_ struct buf err = BUF_INIT;

	*state = f;
	are_loaded(bpf_procs_open(0, &f->b, &err), &err);
	strcpy(f->dir, "/tmp/holdfast-bpf-XXXXXX");
	if (!mkdtemp(f->dir))
		return -1;
	snprintf(f->program, sizeof(f->program), "%s/program", f->dir);
	return 0;
}

static inline int teardown(void **state)
{
	struct fixture *f = *state;

	bpf_procs_close(f->b);
	unlink(f->program);
	rmdir(f->dir);
	arena_free(&f->arena);
	free(f);
	return 0;
}

#define NEED_BPF(f)                                                                                                    \
	do {                                                                                                           \
		if (!(f)->b)                                                                                           \
			skip();                                                                                        \
	} while (0)

#define ARGV(...) ((char *[]){ __VA_ARGS__, NULL })

static inline int copy_of(const char *path, int to)
{
	char block[65536];
	_cleanup_close_ int from = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	while ((n = read(from, block, sizeof(block))) > 0)
		if (write(to, block, (size_t)n) != n)
			return -1;
	return n < 0 ? -1 : 0;
}

#endif
