/*
 * Policies of the network: what becomes of texts (watch/policy), and the running kernel's verdicts (watch/bpf_policy)
 * over children of users, programs and cgroups that no one else has.
 */
#include "tests/test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/io_uring.h>
#include <linux/magic.h>

#include "lib/clock.h"
#include "watch/bpf_policy.h"
#include "watch/policy_world.h"

#define DEADLINE_NS (60 * NSEC_PER_SEC)
#define USER	    64123 /* nobody's */

static struct conf *parse(const char *text)
{
	_cleanup_buf_ struct buf errors = BUF_INIT;
	struct conf *c = NULL;

	if (conf_parse("f", text, strlen(text), &c, &errors) != 0)
		fail_msg("refused: %s%s", text, errors.data);
	return c;
}

/* --- the table, asked as the kernel asks it */

static void address_of(const char *text, uint8_t ret[16])
{
	memset(ret, 0, 16);
	if (inet_pton(AF_INET6, text, ret) == 1)
		return;
	assert_int_equal(inet_pton(AF_INET, text, ret + 12), 1);
	memset(ret + 10, 0xff, 2);
}

static bool is_in(const struct policy_prefix *p, const uint8_t address[16])
{
	for (unsigned i = 0; i < p->len; i++)
		if ((p->address[i / 8] ^ address[i / 8]) & 0x80 >> i % 8)
			return false;
	return true;
}

static struct bpf_policy_bits destination(const struct policy_table *t, const char *to, uint16_t port, const char *name)
{
	const struct policy_prefix *best = NULL;
	struct bpf_policy_bits v;
	uint8_t address[16];

	address_of(to, address);
	for (size_t i = 0; i < t->n_prefixes; i++)
		if (is_in(&t->prefixes[i], address) && (!best || t->prefixes[i].len > best->len))
			best = &t->prefixes[i];
	v = best ? best->bits : t->set.any;
	for (const char *at = name; at; at = strchr(at, '.')) {
		at += at != name;
		for (size_t i = 0; i < t->n_domains; i++)
			if (t->domains[i].value[0] == policy_hash_domain(at, at != name))
				for (size_t w = 0; w < BPF_POLICY_WORDS; w++)
					v.w[w] |= t->domains[i].bits.w[w];
	}
	for (size_t w = 0; w < BPF_POLICY_WORDS; w++)
		v.w[w] &= t->set.ports[t->set.port_class[port]].w[w];
	return v;
}

/* The entry that decides, -1: none. */
static int ask(const struct policy_table *t, const struct bpf_policy_bits *who, const char *to, uint16_t port,
	       const char *name)
{
	struct bpf_policy_bits v = destination(t, to, port, name);

	for (unsigned i = 0; i < BPF_POLICY_ENTRIES; i++)
		if (v.w[i / 64] & who->w[i / 64] & (1ULL << i % 64))
			return (int)i;
	return -1;
}

static const char rich[] = "network:\n"
			   "  mode: enforce\n"
			   "  unknown: deny\n"
			   "  policies:\n"
			   "  - name: web\n"
			   "    image: docker.io/web*\n"
			   "    allow: ['10.1.0.0/16:443', '*.example.org:80-90', api.example.net, '[2001:db8::]:1']\n"
			   "    deny: [any]\n"
			   "  - namespace: prod\n"
			   "    deny: ['10.1.2.3', 'any:25']\n"
			   "  - name: all\n"
			   "    allow: '2001:db8::/32'\n"
			   "    deny: ['192.168.0.0/16', '[2000::/3]:22', evil.example]\n";

static struct policy_world make_world(void)
{
	struct policy_world w = { .n_protected = 2 };

	w.protected[0] = (struct policy_protected){ CONF_PROTECT_LOOPBACK, { [10] = 0xff, 0xff, 127 }, 104, 0, 65535 };
	w.protected[1] = (struct policy_protected){ CONF_PROTECT_DNS, { [10] = 0xff, 0xff, 8, 8, 8, 8 }, 128, 53, 53 };
	return w;
}

