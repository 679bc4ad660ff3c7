/* conf/conf, load, node, value: texts and what comes of them. */
#include "tests/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/conf.h"
#include "lib/cleanup.h"

/* Of one or two words. */
static attr_mask mask_of(const char *first, const char *second)
{
	attr_mask mask = 0;

	assert_int_equal(attr_apply(first, &mask), 0);
	if (second)
		assert_int_equal(attr_apply(second, &mask), 0);
	return mask;
}

static int parse(const char *text, struct conf **ret, struct buf *errors)
{
	return conf_parse("f", text, strlen(text), ret, errors);
}

static struct conf *parse_good(const char *text)
{
	_cleanup_buf_ struct buf errors = BUF_INIT;
	struct conf *c = NULL;

	if (parse(text, &c, &errors) != 0)
		fail_msg("refused: %s%s", text, errors.data);
	assert_int_equal(errors.len, 0);
	return c;
}

static void test_defaults(void **state _unused_)
{
	static const char *const empty[] = { "",	"# nothing\n", "---\n", "~", "{}", "paths:\nstore:\nlimits:\n",
					     "opens:\n" };

	for (size_t i = 0; i <= ARRAY_SIZE(empty); i++) {
		_cleanup_conf_ struct conf *c = NULL;

		if (i == ARRAY_SIZE(empty))
			assert_int_equal(conf_default(&c), 0);
		else
			c = parse_good(empty[i]);
		assert_int_equal(c->scope.n_paths, 0);
		assert_int_equal(c->n_sensitive, 0);
		assert_int_equal(c->opens, CONF_OPENS_SENSITIVE);
		assert_string_equal(c->control, "/run/holdfast.sock");
		assert_string_equal(c->store.path, "/var/lib/holdfast/holdfast.db");
		assert_string_equal(c->store.key, "/var/lib/holdfast/signing.key");
		assert_string_equal(c->store.head, "/var/lib/holdfast/holdfast.head");
		assert_int_equal(c->store.max_size, 2048 * MIB);
		assert_int_equal(c->store.max_age, 90 * 86400 * NSEC_PER_SEC);
		assert_int_equal(c->store.commit_interval, 200 * NSEC_PER_MSEC);
		assert_int_equal(c->store.sync, CONF_SYNC_FULL);
		assert_int_equal(c->store.digest, DIGEST_SHA256);
		assert_int_equal(c->limits.hash_threads, 0);
		assert_int_equal(c->limits.settle, 20 * NSEC_PER_MSEC);
		assert_int_equal(c->limits.settle_max, NSEC_PER_SEC);
		assert_int_equal(c->limits.recheck_rate, 4 * MIB);
		assert_int_equal(c->limits.canary_deadline, 2 * NSEC_PER_SEC);
	}
}

static const char good[] =
	"paths:\n"
	"  - /etc/\n"
	"  - path: /usr/bin\n"
	"    attributes: content\n"
	"  - {path: /var/log, attributes: growing}\n"
	"  - {path: /a, attributes: [all, -mtime]}\n"
	"  - {path: /b, attributes: [-mtime]}\n"
	"  - {path: /c, attributes: [mode, uid]}\n"
	"  - path_hex: 2f7372762f2AfF\n"
	"  - \"/home/*/.ssh\"\n"
	"exclude: [/etc/mtab, \"*.swp\"]\n"
	"sensitive:\n"
	"  - /etc/shadow\n"
	"  - {path: \"/home/*/.ssh/id_*\"}\n"
	"  - {path_hex: 2f6b6579ff}\n"
	"opens: all\n"
	"control: /tmp/x.sock\n"
	"store: {path: /srv/db/h.db, head: /mnt/head, max_size: 64M, max_age: 1w, sync: normal, digest: sha3-256,\n"
	"        commit_interval: 50ms}\n"
	"limits: {hash_threads: 3, hash_size: 1G, settle: 0, pending: 64, recheck: 0, canary: 1m}\n";

