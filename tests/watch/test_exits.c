/* watch/bpf_exits on the running kernel: calls and opens that share one program, and who takes the place of another. */
#include "tests/watch/opens.h"

#include <sys/syscall.h>
#include <sys/wait.h>

#include "lib/util.h"
#include "watch/bpf_calls.h"

#define NAME "hf-exits-file"

struct fixture {
	struct bpf_exits exits;
	struct bpf_calls *calls;
	struct bpf_opens *opens;
	int32_t pid; /* whose calls are looked for */
	unsigned int n_opens, n_deletes, n_links, n_others;
};

static int open_opens(struct fixture *f, struct bpf_opens **ret, struct buf *err)
{
	static const struct bpf_opens_row row = { BPF_OPENS_FILE, NAME, sizeof(NAME) - 1,
						  BPF_OPEN_BIT(BPF_OPENS_CALL) };
	const struct bpf_opens_wants wants = { .rows = &row, .n = 1 };

	return bpf_opens_open(&f->exits, &wants, 0, ret, err);
}

static int setup(void **state)
{
	_cleanup_free_ bool *wanted = calloc(call_count, sizeof(*wanted));
	const struct bpf_calls_wants wants = { .calls = wanted };
	struct fixture *f = calloc(1, sizeof(*f));
	_cleanup_buf_ struct buf err = BUF_INIT;

	assert_true(f && wanted);
	*state = f;
	/* Opens too, which are nothing to these. */
	for (size_t i = 0; i < call_count; i++)
		wanted[i] = streq(call_table[i].name, "delete_module") || streq(call_table[i].name, "symlinkat") ||
			    call_table[i].filter == CALL_OPEN;
	if (are_loaded(bpf_calls_open(&f->exits, &wants, 0, &f->calls, &err), &err))
		are_loaded(open_opens(f, &f->opens, &err), &err);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	bpf_opens_close(f->opens);
	bpf_calls_close(f->calls);
	assert_null(f->exits.skeleton);
	free(f);
	return 0;
}

#define NEED_BOTH(f)                                                                                                   \
	do {                                                                                                           \
		if (!(f)->opens)                                                                                       \
			skip();                                                                                        \
	} while (0)

static void on_open(const struct bpf_open_event *e, void *data)
{
	struct fixture *f = data;

	f->n_opens += e->tgid == f->pid && streq(strrchr(e->open.written, '/'), "/" NAME);
}

static void on_call(const struct bpf_call_event *e, void *data)
{
	struct fixture *f = data;
	bool link = streq(e->info->name, "symlinkat"), del = streq(e->info->name, "delete_module");

	if (e->tgid != f->pid)
		return;
	f->n_links += link;
	f->n_deletes += del;
	f->n_others += !link && !del;
}

/* What a child's calls left in the rings: they are there before it goes on. */
static unsigned int opens_of(struct fixture *f, struct bpf_opens *b)
{
	f->n_opens = 0;
	while (bpf_opens_take(b, 100, on_open, f) > 0)
		;
	return f->n_opens;
}

static void read_calls(struct fixture *f)
{
	f->n_links = f->n_deletes = f->n_others = 0;
	while (bpf_calls_take(f->calls, 100, on_call, f) > 0)
		;
}

static void child(struct fixture *f, void (*act)(void))
{
	int status;

	f->pid = fork();
	if (f->pid == 0) {
		act();
		_exit(0);
	}
	assert_int_equal(waitpid(f->pid, &status, 0), f->pid);
	assert_int_equal(status, 0);
}

static void act_open(void)
{
	syscall(SYS_openat, AT_FDCWD, NAME, O_RDONLY);
}

static void act_both(void)
{
	act_open();
	syscall(SYS_delete_module, NAME, O_NONBLOCK);
	act_open();
}

static void test_both(void **state)
{
	struct fixture *f = *state;

	NEED_BOTH(f);
	child(f, act_both);
	read_calls(f);
	assert_int_equal(f->n_deletes, 1);
	assert_int_equal(f->n_links + f->n_others, 0);
	assert_int_equal(opens_of(f, f->opens), 2);
	f->pid = getpid();
	act_both();
	read_calls(f);
	assert_int_equal(f->n_deletes + opens_of(f, f->opens), 0);
}

#if defined(__x86_64__)
/* Of 32-bit programs it is symlinkat, of others open_by_handle_at. */
#define SHARED_NUMBER 304
_Static_assert(SYS_open_by_handle_at == SHARED_NUMBER, "it is");

static void act_shared(void)
{
	long r = SHARED_NUMBER;

	__asm__ volatile("int $0x80" : "+a"(r) : "b"(0), "c"(-1), "d"(0) : "r8", "r9", "r10", "r11", "memory");
	syscall(SHARED_NUMBER, -1, NULL, O_RDONLY);
	if (r == -ENOSYS)
		_exit(77);
}

static void test_shared_number(void **state)
{
	struct fixture *f = *state;
	int status;

	NEED_BOTH(f);
	f->pid = fork();
	if (f->pid == 0) {
		act_shared();
		_exit(0);
	}
	assert_int_equal(waitpid(f->pid, &status, 0), f->pid);
	if (status) {
		print_message("skipped: the kernel takes no calls of 32-bit programs\n");
		skip();
	}
	read_calls(f);
	assert_int_equal(f->n_links, 1);
	assert_int_equal(f->n_deletes + f->n_others, 0);
}
#endif

/* Each open is told by one of them, and what the first was told is there when it has lost its place. */
static void test_replaced(void **state)
{
	struct fixture *f = *state;
	struct bpf_opens *next = NULL;
	_cleanup_buf_ struct buf err = BUF_INIT;

	NEED_BOTH(f);
	child(f, act_open);
	assert_int_equal(open_opens(f, &next, &err), 0);
	assert_int_equal(opens_of(f, f->opens), 1);
	child(f, act_open);
	assert_int_equal(opens_of(f, f->opens), 0);
	assert_int_equal(opens_of(f, next), 1);
	bpf_opens_close(f->opens);
	f->opens = next;
	child(f, act_both);
	assert_int_equal(opens_of(f, next), 2);
	assert_int_equal(bpf_opens_lost(next), 0);
}

/* One ends, the other goes on. */
static void test_left(void **state)
{
	struct fixture *f = *state;
	_cleanup_buf_ struct buf err = BUF_INIT;

	NEED_BOTH(f);
	bpf_opens_close(TAKE_PTR(f->opens));
	child(f, act_both);
	read_calls(f);
	assert_int_equal(f->n_deletes, 1);
	assert_int_equal(open_opens(f, &f->opens, &err), 0);
	bpf_calls_close(TAKE_PTR(f->calls));
	child(f, act_both);
	assert_int_equal(opens_of(f, f->opens), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_both, setup, teardown),
#if defined(__x86_64__)
		cmocka_unit_test_setup_teardown(test_shared_number, setup, teardown),
#endif
		cmocka_unit_test_setup_teardown(test_replaced, setup, teardown),
		cmocka_unit_test_setup_teardown(test_left, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
