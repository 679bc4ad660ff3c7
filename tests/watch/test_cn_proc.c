/* watch/connector: what the kernel's messages say, and messages that lie. */
#include "tests/test.h"

#include <errno.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>
#include <string.h>

#include "watch/connector.h"

/* struct cn_msg without its open end. */
struct cn_header {
	struct cb_id id;
	uint32_t seq, ack;
	uint16_t len, flags;
};

struct __attribute__((packed)) wire {
	struct nlmsghdr h;
	struct cn_header cn;
	struct proc_event ev;
};

static struct wire make_wire(uint32_t what)
{
	struct wire w;

	memset(&w, 0, sizeof(w));
	w.h = (struct nlmsghdr){ .nlmsg_len = sizeof(w), .nlmsg_type = NLMSG_DONE };
	w.cn = (struct cn_header){ .id = { CN_IDX_PROC, CN_VAL_PROC }, .len = sizeof(w.ev), .seq = 7 };
	w.ev.what = what;
	w.ev.cpu = 3;
	w.ev.timestamp_ns = 12345678901ULL;
	return w;
}

static int decode(const void *data, size_t len, struct connector_msg *ret)
{
	size_t pos = 0;

	return connector_decode(data, len, &pos, ret);
}

static void test_decode(void **state)
{
	struct wire w = make_wire(PROC_EVENT_FORK), two[2];
	struct connector_msg m;
	size_t pos = 0;

	(void)state;
	w.ev.event_data.fork.parent_tgid = 1;
	w.ev.event_data.fork.child_pid = 3;
	w.ev.event_data.fork.child_tgid = 2;
	assert_int_equal(decode(&w, sizeof(w), &m), 1);
	assert_int_equal(m.what, PROC_EVENT_FORK);
	assert_int_equal(m.tid, 3);
	assert_int_equal(m.tgid, 2);
	assert_int_equal(m.parent_tgid, 1);
	assert_int_equal(m.seq, 7);
	assert_int_equal(m.cpu, 3);
	assert_true(m.sequenced);
	assert_int_equal(m.mono_ns, 12345678901ULL);
	for (size_t len = 0; len < sizeof(w); len++)
		assert_int_equal(decode(&w, len, &m), 0);
	two[0] = two[1] = w;
	two[1].ev.what = PROC_EVENT_EXIT;
	two[1].ev.cpu = UINT32_MAX;
	two[1].ev.event_data.exit.process_tgid = 9;
	assert_int_equal(connector_decode(two, sizeof(two), &pos, &m), 1);
	assert_int_equal(connector_decode(two, sizeof(two), &pos, &m), 1);
	assert_int_equal(m.tgid, 9);
	assert_false(m.sequenced);
	assert_int_equal(connector_decode(two, sizeof(two), &pos, &m), 0);
	w = make_wire(PROC_EVENT_UID);
	w.ev.event_data.id.r.ruid = 5;
	w.ev.event_data.id.e.euid = 6;
	assert_int_equal(decode(&w, sizeof(w), &m), 1);
	assert_int_equal(m.real, 5);
	assert_int_equal(m.effective, 6);
	w = make_wire(PROC_EVENT_NONE);
	w.ev.event_data.ack.err = EPERM;
	assert_int_equal(decode(&w, sizeof(w), &m), 1);
	assert_int_equal(m.err, EPERM);
	w.cn.id.idx = 9;
	assert_int_equal(decode(&w, sizeof(w), &m), 0);
	w = make_wire(PROC_EVENT_EXEC);
	w.cn.len = sizeof(w.ev) + 1;
	assert_int_equal(decode(&w, sizeof(w), &m), 0);
	w = make_wire(PROC_EVENT_EXEC);
	w.h.nlmsg_len = sizeof(w) + 1;
	assert_int_equal(decode(&w, sizeof(w), &m), 0);
	w.h.nlmsg_len = 3;
	assert_int_equal(decode(&w, sizeof(w), &m), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_decode) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