static void test_table(void **state _unused_)
{
	static const struct {
		char who; /* w: web, p: prod, h: host, u: unknown container */
		const char *to;
		uint16_t port;
		const char *name;
		const char *policy, *text; /* that decides; "": protected, "-": nothing does, "?" unknown */
		bool deny;
	} cases[] = {
		{ 'w', "10.1.2.3", 443, NULL, "web", "10.1.0.0/16:443", false },
		{ 'w', "10.1.2.3", 444, NULL, "web", "any", true },
		{ 'w', "10.2.2.3", 443, NULL, "web", "any", true },
		{ 'w', "1.2.3.4", 80, "www.example.org", "web", "*.example.org:80-90", false },
		{ 'w', "1.2.3.4", 90, "a.b.example.org", "web", "*.example.org:80-90", false },
		{ 'w', "1.2.3.4", 91, "a.b.example.org", "web", "any", true },
		{ 'w', "1.2.3.4", 80, "example.org", "web", "any", true },
		{ 'w', "1.2.3.4", 80, "badexample.org", "web", "any", true },
		{ 'w', "1.2.3.4", 9, "api.example.net", "web", "api.example.net", false },
		{ 'w', "1.2.3.4", 9, "x.api.example.net", "web", "any", true },
		{ 'w', "2001:db8::", 1, NULL, "web", "[2001:db8::]:1", false },
		{ 'w', "2001:db8::", 2, NULL, "web", "any", true },
		{ 'w', "127.3.2.1", 80, NULL, "", NULL, false },
		{ 'w', "8.8.8.8", 53, NULL, "", NULL, false },
		{ 'w', "8.8.8.8", 54, NULL, "web", "any", true },
		{ 'p', "10.1.2.3", 443, NULL, "policy-2", "10.1.2.3", true },
		{ 'p', "10.1.2.4", 443, NULL, "-", NULL, false },
		{ 'p', "10.1.2.4", 25, NULL, "policy-2", "any:25", true },
		{ 'p', "192.168.3.4", 25, NULL, "policy-2", "any:25", true },
		{ 'p', "192.168.3.4", 26, NULL, "all", "192.168.0.0/16", true },
		{ 'h', "192.168.3.4", 0, NULL, "all", "192.168.0.0/16", true },
		{ 'h', "192.169.3.4", 65535, NULL, "-", NULL, false },
		{ 'h', "10.1.2.3", 25, NULL, "-", NULL, false },
		{ 'h', "2001:db8::5", 22, NULL, "all", "2001:db8::/32", false },
		{ 'h', "2001:db7::5", 22, NULL, "all", "[2000::/3]:22", true },
		{ 'h', "2001:db7::5", 23, NULL, "-", NULL, false },
		{ 'h', "1.2.3.4", 5, "evil.example", "all", "evil.example", true },
		{ 'h', "1.2.3.4", 5, "not.evil.example", "-", NULL, false },
		{ 'u', "192.168.3.4", 5, NULL, "all", "192.168.0.0/16", true },
		{ 'u', "2001:db8::5", 5, NULL, "all", "2001:db8::/32", false },
		{ 'u', "10.1.2.4", 5, NULL, "?", NULL, true },
		{ 'u', "127.0.0.1", 5, NULL, "", NULL, false },
	};
	struct container web = { .image = "docker.io/web:1" }, prod = { .image = "x", .namespace = "prod" };
	_cleanup_(policy_table_free_p) struct policy_table *t = NULL;
	_cleanup_conf_ struct conf *conf = parse(rich);
	struct policy_world w = make_world();
	struct bpf_policy_bits of_web, of_prod;

	assert_int_equal(policy_table_new(conf, &w, 7, &t), 0);
	assert_true(t->set.by_container && t->set.by_domain && !t->set.by_user && !t->set.by_program);
	policy_of_container(t, &web, &of_web);
	policy_of_container(t, &prod, &of_prod);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct bpf_policy_bits *who = cases[i].who == 'w'	  ? &of_web
						    : cases[i].who == 'p' ? &of_prod
						    : cases[i].who == 'h' ? &t->set.host
									  : &t->set.unknown;
		int entry = ask(t, who, cases[i].to, cases[i].port, cases[i].name);
		const struct policy_entry *e = entry >= 0 ? &t->entries[entry] : NULL;
		const char *policy = !e ? "-" : entry < POLICY_FIRST ? "" : entry == POLICY_UNKNOWN ? "?" : e->policy;

		if (!streq(policy, cases[i].policy) || (cases[i].text && !streq(e->text, cases[i].text)) ||
		    (e && e->deny) != cases[i].deny)
			fail_msg("case %zu: %c to %s %u: %s %s", i, cases[i].who, cases[i].to, cases[i].port, policy,
				 e && e->text ? e->text : "");
	}
}

