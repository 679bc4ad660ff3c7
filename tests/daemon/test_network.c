/* Policies of the network in the monitor: which are in force, and the gaps for what is not (daemon/network.c). */
#include "tests/watch/policy.h"

#include <stdlib.h>

#include "daemon/monitor.h"

struct fixture {
	struct monitor m;
	struct conf *off, *on, *other; /* configurations */
};

static void on_gap(struct event *e, void *data _unused_)
{
	event_unref(e);
}

static int setup(void **state)
{
	const struct containers_options o = { .root = "/", .procfs = "/proc" };
	struct fixture *f = calloc(1, sizeof(*f));

	f->off = parse("sensors: {bpf: off}");
	f->on = parse("network: {mode: enforce, policies: [{user: 64123, deny: '127.66.0.31'}]}");
	f->other = parse("network: {mode: observe, policies: [{user: 64123, deny: any}, {user: 64124, deny: any}]}");
	pthread_mutex_init(&f->m.network_lock, NULL);
	assert_int_equal(gapbook_new(on_gap, NULL, &f->m.gaps), 0);
	assert_int_equal(containers_new(&o, &f->m.containers), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	network_stop(&f->m);
	containers_free(f->m.containers);
	gapbook_free(f->m.gaps);
	pthread_mutex_destroy(&f->m.network_lock);
	conf_unref(f->off);
	conf_unref(f->on);
	conf_unref(f->other);
	free(f);
	return 0;
}

static void rescan(struct fixture *f)
{
	gapbook_round_end(f->m.gaps, gapbook_round_begin(f->m.gaps));
}

/* It is one for as long as policies are asked for, whoever looks over the files meanwhile. */
static void test_no_bpf(void **state)
{
	struct fixture *f = *state;
	uint64_t key[2];

	f->m.conf = f->off;
	network_rules(&f->m, f->on);
	assert_null(f->m.network);
	assert_int_equal(gapbook_keys(f->m.gaps, GAP_WEAK_SENSOR, "network policies", key, 2), 1);
	rescan(f);
	network_rules(&f->m, f->other);
	assert_int_equal(gapbook_count(f->m.gaps), 1);
	rescan(f);
	assert_int_equal(gapbook_count(f->m.gaps), 1);
	network_rules(&f->m, f->off);
	assert_int_equal(gapbook_count(f->m.gaps), 0);
}

static void expect_status(struct fixture *f, const char *mode, json_int_t policies, json_int_t table)
{
	json_t *o = network_status(&f->m);

	assert_string_equal(json_string_value(json_object_get(o, "mode")), mode);
	assert_int_equal(json_integer_value(json_object_get(o, "policies")), policies);
	assert_int_equal(json_integer_value(json_object_get(o, "table")), table);
	json_decref(o);
}

/* The newest configuration is in force, and a gap of the time before is over. */
static void test_in_force(void **state)
{
	struct fixture *f = *state;

	f->m.conf = f->on;
	gapbook_open(f->m.gaps, GAP_LIMIT, "network policies", "they could not be put in force", 0, 0);
	network_rules(&f->m, f->on);
	if (!f->m.network) {
		print_message("skipped: no policies of the network here\n");
		skip();
	}
	expect_status(f, "enforce", 1, 1);
	network_rules(&f->m, f->other);
	expect_status(f, "observe", 2, 2);
	assert_int_equal(gapbook_count(f->m.gaps), 0);
	network_rules(&f->m, f->off);
	assert_null(f->m.network);
	assert_int_equal(gapbook_count(f->m.gaps), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_no_bpf, setup, teardown),
		cmocka_unit_test_setup_teardown(test_in_force, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
