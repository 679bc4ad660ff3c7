/*
 * init and check of real trees with a real store: a folder that stands for "/", and what was reported as sorted lines.
 */
#ifndef TESTS_FIM_SCAN_RIG_H
#define TESTS_FIM_SCAN_RIG_H

#include "tests/fim/tree.h"

#include "event/attr.h"
#include "fim/baseline.h"

struct fixture {
	struct tree tree; /* stands for "/" */
	struct tree store;
	char db_path[128], key_path[128];
	struct db_options db_options;
	struct db *db;
	struct sign_key *key;
	struct arena arena;
	struct scope scope;
	struct scan_progress progress;
	int64_t id;
	char *lines[1000]; /* what was reported, sorted */
	size_t n;
	struct fim_common common;
};

int setup(void **state);
int teardown(void **state);
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

void guard(struct fixture *f, const char *path, const char *attributes);
/* The baseline "test", f->id, in place of the one that is there. */
int init(struct fixture *f, struct buf *err);
void init_ok(struct fixture *f);
int check_only(struct fixture *f, bool full, const char *const *only, size_t n_only, struct buf *err);
void check_ok(struct fixture *f, bool full);
void check_path(struct fixture *f, const char *path);
/* For scans of one's own: adds a line. */
int on_difference(void *data, const struct scan_difference *d);
int on_gap(void *data, enum gap_reason reason, const char *path, const char *detail);

/* For baseline_each: the files of the last one. */
int count_entry(const struct baseline_info *info, void *data);
uint64_t baseline_files(struct fixture *f);
bool stored(struct fixture *f, const char *path, struct record *ret);
/* /etc/{a,b,link,sub/c} and /opt/x: ten bytes or less each. */
void small_tree(struct fixture *f);

void assert_lines(const struct fixture *f, const char *const *want, size_t n);
#define LINES(f, ...)                                                                                                  \
	do {                                                                                                           \
		const char *const want_[] = { __VA_ARGS__ };                                                           \
		assert_lines(f, want_, ARRAY_SIZE(want_));                                                             \
	} while (0)

/* In a forked child, that must not run into an assertion: 1 is its verdict. */
#define EXPECT(ok)                                                                                                     \
	do {                                                                                                           \
		if (!(ok)) {                                                                                           \
			print_error("line %d: %s\n", __LINE__, #ok);                                                   \
			for (size_t k_ = 0; k_ < f->n; k_++)                                                           \
				print_error("  %s\n", f->lines[k_]);                                                   \
			return 1;                                                                                      \
		}                                                                                                      \
	} while (0)

#endif