static void test_subjects(void **state _unused_)
{
	static const char text[] =
		"network: {protect: [], policies: [{user: root, deny: any}, {user: 5, program: /bin/x, deny: any},"
		"{program: /bin/x, deny: '1.1.1.1'}, {user: 5, deny: '2.2.2.2'}, {deny: '3.3.3.3'}]}";
	_cleanup_(policy_table_free_p) struct policy_table *t = NULL;
	_cleanup_conf_ struct conf *conf = parse(text);
	struct policy_world w = make_world();

	for (size_t i = 0; i < 5; i++)
		w.subjects[i] = (struct policy_subject){ true, true, i ? 5 : 0, 77, 88 };
	assert_int_equal(policy_table_new(conf, &w, 0, &t), 0);
	assert_true(t->set.by_user && t->set.by_program && !t->set.by_container);
	assert_int_equal(t->n_users, 2);
	assert_int_equal(t->n_programs, 1);
	assert_int_equal(t->users[1].value[0], 5);
	assert_int_equal(t->programs[0].value[0], 77);
	assert_int_equal(t->programs[0].value[1], 88);
	/* Entries 4 to 8, and the one of what is unknown. */
	assert_int_equal(t->set.user.w[0], 0x140);
	assert_int_equal(t->users[0].bits.w[0], 0x150);
	assert_int_equal(t->users[1].bits.w[0], 0x1e0);
	assert_int_equal(t->set.program.w[0], 0x190);
	assert_int_equal(t->programs[0].bits.w[0], 0x1f0);
	assert_int_equal(t->set.host.w[0], 0x1f0);
	/* Nothing is protected here. */
	assert_int_equal(ask(t, &t->set.host, "127.0.0.1", 1, NULL), 4);
}

/* --- the node */