static void test_good(void **state _unused_)
{
	_cleanup_conf_ struct conf *c = parse_good(good);
	const struct scope_path *p = c->scope.paths;

	assert_string_equal(c->file, "f");
	assert_int_equal(c->scope.n_paths, 8);
	assert_string_equal(p[0].path, "/etc");
	assert_int_equal(p[0].attributes, mask_of("all", NULL));
	assert_int_equal(p[1].attributes, mask_of("content", NULL));
	assert_int_equal(p[2].attributes, mask_of("growing", NULL));
	assert_int_equal(p[3].attributes, mask_of("all", "-mtime"));
	assert_int_equal(p[4].attributes, mask_of("all", "-mtime"));
	assert_int_equal(p[5].attributes, mask_of("mode", "uid"));
	assert_string_equal(p[6].path, "/srv/*\xff");
	assert_false(p[6].is_glob);
	assert_true(p[7].is_glob);
	assert_int_equal(c->scope.n_exclude, 2);
	assert_string_equal(c->scope.exclude[1], "*.swp");
	assert_int_equal(c->n_sensitive, 3);
	assert_string_equal(c->sensitive[2], "/key\xff");
	assert_int_equal(c->opens, CONF_OPENS_ALL);
	assert_string_equal(c->control, "/tmp/x.sock");
	assert_string_equal(c->store.key, "/srv/db/signing.key");
	assert_string_equal(c->store.head, "/mnt/head");
	assert_int_equal(c->store.max_size, 64 * MIB);
	assert_int_equal(c->store.max_age, 7 * 86400 * NSEC_PER_SEC);
	assert_int_equal(c->store.sync, CONF_SYNC_NORMAL);
	assert_int_equal(c->store.digest, DIGEST_SHA3_256);
	assert_int_equal(c->limits.hash_threads, 3);
	assert_int_equal(c->limits.hash_size, 1024 * MIB);
	assert_int_equal(c->limits.settle, 0);
	assert_int_equal(c->limits.recheck, 0);
	assert_int_equal(c->limits.canary, 60 * NSEC_PER_SEC);
}

static void test_outputs(void **state _unused_)
{
	_cleanup_conf_ struct conf *c = parse_good(
		"rules: {files: /r/one.yaml, disable: [Some rule, 'tag:noise*'], minimum: notice, repeat: 5m}\n"
		"outputs:\n"
		"- {type: file, path: /var/log/alerts.json, rotate: 1M, name: log}\n"
		"- {type: program, command: [/usr/bin/mail, -s, 'an alert', root], minimum: error, format: text}\n"
		"- {type: http, url: 'https://example.org/x', headers: 'X-Token: 1', batch: 50, timeout: 3s}\n");

	assert_int_equal(c->rules.files.n, 1);
	assert_true(c->rules.files.given);
	assert_string_equal(c->rules.files.items[0], "/r/one.yaml");
	assert_int_equal(c->rules.disable.n, 2);
	assert_string_equal(c->rules.disable.items[1], "tag:noise*");
	assert_int_equal(c->rules.minimum, PRIORITY_NOTICE);
	assert_int_equal(c->rules.repeat, 300 * NSEC_PER_SEC);
	assert_int_equal(c->n_outputs, 3);
	assert_int_equal(c->outputs[0].type, CONF_OUTPUT_FILE);
	assert_string_equal(c->outputs[0].name, "log");
	assert_int_equal(c->outputs[0].rotate, MIB);
	assert_int_equal(c->outputs[0].keep, 5);
	assert_string_equal(c->outputs[1].name, "program-2");
	assert_int_equal(c->outputs[1].command.n, 4);
	assert_int_equal(c->outputs[1].minimum, PRIORITY_ERROR);
	assert_int_equal(c->outputs[1].format, CONF_FORMAT_TEXT);
	assert_int_equal(c->outputs[2].batch, 50);
	assert_string_equal(c->outputs[2].headers.items[0], "X-Token: 1");
}

