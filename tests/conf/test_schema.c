/* conf/schema: the table, the manual and the shipped file agree. */
#include "tests/test.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf.h"
#include "conf/schema.h"
#include "lib/cleanup.h"

static void test_table(void **state _unused_)
{
	for (size_t i = 0; i < conf_schema_count; i++) {
		const struct conf_key *k = &conf_schema[i];

		assert_true(strlen(k->key) < 64);
		assert_non_null(k->help);
		assert_int_equal(k->type == CONF_WORD || k->type == CONF_WORDS, k->words != NULL);
		assert_true(k->min <= k->max);
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(k->key, conf_schema[j].key);
	}
}

static const struct conf_key *row(const char *key)
{
	for (size_t i = 0; i < conf_schema_count; i++)
		if (streq(conf_schema[i].key, key))
			return &conf_schema[i];
	fail_msg("no row %s", key);
	return NULL;
}

static void test_digest_words(void **state _unused_)
{
	const char *const *words = row("store.digest")->words;

	for (size_t i = 0; i < DIGEST_ALGO_COUNT; i++)
		assert_string_equal(words[i], digest_table[i].name);
	assert_null(words[DIGEST_ALGO_COUNT]);
}

static void test_find(void **state _unused_)
{
	static const struct {
		const char *prefix, *name;
		const char *key; /* first row found, NULL: none */
		bool group;
	} cases[] = {
		{ "", "paths", "paths", false },
		{ "", "store", "store.path", true },
		{ "store.", "key", "store.key", false },
		{ "paths[].", "path", "paths[].path", false },
		{ "", "path", NULL, false },
		{ "", "store.path", NULL, false },
		{ "store.", "", NULL, false },
		{ "nowhere.", "path", NULL, false },
		{ "sensitive[].", "attributes", NULL, false },
		{ "", "exec", "exec.mode", true },
		{ "", "rules", "rules.files", true },
		{ "", "outputs", "outputs", false },
		{ "outputs[].", "type", "outputs[].type", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		bool group = false;
		const struct conf_key *k = conf_schema_find(cases[i].prefix, cases[i].name, &group);

		assert_int_equal(k != NULL, cases[i].key != NULL);
		if (k)
			assert_string_equal(k->key, cases[i].key);
		assert_int_equal(group, cases[i].group);
	}
}

static void test_nearest(void **state _unused_)
{
	char word[64];

	assert_true(conf_schema_nearest("", "path", word));
	assert_string_equal(word, "paths");
	assert_true(conf_schema_nearest("limits.", "rechek", word));
	assert_string_equal(word, "recheck");
	assert_true(conf_schema_nearest("", "rulse", word));
	assert_true(conf_schema_nearest("", "respnd", word));
	assert_false(conf_schema_nearest("", "zzzzzzzz", word));
}

/* The keys that conf_describe tells are those of the manual's section KEYS. */
static void test_manual(void **state _unused_)
{
	_cleanup_buf_ struct buf b = BUF_INIT;
	_cleanup_fclose_ FILE *f = fopen(TOP_SRCDIR "/man/holdfast.yaml.5", "re");
	_cleanup_free_ char *line = NULL;
	size_t cap = 0, in_manual = 0, described = 0;
	bool keys = false;

	assert_non_null(f);
	buf_char(&b, '\n');
	conf_describe(&b);
	assert_false(b.failed);
	for (const char *p = b.data; p[1]; p = strchr(p + 1, '\n'))
		described++;
	while (getline(&line, &cap, f) > 0) {
		char name[80], start[96];

		keys = (keys || streq(line, ".Sh KEYS\n")) && !streq(line, ".Ss Patterns\n");
		if (!keys || sscanf(line, ".It Cm %79s", name) != 1)
			continue;
		snprintf(start, sizeof(start), "\n%s ", name);
		if (!strstr(b.data, start))
			fail_msg("%s is in the manual, not in the schema", name);
		in_manual++;
	}
	assert_true(described > 20);
	assert_int_equal(in_manual, described);
}

static void test_manual_groups(void **state _unused_)
{
	_cleanup_fclose_ FILE *f = fopen(TOP_SRCDIR "/man/holdfast.yaml.5", "re");
	char text[64 * 1024];
	size_t n;

	assert_non_null(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	for (size_t i = 0; i < attr_group_count; i++) {
		char item[64];

		snprintf(item, sizeof(item), "\n.It Cm %s\n", attr_groups[i].name);
		if (!strstr(text, item))
			fail_msg("group %s is not in the manual", attr_groups[i].name);
	}
	for (size_t i = 0; i < ATTR_COUNT; i++)
		if (!strstr(text, attr_table[i].name))
			fail_msg("attribute %s is not in the manual", attr_table[i].name);
}

static void test_shipped(void **state _unused_)
{
	static const char *const guarded[] = { "/etc/passwd",
					       "/boot/vmlinuz",
					       "/usr/bin/ls",
					       "/usr/lib/systemd/system/x.service",
					       "/var/spool/cron/crontabs/root",
					       "/root/.ssh/authorized_keys",
					       "/home/eve/.ssh/authorized_keys",
					       "/bin",
					       "/etc/.git/hooks/pre-commit",
					       "/usr/bin/x~",
					       "/usr/bin/x.swp" };
	static const char *const left_out[] = { "/etc/mtab",	      "/etc/x/.y.swp",
						"/etc/hosts~",	      "/etc/.git/index",
						"/boot/grub/grubenv", "/home/eve/.ssh/known_hosts.old" };
	static const char *const secret[] = {
		"/etc/shadow",		 "/etc/ssh/ssh_host_rsa_key",  "/root/.ssh/id_ed25519",
		"/home/eve/.ssh/id_rsa", "/etc/kubernetes/pki/ca.key", "/etc/kubernetes/admin.conf",
		"/root/.kube/config",	 "/root/.aws/credentials",     "/var/lib/kubelet/pki/kubelet.key"
	};
	static const char *const open[] = { "/etc/passwd", "/etc/ssh/ssh_host_rsa_key.pub", "/root/.ssh/known_hosts",
					    "/etc/kubernetes/manifests/x.yaml" };
	_cleanup_buf_ struct buf errors = BUF_INIT;
	_cleanup_conf_ struct conf *c = NULL;

	if (conf_load(TOP_SRCDIR "/conf/holdfast.yaml", &c, &errors) != 0)
		fail_msg("%s", errors.data);
	for (size_t i = 0; i < ARRAY_SIZE(guarded); i++)
		if (scope_match(&c->scope, guarded[i], NULL) != SCOPE_IN)
			fail_msg("%s is not guarded", guarded[i]);
	for (size_t i = 0; i < ARRAY_SIZE(left_out); i++)
		if (scope_match(&c->scope, left_out[i], NULL) != SCOPE_EXCLUDED)
			fail_msg("%s is not left out", left_out[i]);
	for (size_t i = 0; i < ARRAY_SIZE(secret); i++)
		if (!conf_is_sensitive(c, secret[i]))
			fail_msg("%s is not sensitive", secret[i]);
	for (size_t i = 0; i < ARRAY_SIZE(open); i++)
		if (conf_is_sensitive(c, open[i]))
			fail_msg("%s is sensitive", open[i]);
	assert_int_equal(c->opens, CONF_OPENS_SENSITIVE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),	cmocka_unit_test(test_digest_words),
		cmocka_unit_test(test_find),	cmocka_unit_test(test_nearest),
		cmocka_unit_test(test_manual),	cmocka_unit_test(test_manual_groups),
		cmocka_unit_test(test_shipped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