static void put_file(const char *root, const char *path, const char *text)
{
	char full[512];
	FILE *f;

	snprintf(full, sizeof(full), "%s%s", root, path);
	for (char *slash = strchr(full + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(full, 0755);
		*slash = '/';
	}
	f = fopen(full, "we");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static bool is_protected(const struct policy_world *w, enum conf_protect what, const char *to, uint16_t port)
{
	uint8_t address[16];

	address_of(to, address);
	for (size_t i = 0; i < w->n_protected; i++)
		if (w->protected[i].what == what && memcmp(w->protected[i].address, address, 16) == 0 &&
		    w->protected[i].first == port)
			return true;
	return false;
}

static void test_world(void **state _unused_)
{
	static const char policies[] = "network: {policies: [{user: root, deny: any}, {program: /bin/x, deny: any},"
				       "{user: no-such-user-here, deny: any}, {user: '77', deny: any}]}";
	_cleanup_conf_ struct conf *conf = parse(policies);
	struct policy_world *w = calloc(2, sizeof(*w));
	char root[] = "/tmp/holdfast-policy.XXXXXX", cleanup[64], path[64];
	struct stat st;

	assert_non_null(mkdtemp(root));
	put_file(root, "/etc/resolv.conf",
		 "# x\nsearch a\nnameserver 192.0.2.1\n nameserver fe80::1%eth0\nnameserver junk\n");
	put_file(root, "/etc/kubernetes/kubelet.conf",
		 "clusters:\n- cluster:\n    server: https://192.0.2.2:6443\n- cluster: {server: "
		 "\"https://[2001:db8::9]\"}\n"
		 "    server: https://name.example:6443\n    server: http://1.1.1.1\nserver: "
		 "https://1.1.1.1:99999\nserver:");
	put_file(root, "/bin/x", "x");
	policy_world_read(conf, root, &w[0]);
	assert_true(is_protected(&w[0], CONF_PROTECT_DNS, "192.0.2.1", 53));
	assert_true(is_protected(&w[0], CONF_PROTECT_DNS, "fe80::1", 53));
	assert_true(is_protected(&w[0], CONF_PROTECT_API_SERVER, "192.0.2.2", 6443));
	assert_true(is_protected(&w[0], CONF_PROTECT_API_SERVER, "2001:db8::9", 443));
	assert_false(is_protected(&w[0], CONF_PROTECT_API_SERVER, "1.1.1.1", 443));
	assert_true(w[0].subjects[0].has_user && w[0].subjects[0].user == 0);
	snprintf(path, sizeof(path), "%s/bin/x", root);
	assert_int_equal(stat(path, &st), 0);
	assert_true(w[0].subjects[1].has_program && w[0].subjects[1].program_ino == st.st_ino);
	assert_false(w[0].subjects[2].has_user);
	assert_true(w[0].subjects[3].has_user && w[0].subjects[3].user == 77);
	policy_world_read(conf, root, &w[1]);
	assert_true(policy_world_same(conf, &w[0], &w[1]));
	/* The program is another file now. */
	put_file(root, "/bin/y", "y");
	snprintf(cleanup, sizeof(cleanup), "%s/bin/y", root);
	assert_int_equal(rename(cleanup, path), 0);
	policy_world_read(conf, root, &w[1]);
	assert_false(policy_world_same(conf, &w[0], &w[1]));
	free(w);
	snprintf(cleanup, sizeof(cleanup), "rm -rf %s", root);
	assert_int_equal(system(cleanup), 0);
}

/* --- the kernel */

struct fixture {
	struct bpf_policy *b;
	struct conf *conf;
	struct policy_table *t;
	uint32_t serial;
	uint64_t denied, events;
	struct bpf_policy_event last;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	_cleanup_buf_ struct buf err = BUF_INIT;

	if (bpf_policy_open(&f->b, &err) < 0)
		print_message("skipped: %s\n", err.data);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	bpf_policy_close(f->b);
	policy_table_free(f->t);
	if (f->conf)
		conf_unref(f->conf);
	free(f);
	return 0;
}

#define NEED_POLICY(f)                                                                                                 \
	do {                                                                                                           \
		if (!(f)->b)                                                                                           \
			skip();                                                                                        \
	} while (0)

/* c: NULL, or a container that is known. */
static void put(struct fixture *f, const char *text, bool enforce, const struct container *c)
{
	struct policy_table *t;
	struct policy_world *w = calloc(1, sizeof(*w));
	struct conf *conf = parse(text);

	policy_world_read(conf, "/", w);
	assert_int_equal(policy_table_new(conf, w, ++f->serial, &t), 0);
	assert_int_equal(bpf_policy_fill(f->b, t, enforce), 0);
	if (c)
		assert_int_equal(bpf_policy_container(f->b, t, c), 0);
	bpf_policy_switch(f->b, t);
	policy_table_free(f->t);
	if (f->conf)
		conf_unref(f->conf);
	f->t = t;
	f->conf = conf;
	free(w);
}

static void on_event(const struct bpf_policy_event *e, void *data)
{
	struct fixture *f = data;

	f->denied += e->count;
	f->events++;
	f->last = *e;
}

/* Waits until n denials are told. */
static void told(struct fixture *f, uint64_t n)
{
	uint64_t deadline = clock_mono_ns() + DEADLINE_NS;

	f->denied = f->events = 0;
	while (f->denied < n) {
		struct pollfd p = { .fd = bpf_policy_fd(f->b), .events = POLLIN };

		poll(&p, 1, 20);
		assert_true(bpf_policy_take(f->b, 1000, on_event, f) >= 0);
		bpf_policy_counted(f->b, on_event, f);
		assert_true(clock_mono_ns() < deadline);
	}
	assert_int_equal(f->denied, n);
}

/* What a child finds: 0, or the line of what was not so. */
static void child(int (*act)(void))
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		alarm(60);
		_exit(act() & 0xff);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		fail_msg("the child failed at line %d, modulo 256", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
}

#define NEED(x)                                                                                                        \
	do {                                                                                                           \
		if (!(x))                                                                                              \
			return (__LINE__ & 0xff) ?: 1;                                                                 \
	} while (0)

/* 0 or errno. */
static int reach(const char *to, uint16_t port, int type)
{
	union {
		struct sockaddr any;
		struct sockaddr_in four;
		struct sockaddr_in6 six;
	} a = { .any.sa_family = strchr(to, ':') ? AF_INET6 : AF_INET };
	socklen_t len = a.any.sa_family == AF_INET ? sizeof(a.four) : sizeof(a.six);
	int fd = socket(a.any.sa_family, type, 0), r;

	if (a.any.sa_family == AF_INET) {
		a.four.sin_port = htons(port);
		inet_pton(AF_INET, to, &a.four.sin_addr);
	} else {
		a.six.sin6_port = htons(port);
		inet_pton(AF_INET6, to, &a.six.sin6_addr);
	}
	r = connect(fd, &a.any, len) < 0 ? errno : 0;
	close(fd);
	return r;
}

static int send_to(const char *to, uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_DGRAM, 0), r;

	inet_pton(AF_INET, to, &a.sin_addr);
	r = sendto(fd, "x", 1, 0, (struct sockaddr *)&a, sizeof(a)) < 0 ? errno : 0;
	close(fd);
	return r;
}

/* The result of IORING_OP_CONNECT; 1: there is no io_uring. */
static int reach_uring(const char *to, uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct io_uring_params p = { 0 };
	int fd = (int)syscall(SYS_io_uring_setup, 1, &p);
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;
	uint8_t *ring;

	inet_pton(AF_INET, to, &a.sin_addr);
	if (fd < 0 || !(p.features & IORING_FEAT_SINGLE_MMAP))
		return 1;
	ring = mmap(NULL,
		    MAX(p.sq_off.array + p.sq_entries * sizeof(uint32_t), p.cq_off.cqes + p.cq_entries * sizeof(*cqe)),
		    PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQ_RING);
	sqe = mmap(NULL, p.sq_entries * sizeof(*sqe), PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQES);
	if (ring == MAP_FAILED || sqe == MAP_FAILED)
		return 1;
	*sqe = (struct io_uring_sqe){ .opcode = IORING_OP_CONNECT,
				      .fd = socket(AF_INET, SOCK_STREAM, 0),
				      .addr = (uintptr_t)&a,
				      .off = sizeof(a) };
	memset(ring + p.sq_off.array, 0, sizeof(uint32_t));
	atomic_store((_Atomic uint32_t *)(void *)(ring + p.sq_off.tail), 1);
	if (syscall(SYS_io_uring_enter, fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) != 1)
		return 1;
	cqe = (void *)(ring + p.cq_off.cqes);
	return cqe[atomic_load((_Atomic uint32_t *)(void *)(ring + p.cq_off.head)) & (p.cq_entries - 1)].res;
}

static const char by_user[] = "network: {protect: [], policies: [{name: them, user: 64123,"
			      "allow: ['127.0.0.1:1', '[::1]:1'], deny: ['127.0.0.0/8', '::1']}]}";

static int act_user(void)
{
	int r;

	/* Nobody else is meant. */
	NEED(reach("127.0.0.1", 2, SOCK_STREAM) == ECONNREFUSED);
	NEED(setresuid(USER, USER, USER) == 0);
	NEED(reach("127.0.0.1", 1, SOCK_STREAM) == ECONNREFUSED);
	NEED(reach("127.0.0.1", 2, SOCK_STREAM) == EPERM);
	NEED(reach("127.0.0.1", 2, SOCK_DGRAM) == EPERM);
	NEED(reach("0.0.0.0", 2, SOCK_STREAM) == EPERM);
	NEED(send_to("127.0.0.1", 1) == 0);
	NEED(send_to("127.9.9.9", 2) == EPERM);
	r = reach("::1", 1, SOCK_STREAM);
	if (r != EAFNOSUPPORT && r != EADDRNOTAVAIL) {
		NEED(r == ECONNREFUSED);
		NEED(reach("::1", 2, SOCK_STREAM) == EPERM);
		NEED(reach("::", 2, SOCK_STREAM) == EPERM);
		NEED(reach("::ffff:127.0.0.1", 2, SOCK_STREAM) == EPERM);
	}
	r = reach_uring("127.0.0.1", 2);
	NEED(r == 1 || r == -EPERM);
	r = reach_uring("127.0.0.1", 1);
	NEED(r == 1 || r == -ECONNREFUSED);
	return 0;
}

static void test_user(void **state)
{
	struct fixture *f = *state;
	struct bpf_policy_counts before, after;

	NEED_POLICY(f);
	put(f, by_user, true, NULL);
	bpf_policy_get_counts(f->b, &before);
	child(act_user);
	bpf_policy_get_counts(f->b, &after);
	assert_true(after.judged > before.judged);
	told(f, after.denied - before.denied);
	assert_true(f->denied >= 4);
	assert_true(f->last.denied);
	assert_int_equal(f->last.serial, f->t->set.serial);
	assert_string_equal(f->t->entries[f->last.entry].policy, "them");
	assert_int_equal(f->last.socket.remote_port, 2);
	assert_int_equal(after.lost, 0);
}

#define FLOOD 3000

static int act_flood(void)
{
	NEED(setresuid(USER, USER, USER) == 0);
	for (int i = 0; i < FLOOD; i++)
		NEED(reach("127.0.0.1", 2, SOCK_STREAM) == ECONNREFUSED);
	return 0;
}

/* It is told what would be denied; many alike in few events. */
static void test_observe(void **state)
{
	struct fixture *f = *state;

	NEED_POLICY(f);
	put(f, by_user, false, NULL);
	child(act_flood);
	told(f, FLOOD);
	assert_false(f->last.denied);
	assert_true(f->events < 100);
}

static int act_free(void)
{
	NEED(setresuid(USER, USER, USER) == 0);
	NEED(reach("127.0.0.1", 2, SOCK_STREAM) == ECONNREFUSED);
	return 0;
}

/* Another table at once, and back; none holds when the programs are gone. */
static void test_switch(void **state)
{
	struct fixture *f = *state;

	NEED_POLICY(f);
	for (int i = 0; i < 3; i++) {
		put(f, "network: {policies: [{deny: '198.51.100.1'}]}", true, NULL);
		child(act_free);
		put(f, by_user, true, NULL);
		child(act_user);
	}
	bpf_policy_close(TAKE_PTR(f->b));
	child(act_free);
}

/* --- programs */

static int act_program(void)
{
	execl("/proc/self/exe", "test_policy", "reach", NULL);
	return 1;
}

static void test_program(void **state)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	struct fixture *f = *state;
	struct statfs fs;
	char exe[512];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	NEED_POLICY(f);
	assert_true(n > 0);
	exe[n] = '\0';
	/* There a file has another number for stat than for the kernel. */
	if (statfs(exe, &fs) < 0 || fs.f_type == BTRFS_SUPER_MAGIC || fs.f_type == OVERLAYFS_SUPER_MAGIC) {
		print_message("skipped: the program is on btrfs or an overlay\n");
		skip();
	}
	buf_printf(&text, "network: {protect: [], policies: [{program: '%s', deny: '127.66.0.77'}]}", exe);
	put(f, text.data, true, NULL);
	child(act_program);
	put(f, "network: {protect: [], policies: [{program: /bin/true, deny: '127.66.0.77'}]}", true, NULL);
	assert_int_equal(reach("127.66.0.77", 9, SOCK_STREAM), ECONNREFUSED);
}