static void test_sensitive(void **state _unused_)
{
	_cleanup_conf_ struct conf *c = parse_good(good);
	static const struct {
		const char *path;
		bool sensitive;
	} cases[] = {
		{ "/etc/shadow", true },
		{ "/etc/shadow/x", true },
		{ "/etc/shadow-", false },
		{ "/etc", false },
		{ "/home/eve/.ssh/id_rsa", true },
		{ "/home/eve/.ssh", false },
		{ "/home/eve/.ssh/config", false },
		{ "/key\xff/x", true },
		{ "/", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (conf_is_sensitive(c, cases[i].path) != cases[i].sensitive)
			fail_msg("%s", cases[i].path);
}

/* The database in a guarded folder: what the monitor writes is no deviation. */
static void test_own(void **state _unused_)
{
	static const char yaml[] = "paths: [/etc]\nstore: {path: /etc/holdfast/x.db}\n";
	static const char *const out[] = { "x.db",	   "x.db-wal",	       "x.db-shm",
					   "x.db-journal", "holdfast.head",    "holdfast.lock",
					   "respond.json", "respond.json.new", "holdfast.head.new" };
	_cleanup_buf_ struct buf errors = BUF_INIT;
	_cleanup_conf_ struct conf *c = NULL;
	attr_mask mask = 0, all = 0;

	attr_apply("all", &all);
	assert_int_equal(conf_parse("x", yaml, strlen(yaml), &c, &errors), 0);
	assert_int_equal(scope_match(&c->scope, "/etc/holdfast/signing.key", &mask), SCOPE_IN);
	assert_true(mask == all);
	for (size_t i = 0; i < ARRAY_SIZE(out); i++) {
		char path[64];

		snprintf(path, sizeof(path), "/etc/holdfast/%s", out[i]);
		assert_int_equal(scope_match(&c->scope, path, NULL), SCOPE_EXCLUDED);
	}
}

static void test_alias(void **state _unused_)
{
	_cleanup_conf_ struct conf *c = parse_good("paths:\n"
						   "  - {path: /a, attributes: &x [mode, uid]}\n"
						   "  - {path: /b, attributes: *x}\n");

	assert_int_equal(c->scope.paths[1].attributes, mask_of("mode", "uid"));
}

/* Each text and all that is said about it. */
static const struct {
	const char *text, *errors;
} bad[] = {
	/* keys */
	{ "stroe: {}\n", "f:1:1: unknown key 'stroe'; did you mean 'store'?\n" },
	{ "store: {max_sise: 2G}\n", "f:1:9: unknown key 'store.max_sise'; did you mean 'store.max_size'?\n" },
	{ "nothing_like_it: 1\n", "f:1:1: unknown key 'nothing_like_it'\n" },
	{ "\"a\\nb\\e\": 1\n", "f:1:1: unknown key 'a\\nb\\x1b'\n" },
	{ "store.path: /x\n", "f:1:1: unknown key 'store.path'\n" },
	{ "exec: {mode: obsrve}\n",
	  "f:1:14: exec.mode: 'obsrve' is not one of off, observe, enforce; did you mean 'observe'?\n" },
	{ "exec: {trust: [baselines, rpm]}\n", "f:1:27: exec.trust: 'rpm' is not one of baselines, dpkg, explicit\n" },
	{ "exec: {trust: [dpkg, dpkg]}\n", "f:1:22: exec.trust: the same word twice\n" },
	{ "exec: {trust: {a: 1}}\n", "f:1:15: exec.trust: expected a word, found a mapping\n" },
	{ "containers: 1\n", "f:1:13: containers: expected a mapping of keys, found a text\n" },
	{ "containers: {stores: [srv]}\n",
	  "f:1:23: containers.stores: 'srv' is not absolute: it does not begin with '/'\n" },
	{ "respond: {mode: on}\n", "f:1:17: respond.mode: 'on' is not one of off, dry-run, act\n" },
	{ "network: {mode: enfore}\n",
	  "f:1:17: network.mode: 'enfore' is not one of off, observe, enforce; did you mean 'enforce'?\n" },
	{ "network: {policies: [deny]}\n", "f:1:22: network.policies: expected a mapping, found a text\n" },
	{ "network:\n  policies:\n  - name: a\n  - {name: a, deny: any}\n",
	  "f:3:5: network.policies: 'a' has neither `allow` nor `deny`\n"
	  "f:4:5: network.policies: two of the same `name`\n" },
	{ "network:\n  policies:\n  - deny:\n    - 10.0.0.0/33\n    - 1.2.3.4:x\n    - 1.2.3.4:70000\n    - any:9-8\n"
	  "    - '[::1'\n    - 1.2.3.256\n    - a..b\n    - '*'\n    - ::1/129\n    - fine.example:1-2\n",
	  "f:4:7: network.policies[].deny: '10.0.0.0/33': behind the slash stands a number of bits from 0 to 32\n"
	  "f:5:7: network.policies[].deny: '1.2.3.4:x': behind the colon stands a port, or two joined by -\n"
	  "f:6:7: network.policies[].deny: '1.2.3.4:70000': behind the colon stands a port, or two joined by -\n"
	  "f:7:7: network.policies[].deny: 'any:9-8': behind the colon stands a port, or two joined by -\n"
	  "f:8:7: network.policies[].deny: '[::1': not accepted\n"
	  "f:9:7: network.policies[].deny: '1.2.3.256': neither an address, a network (10.0.0.0/8), a domain "
	  "(*.example.org), nor any\n"
	  "f:10:7: network.policies[].deny: 'a..b': neither an address, a network (10.0.0.0/8), a domain "
	  "(*.example.org), nor any\n"
	  "f:11:7: network.policies[].deny: '*': neither an address, a network (10.0.0.0/8), a domain (*.example.org), "
	  "nor any\n"
	  "f:12:7: network.policies[].deny: '::1/129': behind the slash stands a number of bits from 0 to 128\n" },
	{ "respond: {ladders: 1}\n", "f:1:20: respond.ladders: expected a list of mappings, found a text\n" },
	{ "respond: {ladders: [kill]}\n", "f:1:21: respond.ladders: expected a mapping, found a text\n" },
	{ "respond:\n  ladders:\n  - {steps: [kill]}\n", "f:3:5: respond.ladders: has no `name`\n" },
	{ "respond:\n  ladders:\n  - {name: a}\n", "f:3:5: respond.ladders: wants 1 to 16 `steps`\n" },
	{ "respond:\n  ladders:\n  - {name: a, steps: kil}\n",
	  "f:3:5: respond.ladders: steps: 'kil' is no action; did you mean 'kill'?\n" },
	{ "respond:\n  ladders:\n  - {name: a, steps: [release]}\n",
	  "f:3:5: respond.ladders: steps: 'release' is no action\n" },
	{ "respond:\n  ladders:\n  - {name: a, steps: [deny now]}\n",
	  "f:3:5: respond.ladders: steps: an action stands alone, or with `after DURATION`\n" },
	{ "respond:\n  ladders:\n  - {name: a, steps: [kill now]}\n",
	  "f:3:5: respond.ladders: steps: an action stands alone, or with `after DURATION`\n" },
	{ "respond:\n  ladders:\n  - {name: a, steps: [kill after soon]}\n",
	  "f:3:5: respond.ladders: steps: behind `after` stands a duration of a day at most\n" },
	{ "respond:\n  ladders:\n  - {name: a, steps: [run program]}\n",
	  "f:3:5: respond.ladders: steps: `run` wants the absolute path of a program\n" },
	{ "respond:\n  ladders:\n  - {name: a, steps: [kill]}\n  - {name: a, steps: [log]}\n",
	  "f:4:5: respond.ladders: two of the same `name`\n" },
	{ "outputs: {type: file}\n", "f:1:10: outputs: expected a list of mappings, found a mapping\n" },
	{ "outputs: [stdout]\n", "f:1:11: outputs: expected a mapping with `type`, found a text\n" },
	{ "outputs:\n- {format: json}\n", "f:2:3: outputs: has no `type`\n" },
	{ "outputs:\n- {type: file}\n- {type: http}\n- {type: program}\n",
	  "f:2:3: outputs: type file wants `path`\nf:3:3: outputs: type http wants `url`\n"
	  "f:4:3: outputs: type program wants `command`\n" },
	{ "outputs:\n- {type: program, command: mail}\n",
	  "f:2:3: outputs: `command` begins with the absolute path of a program\n" },
	{ "outputs:\n- {type: http, url: 'file:///etc/shadow'}\n",
	  "f:2:3: outputs: `url` begins with https:// or http://\n" },
	{ "outputs:\n- {type: syslog, address: 'host:514'}\n",
	  "f:2:3: outputs: `address` begins with udp:// or tcp://\n" },
	{ "outputs:\n- {type: stdout, name: a}\n- {type: stdout, name: a}\n",
	  "f:3:3: outputs: two of the same `name`\n" },
	{ "outputs:\n- {type: stdout, name: ../a}\n",
	  "f:2:3: outputs: `name` has no '/' and does not begin with '.'\n" },
	{ "outputs:\n- {type: stdout, name: \"a\\tb\"}\n", "f:2:24: outputs[].name: 'a\\tb' is not a text\n" },
	{ "rules: {minimum: loud}\n",
	  "f:1:18: rules.minimum: 'loud' is not one of emergency, alert, critical, error, warning, notice, "
	  "informational, debug\n" },
	{ "rules: {files: [rules.yaml]}\n",
	  "f:1:17: rules.files: 'rules.yaml' is not absolute: it does not begin with '/'\n" },
	{ "opens: all\nopens: off\n", "f:2:1: 'opens' is given twice (first in line 1)\n" },
	{ "store: {sync: full}\nstore: {sync: full}\n", "f:2:1: 'store' is given twice (first in line 1)\n" },
	{ "store: {sync: full, sync: full}\n", "f:1:21: 'store.sync' is given twice (first in line 1)\n" },
	{ "paths:\n- {path: /a, path: /b}\n", "f:2:14: 'paths[].path' is given twice (first in line 2)\n" },
	{ "[a]: 1\n", "f:1:1: expected the name of a key, found a list\n" },
	{ "<<: {opens: all}\n", "f:1:1: unknown key '<<'\n" },
	{ "paths:\n- {path: /a, attribute: all}\n",
	  "f:2:14: unknown key 'paths[].attribute'; did you mean 'paths[].attributes'?\n" },
	{ "sensitive:\n- {path: /a, attributes: all}\n", "f:2:14: unknown key 'sensitive[].attributes'\n" },
	/* wrong types */
	{ "- a\n", "f:1:1: expected a mapping of keys, found a list\n" },
	{ "text\n", "f:1:1: expected a mapping of keys, found a text\n" },
	{ "store: 3\n", "f:1:8: store: expected a mapping of keys, found a text\n" },
	{ "limits: [1]\n", "f:1:9: limits: expected a mapping of keys, found a list\n" },
	{ "paths: /etc\n", "f:1:8: paths: expected a list of paths, found a text\n" },
	{ "exclude: {a: b}\n", "f:1:10: exclude: expected a list of patterns, found a mapping\n" },
	{ "exclude: [[a]]\n", "f:1:11: exclude: expected a pattern, found a list\n" },
	{ "sensitive:\n- [/a]\n", "f:2:3: sensitive: expected a path or a mapping with `path`, found a list\n" },
	{ "paths:\n-\n", "f:2:2: paths: expected a path or a mapping with `path`, found nothing\n" },
	{ "store: {max_age: [1]}\n",
	  "f:1:18: store.max_age: expected a duration such as 200ms, 10s or 90d, found a list\n" },
	{ "control: {}\n", "f:1:10: control: expected the absolute path of a file, found a mapping\n" },
	/* values */
	{ "opens: sensitve\n",
	  "f:1:8: opens: 'sensitve' is not one of off, sensitive, all; did you mean 'sensitive'?\n" },
	{ "store: {digest: md5}\n",
	  "f:1:17: store.digest: 'md5' is not one of sha256, sha512, sha3-256, blake2b512\n" },
	{ "store: {max_age: soon}\n", "f:1:18: store.max_age: 'soon' is not a duration such as 200ms, 10s or 90d\n" },
	{ "store: {max_age: -1d}\n", "f:1:18: store.max_age: '-1d' is not a duration such as 200ms, 10s or 90d\n" },
	{ "store: {max_size: 1K}\n", "f:1:19: store.max_size: '1K' is out of range (1.0 MiB to 64.0 TiB)\n" },
	{ "store: {max_size: 99999999999999999999T}\n",
	  "f:1:19: store.max_size: '99999999999999999999T' is out of range (1.0 MiB to 64.0 TiB)\n" },
	{ "limits: {hash_threads: 257}\n", "f:1:24: limits.hash_threads: '257' is out of range (0 to 256)\n" },
	{ "limits: {hash_threads: 2.5}\n", "f:1:24: limits.hash_threads: '2.5' is not a whole number\n" },
	{ "limits: {hash_threads: ''}\n", "f:1:24: limits.hash_threads: '' is not a whole number\n" },
	{ "limits: {hash_threads: 99999999999999999999}\n",
	  "f:1:24: limits.hash_threads: '99999999999999999999' is out of range (0 to 256)\n" },
	{ "limits: {settle: 2s}\n", "f:1:18: limits.settle is longer than limits.settle_max\n" },
	{ "limits:\n  canary: 5s\n  canary_deadline: 6s\n",
	  "f:3:20: limits.canary_deadline is longer than limits.canary\n" },
	/* paths */
	{ "paths:\n  - etc\n", "f:2:5: paths: 'etc' is not absolute: it does not begin with '/'\n" },
	{ "paths:\n  - path: /a/../b\n", "f:2:11: paths[].path: '/a/../b' has '..' in it\n" },
	{ "paths: [/a/**]\n",
	  "f:1:9: paths: '/a/**' has '**' in it: one '*' stands for one component, and all below a path "
	  "is guarded anyway\n" },
	{ "paths: ['']\n", "f:1:9: paths: '' is not absolute: it does not begin with '/'\n" },
	{ "paths:\n- {path_hex: 2f2e2e}\n", "f:2:14: paths[].path_hex: '2f2e2e' has '..' in it\n" },
	{ "paths:\n- {path_hex: 2f0}\n", "f:2:14: paths[].path_hex: '2f0' is not hex digits of an absolute path\n" },
	{ "paths:\n- {path_hex: 2f00}\n", "f:2:14: paths[].path_hex: '2f00' is not hex digits of an absolute path\n" },
	{ "paths:\n- {path: /a, path_hex: 2f61}\n", "f:2:3: paths: has both `path` and `path_hex`\n" },
	{ "paths:\n- {attributes: all}\n", "f:2:3: paths: has neither `path` nor `path_hex`\n" },
	{ "paths:\n- {path: /a, attributes: contents}\n",
	  "f:2:26: paths[].attributes: 'contents' is neither an attribute nor a group; did you mean 'content'?\n" },
	{ "paths:\n- {path: /a, attributes: [all, -mtimes, {}]}\n",
	  "f:2:32: paths[].attributes: '-mtimes' is neither an attribute nor a group; did you mean '-mtime'?\n"
	  "f:2:41: paths[].attributes: expected an attribute, a group, or a list of them, found a mapping\n" },
	{ "paths:\n- {path: /a, attributes: [mode, -mode]}\n",
	  "f:2:26: paths[].attributes: leaves nothing to compare\n" },
	{ "paths:\n- {path: /a, attributes: []}\n", "f:2:26: paths[].attributes: leaves nothing to compare\n" },
	{ "exclude: [a/b]\n", "f:1:11: exclude: a pattern with '/' in it begins with '/' or '**'\n" },
	{ "exclude: ['']\n", "f:1:11: exclude: an empty pattern\n" },
	{ "store: {path: /var/lib/}\n", "f:1:15: store.path: '/var/lib/' is a folder: it ends with '/'\n" },
	{ "store: {path: db}\n", "f:1:15: store.path: 'db' is not absolute: it does not begin with '/'\n" },
	{ "control: "
	  "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	  "aaa\n",
	  "f:1:10: control: '/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...' is "
	  "too long "
	  "(at most 107 bytes)\n" },
	{ "control: \"/a\\0b\"\n", "f:1:10: a NUL byte in a text\n" },
	/* not YAML */
	{ "paths:\n\t- /etc\n", "f:2:1: while scanning for the next token: found character that cannot start any token "
				"(a tab: YAML is indented "
				"with spaces)\n" },
	{ "paths: [/etc\n", "f:2:1: while parsing a flow sequence: did not find expected ',' or ']'\n" },
	{ "a: b\n c: d\n", "f:2:3: mapping values are not allowed in this context\n" },
	{ "a: \"b\n", "f:2:1: while scanning a quoted scalar: found unexpected end of stream\n" },
	{ "opens: all\nexclude: [\xff]\n", "f:2:11: invalid leading UTF-8 octet\n" },
	{ "opens: \x01\n", "f:1:8: control characters are not allowed\n" },
	{ "opens: all\n---\nopens: all\n", "f:3:1: a second document: only one is read\n" },
	{ "opens: !x all\n", "f:1:8: tags are not used here\n" },
	{ "opens: *x\n", "f:1:8: an alias without its anchor\n" },
	{ "paths: &x [*x]\n", "f:1:12: an alias inside what it stands for\n" },
	{ "[[[[[[[[[[[[[[[[[[\n", "f:1:17: nested deeper than 16 levels\n" },
};

static void test_bad(void **state _unused_)
{
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_buf_ struct buf errors = BUF_INIT;
		_cleanup_conf_ struct conf *c = NULL;

		assert_int_equal(parse(bad[i].text, &c, &errors), -EINVAL);
		assert_null(c);
		if (!streq(errors.data, bad[i].errors))
			fail_msg("text:\n%ssaid:\n%sexpected:\n%s", bad[i].text, errors.data, bad[i].errors);
	}
}

/* A hundred faults of several kinds: each is said, by line. */
static void test_hundred(void **state _unused_)
{
	static const char *const faults[] = { "x%d: 1\n", "paths%d: [a]\n", "? [%d]\n: 1\n", "rules%d: 1\n" };
	_cleanup_buf_ struct buf text = BUF_INIT, errors = BUF_INIT;
	struct conf *c = NULL;
	unsigned line, column, last = 0, n = 0;

	for (int i = 0; i < 100; i++) {
		char piece[64];

		/* The formats are the constants above. */
		snprintf(piece, sizeof(piece), "%.*s%d%s", (int)strcspn(faults[i % 4], "%"), faults[i % 4], i,
			 strchr(faults[i % 4], '%') + 2);
		buf_str(&text, piece);
	}
	assert_int_equal(parse(text.data, &c, &errors), -EINVAL);
	for (char *save = NULL, *p = strtok_r(errors.data, "\n", &save); p; p = strtok_r(NULL, "\n", &save)) {
		assert_int_equal(sscanf(p, "f:%u:%u: ", &line, &column), 2);
		assert_true(line > last);
		last = line;
		n++;
	}
	assert_int_equal(n, 100);
}

static void test_bounds(void **state _unused_)
{
	_cleanup_buf_ struct buf text = BUF_INIT, errors = BUF_INIT;
	struct conf *c = NULL;

	/* aliases of aliases: 10^9 nodes if expanded */
	buf_str(&text, "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
	for (int i = 1; i < 9; i++)
		buf_printf(&text, "a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i, i, i - 1, i - 1,
			   i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
	assert_int_equal(parse(text.data, &c, &errors), -EINVAL);
	assert_non_null(strstr(errors.data, "more than 100000 nodes"));

	/* errors are bounded too, and the rest is counted */
	buf_reset(&text);
	buf_reset(&errors);
	for (int i = 0; i < 1500; i++)
		buf_printf(&text, "unheard%d: 1\n", i);
	assert_int_equal(parse(text.data, &c, &errors), -EINVAL);
	assert_non_null(strstr(errors.data, "f:1000:1: unknown key 'unheard999'\nf: 500 more errors\n"));

	/* 4 MiB */
	buf_reset(&text);
	buf_reset(&errors);
	while (text.len <= 4 * MIB)
		buf_str(&text, "################################################################\n");
	assert_int_equal(parse(text.data, &c, &errors), -EINVAL);
	assert_string_equal(errors.data, "f: larger than 4 MiB\n");

	/* entries */
	buf_reset(&text);
	buf_reset(&errors);
	buf_str(&text, "exclude:\n");
	for (int i = 0; i < SCOPE_ENTRIES_MAX + 1; i++)
		buf_str(&text, "- x\n");
	assert_int_equal(parse(text.data, &c, &errors), -EINVAL);
	assert_string_equal(errors.data, "f:4098:3: exclude: more than 4096 entries\n");
	assert_null(c);
}

static void test_counted(void **state _unused_)
{
	struct conf *c = parse_good(good), *second = conf_ref(c);

	assert_ptr_equal(c, second);
	conf_unref(c);
	assert_string_equal(second->control, "/tmp/x.sock");
	conf_unref(second);
}

/* --- files */

static void write_file(const char *path, const char *text)
{
	_cleanup_fclose_ FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
}

static void test_load(void **state)
{
	const char *folder = *state;
	_cleanup_buf_ struct buf errors = BUF_INIT;
	_cleanup_conf_ struct conf *c = NULL;
	char path[256], expected[512];

	snprintf(path, sizeof(path), "%s/good.yaml", folder);
	write_file(path, good);
	assert_int_equal(conf_load(path, &c, &errors), 0);
	assert_string_equal(c->file, path);
	assert_int_equal(errors.len, 0);

	snprintf(path, sizeof(path), "%s/bad\n.yaml", folder);
	write_file(path, "\n opens: never\n");
	conf_unref(TAKE_PTR(c));
	assert_int_equal(conf_load(path, &c, &errors), -EINVAL);
	snprintf(expected, sizeof(expected), "%s/bad\\n.yaml:2:9: opens: 'never' is not one of off, sensitive, all\n",
		 folder);
	assert_string_equal(errors.data, expected);
	assert_null(c);
}

/* None of these may wait or be read to the end. */
static void test_load_odd(void **state)
{
	const char *folder = *state;
	char fifo[256], big[256], link[256], missing[256];
	const struct {
		const char *path;
		int r;
		const char *text;
	} cases[] = {
		{ fifo, -EINVAL, ": not a regular file\n" },
		{ folder, -EINVAL, ": not a regular file\n" },
		{ "/dev/zero", -EINVAL, ": not a regular file\n" },
		{ big, -EINVAL, ": larger than 4 MiB\n" },
		{ link, -ELOOP, ": Too many levels of symbolic links\n" },
		{ missing, -ENOENT, ": No such file or directory\n" },
	};
	_cleanup_close_ int fd = -1;

	snprintf(fifo, sizeof(fifo), "%s/fifo", folder);
	snprintf(big, sizeof(big), "%s/big", folder);
	snprintf(link, sizeof(link), "%s/link", folder);
	snprintf(missing, sizeof(missing), "%s/missing", folder);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(symlink(link, link), 0);
	fd = open(big, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)1 << 40), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_buf_ struct buf errors = BUF_INIT;
		struct conf *c = NULL;

		assert_int_equal(conf_load(cases[i].path, &c, &errors), cases[i].r);
		assert_non_null(strstr(errors.data, cases[i].text));
		assert_null(c);
	}
}

static int make_folder(void **state)
{
	char *folder = strdup("/tmp/holdfast-conf-XXXXXX");

	*state = folder;
	return folder && mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
	static const char *const names[] = { "good.yaml", "bad\n.yaml", "fifo", "big", "link" };
	char *folder = *state, path[256];
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
		unlink(path);
	}
	r = rmdir(folder);
	free(folder);
	return r;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_sensitive),
		cmocka_unit_test(test_outputs),
		cmocka_unit_test(test_own),
		cmocka_unit_test(test_alias),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_hundred),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_counted),
		cmocka_unit_test_setup_teardown(test_load, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(test_load_odd, make_folder, remove_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
