/* Policies of the network: what becomes of texts (watch/policy), and of the node (watch/policy_world). */
#include "tests/watch/policy.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "watch/policy_world.h"

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

/* More servers than there is room for are counted, and never at the cost of the API server. */
static void test_many_servers(void **state _unused_)
{
	_cleanup_conf_ struct conf *conf = parse("network: {policies: [{deny: any}]}");
	char root[] = "/tmp/holdfast-policy.XXXXXX", cleanup[64], line[64];
	struct policy_world *w = calloc(1, sizeof(*w));
	_cleanup_buf_ struct buf text = BUF_INIT;

	assert_non_null(mkdtemp(root));
	for (int i = 0; i < 2 * POLICY_PROTECTED_MAX; i++) {
		snprintf(line, sizeof(line), "nameserver 192.0.%d.%d\n", i / 256, i % 256);
		buf_str(&text, line);
	}
	put_file(root, "/etc/resolv.conf", text.data);
	put_file(root, "/etc/kubernetes/kubelet.conf", "server: https://198.51.100.2:6443\n");
	policy_world_read(conf, root, w);
	assert_int_equal(w->n_protected, POLICY_PROTECTED_MAX);
	assert_true(w->unprotected > POLICY_PROTECTED_MAX);
	assert_true(is_protected(w, CONF_PROTECT_DNS, "192.0.0.1", 53));
	assert_true(is_protected(w, CONF_PROTECT_API_SERVER, "198.51.100.2", 6443));
	/* What is there twice needs no room of its own. */
	put_file(root, "/etc/resolv.conf", "nameserver 192.0.2.1\nnameserver 192.0.2.1\n");
	policy_world_read(conf, root, w);
	assert_int_equal(w->unprotected, 0);
	free(w);
	snprintf(cleanup, sizeof(cleanup), "rm -rf %s", root);
	assert_int_equal(system(cleanup), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_subjects),
		cmocka_unit_test(test_world),
		cmocka_unit_test(test_many_servers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