/* --- containers: by the name of their cgroup */

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static char group[128];

static int enter(const char *name)
{
	_cleanup_close_ int fs = (int)syscall(SYS_fsopen, "cgroup2", 1), root = -1, procs = -1;
	char path[160];

	if (fs < 0 || syscall(SYS_fsconfig, fs, 6, NULL, NULL, 0) < 0)
		return -1;
	root = (int)syscall(SYS_fsmount, fs, 1, 0);
	if (root < 0 || (mkdirat(root, name, 0755) < 0 && errno != EEXIST))
		return -1;
	snprintf(path, sizeof(path), "%s/cgroup.procs", name);
	procs = openat(root, path, O_WRONLY | O_CLOEXEC);
	return procs >= 0 && write(procs, "0", 1) == 1 ? 0 : -1;
}

static void leave(const char *name)
{
	_cleanup_close_ int fs = (int)syscall(SYS_fsopen, "cgroup2", 1), root = -1;

	if (fs < 0 || syscall(SYS_fsconfig, fs, 6, NULL, NULL, 0) < 0)
		return;
	root = (int)syscall(SYS_fsmount, fs, 1, 0);
	unlinkat(root, name, AT_REMOVEDIR);
}

static int act_contained(void)
{
	NEED(enter(group) == 0);
	NEED(reach("127.66.0.5", 1, SOCK_STREAM) == EPERM);
	NEED(reach("127.66.0.6", 1, SOCK_STREAM) == ECONNREFUSED);
	return 0;
}

static int act_helper(void)
{
	NEED(enter(group) == 0);
	NEED(reach("127.66.0.5", 1, SOCK_STREAM) == ECONNREFUSED);
	return 0;
}

static void test_container(void **state)
{
	static const char text
		[] = "network: {protect: [], policies: [{image: 'docker.io/web*', deny: '127.66.0.5'}]}",
	    strict[] = "network: {protect: [], unknown: deny, policies: [{deny: '127.66.0.5'}, {allow: '127.66.0.6'}]}";
	struct container web = { .id = ID, .image = "docker.io/web:1" }, other = { .id = ID, .image = "docker.io/x" };
	struct fixture *f = *state;

	NEED_POLICY(f);
	snprintf(group, sizeof(group), "libpod-%s.scope", ID);
	if (fork() == 0)
		_exit(enter(group) ? 1 : 0);
	else {
		int status;

		wait(&status);
		if (!WIFEXITED(status) || WEXITSTATUS(status))
			skip();
	}
	put(f, text, true, &web);
	child(act_contained);
	assert_int_equal(reach("127.66.0.5", 1, SOCK_STREAM), ECONNREFUSED);
	put(f, text, true, &other);
	child(act_helper);
	/* Not known: what holds for all, and network.unknown. */
	put(f, text, true, NULL);
	child(act_helper);
	put(f, strict, true, NULL);
	child(act_contained);
	told(f, 2);
	leave(group);
	/* What looks after a container is no part of it. */
	snprintf(group, sizeof(group), "libpod-conmon-%s", ID);
	put(f, text, true, &web);
	child(act_helper);
	leave(group);
}

/* --- domains */

/* Two addresses; the second one's name is compressed and between them stands an alias. */
static const char answer[] = "\x12\x34\x81\x80\0\1\0\3\0\0\0\0\3WWW\7example\3org\0\0\1\0\1"
			     "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x7f\x42\0\x09"
			     "\xc0\x0c\0\5\0\1\0\0\0\x3c\0\2\xc0\x0c"
			     "\3www\7example\3org\0\0\1\0\1\0\0\0\0\0\4\x7f\x42\0\x0a";

static int own_network(void)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd, r;

	if (unshare(CLONE_NEWNET))
		return -1;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	r = ioctl(fd, SIOCSIFFLAGS, &lo);
	close(fd);
	return r;
}

static int hear(const void *data, size_t len)
{
	struct sockaddr_in server = { .sin_family = AF_INET,
				      .sin_port = htons(53),
				      .sin_addr = { htonl(INADDR_LOOPBACK) } };
	struct sockaddr_in client = server;
	int from = socket(AF_INET, SOCK_DGRAM, 0), to = socket(AF_INET, SOCK_DGRAM, 0);
	char got[600];

	client.sin_port = htons(5353);
	NEED(bind(from, (struct sockaddr *)&server, sizeof(server)) == 0);
	NEED(bind(to, (struct sockaddr *)&client, sizeof(client)) == 0);
	NEED(sendto(from, data, len, 0, (struct sockaddr *)&client, sizeof(client)) == (ssize_t)len);
	NEED(recv(to, got, sizeof(got), 0) == (ssize_t)len);
	close(from);
	close(to);
	return 0;
}

static int act_domain(void)
{
	char cut[sizeof(answer)];
	int r;

	if (own_network())
		return 0;
	NEED(reach("127.66.0.9", 1, SOCK_STREAM) == EPERM);
	/* Whatever is cut off of it. */
	for (size_t len = 1; len < sizeof(answer) - 1; len += 3) {
		memcpy(cut, answer, len);
		r = len < 48 ? hear(cut, len) : 0;
		NEED(r == 0);
	}
	NEED(reach("127.66.0.9", 1, SOCK_STREAM) == EPERM);
	r = hear(answer, sizeof(answer) - 1);
	if (r)
		return r;
	/* Known before the answer is read. */
	NEED(reach("127.66.0.9", 1, SOCK_STREAM) == ECONNREFUSED);
	NEED(reach("127.66.0.10", 1, SOCK_STREAM) == ECONNREFUSED);
	NEED(reach("127.66.0.11", 1, SOCK_STREAM) == EPERM);
	return 0;
}

static int act_elsewhere(void)
{
	NEED(own_network() == 0);
	NEED(reach("127.66.0.9", 1, SOCK_STREAM) == EPERM);
	return 0;
}

static int act_named(void)
{
	NEED(own_network() == 0);
	NEED(reach("127.66.0.12", 1, SOCK_STREAM) == ECONNREFUSED);
	return 0;
}

static void test_domain(void **state)
{
	static const char text[] = "network: {protect: [], policies: [{user: root, allow: ['*.example.org:1', "
				   "other.example], deny: '127.66.0.8/29'},"
				   "{deny: '127.66.0.8/29'}]}";
	static const uint8_t hosts[16] = { [10] = 0xff, 0xff, 127, 66, 0, 12 };
	struct fixture *f = *state;

	NEED_POLICY(f);
	if (!bpf_policy_learns(f->b) || geteuid())
		skip();
	put(f, text, true, NULL);
	child(act_domain);
	/* An answer counts where it came. */
	child(act_elsewhere);
	/* Said by user space, it counts everywhere. */
	assert_int_equal(bpf_policy_name(f->b, policy_hash_domain("other.example", false), hosts, DEADLINE_NS), 0);
	child(act_named);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_subjects),
		cmocka_unit_test(test_world),
		cmocka_unit_test_setup_teardown(test_user, setup, teardown),
		cmocka_unit_test_setup_teardown(test_observe, setup, teardown),
		cmocka_unit_test_setup_teardown(test_switch, setup, teardown),
		cmocka_unit_test_setup_teardown(test_program, setup, teardown),
		cmocka_unit_test_setup_teardown(test_container, setup, teardown),
		cmocka_unit_test_setup_teardown(test_domain, setup, teardown),
	};

	if (argc == 2 && streq(argv[1], "reach"))
		return reach("127.66.0.77", 9, SOCK_STREAM) == EPERM ? 0 : 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
