/*
 * The schema table and what is derived from it: look-up, "did you mean", the table for people. Constant data; any
 * thread.
 */
#include "conf/schema.h"

#include <string.h>

#include "conf/conf.h"
#include "lib/text.h"
#include "lib/util.h"

static const char *const opens_words[] = {
	[CONF_OPENS_OFF] = "off", [CONF_OPENS_SENSITIVE] = "sensitive", [CONF_OPENS_ALL] = "all", NULL
};
static const char *const sync_words[] = { [CONF_SYNC_NORMAL] = "normal", [CONF_SYNC_FULL] = "full", NULL };
/* The names in digest_table, which C does not take for constants. */
static const char *const digest_words[] = { [DIGEST_SHA256] = "sha256",
					    [DIGEST_SHA512] = "sha512",
					    [DIGEST_SHA3_256] = "sha3-256",
					    [DIGEST_BLAKE2B512] = "blake2b512",
					    NULL };

static const char *const mode_words[] = {
	[CONF_EXEC_OFF] = "off", [CONF_EXEC_OBSERVE] = "observe", [CONF_EXEC_ENFORCE] = "enforce", NULL
};
static const char *const trust_words[] = {
	[CONF_TRUST_BASELINES] = "baselines", [CONF_TRUST_DPKG] = "dpkg", [CONF_TRUST_EXPLICIT] = "explicit", NULL
};
static const char *const fail_words[] = { [CONF_FAIL_OPEN] = "open", [CONF_FAIL_CLOSED] = "closed", NULL };
static const char *const scripts_words[] = {
	[CONF_SCRIPTS_OFF] = "off", [CONF_SCRIPTS_REPORT] = "report", [CONF_SCRIPTS_ENFORCE] = "enforce", NULL
};

static const char *const bpf_words[] = { [CONF_BPF_OFF] = "off", [CONF_BPF_AUTO] = "auto", NULL };

#define MSEC	 NSEC_PER_MSEC
#define SEC	 NSEC_PER_SEC
#define HOUR	 (3600 * SEC)
#define DAY	 (24 * HOUR)
#define GIB	 (1024 * MIB)
#define FILE_MAX 4095
#define SUN_MAX	 107 /* sun_path of unix(7) with its NUL */

#define AT(field)   offsetof(struct conf, field)
#define ITEM(field) offsetof(struct conf_item, field)
#define WORDS(list) .words = list

const struct conf_key conf_schema[] = {
	{ "paths", CONF_PATHS, AT(scope), .help = "what is guarded: paths, or mappings of the three keys below" },
	{ "paths[].path", CONF_PATTERN, ITEM(path), .help = "file or folder with all below it; may be a pattern" },
	{ "paths[].path_hex", CONF_HEX, ITEM(path_hex), .help = "the same as hex digits of its bytes" },
	{ "paths[].attributes", CONF_ATTRIBUTES, ITEM(attributes), "all", .help = "which attributes are compared" },
	{ "exclude", CONF_EXCLUDE, AT(scope), .help = "patterns of what is left out below guarded paths" },
	{ "sensitive", CONF_SENSITIVE, AT(sensitive), .help = "files and folders whose every open is recorded" },
	{ "sensitive[].path", CONF_PATTERN, ITEM(path), .help = "file or folder with all in it; may be a pattern" },
	{ "sensitive[].path_hex", CONF_HEX, ITEM(path_hex), .help = "the same as hex digits of its bytes" },
	{ "opens", CONF_WORD, AT(opens), "sensitive", WORDS(opens_words), .help = "which opens are recorded" },
	{ "control", CONF_FILE, AT(control), "/run/holdfast.sock", .max = SUN_MAX, .help = "control socket" },

	{ "store.path", CONF_FILE, AT(store.path), "/var/lib/holdfast/holdfast.db", .max = FILE_MAX,
	  .help = "database of baselines and history" },
	{ "store.key", CONF_FILE, AT(store.key), .beside = "signing.key", .max = FILE_MAX,
	  .help = "Ed25519 private key that signs baselines and history" },
	{ "store.head", CONF_FILE, AT(store.head), .beside = "holdfast.head", .max = FILE_MAX,
	  .help = "newest signed head, kept outside the database" },
	{ "store.max_size", CONF_SIZE, AT(store.max_size), "2G", .min = MIB, .max = 64 * 1024 * GIB,
	  .help = "the oldest history is pruned above this size" },
	{ "store.max_age", CONF_DURATION, AT(store.max_age), "90d", .min = SEC, .max = 36500 * DAY,
	  .help = "history older than this is pruned" },
	{ "store.commit_interval", CONF_DURATION, AT(store.commit_interval), "200ms", .min = MSEC, .max = 60 * SEC,
	  .help = "history is committed at the latest after" },
	{ "store.sync", CONF_WORD, AT(store.sync), "normal", WORDS(sync_words),
	  .help = "a commit survives a kill (normal) or power loss too (full)" },
	{ "store.digest", CONF_WORD, AT(store.digest), "sha256", WORDS(digest_words),
	  .help = "digest of file content in new baselines" },

	{ "limits.hash_threads", CONF_COUNT, AT(limits.hash_threads), "0", .max = 256,
	  .help = "threads that read and hash; 0: one for each processor" },
	{ "limits.hash_size", CONF_SIZE, AT(limits.hash_size), "0", .max = 64 * 1024 * GIB,
	  .help = "larger files are recorded without digest; 0: none is too large" },
	{ "limits.settle", CONF_DURATION, AT(limits.settle), "20ms", .max = 60 * SEC,
	  .help = "quiet time before a change is judged" },
	{ "limits.settle_max", CONF_DURATION, AT(limits.settle_max), "1s", .min = MSEC, .max = HOUR,
	  .help = "a file that never gets quiet is judged after" },
	{ "limits.pending", CONF_COUNT, AT(limits.pending), "65536", .min = 64, .max = 1 << 24,
	  .help = "changes held in memory" },
	{ "limits.queue", CONF_COUNT, AT(limits.queue), "4096", .min = 16, .max = 1 << 20,
	  .help = "batches held between two threads" },
	{ "limits.processes", CONF_COUNT, AT(limits.processes), "32768", .min = 256, .max = 1 << 22,
	  .help = "processes remembered" },
	{ "limits.recheck", CONF_DURATION, AT(limits.recheck), "1h", .max = 3650 * DAY,
	  .help = "all metadata is compared again within; 0: never" },
	{ "limits.rehash", CONF_DURATION, AT(limits.rehash), "7d", .max = 3650 * DAY,
	  .help = "all content is read again within; 0: never" },
	{ "limits.recheck_rate", CONF_SIZE, AT(limits.recheck_rate), "4M", .min = 64 * KIB, .max = 1024 * GIB,
	  .help = "bytes a second for both" },
	{ "limits.canary", CONF_DURATION, AT(limits.canary), "60s", .max = DAY,
	  .help = "interval of the end-to-end test of the sensors; 0: never" },
	{ "limits.canary_deadline", CONF_DURATION, AT(limits.canary_deadline), "2s", .min = 10 * MSEC, .max = HOUR,
	  .help = "the test fails when its event takes longer" },

	{ "exec.mode", CONF_WORD, AT(exec.mode), "observe", WORDS(mode_words),
	  .help = "program starts are not looked at, reported, or denied too" },
	{ "exec.trust", CONF_WORDS, AT(exec.trust), "baselines, dpkg, explicit", WORDS(trust_words),
	  .help = "who vouches for a program, in the order in which they are asked" },
	{ "exec.deadline", CONF_DURATION, AT(exec.deadline), "500ms", .min = 10 * MSEC, .max = 60 * SEC,
	  .help = "a start that is not judged by then is answered by exec.fail" },
	{ "exec.stall", CONF_DURATION, AT(exec.stall), "5s", .min = SEC, .max = 600 * SEC,
	  .help = "a monitor that stalls for so long while it enforces is killed" },
	{ "exec.fail", CONF_WORD, AT(exec.fail), "open", WORDS(fail_words),
	  .help = "the answer where there is no verdict: let it run, or deny it" },
	{ "exec.max_size", CONF_SIZE, AT(exec.max_size), "256M", .min = MIB, .max = 64 * GIB,
	  .help = "larger programs are answered by exec.fail" },
	{ "exec.scripts", CONF_WORD, AT(exec.scripts), "off", WORDS(scripts_words),
	  .help = "scripts that an interpreter is given on its command line" },

	{ "sensors.bpf", CONF_WORD, AT(sensors.bpf), "auto", WORDS(bpf_words),
	  .help = "programs in the kernel, where it takes them, tell of processes" },
	{ "sensors.ring", CONF_SIZE, AT(sensors.ring), "4M", .min = 4 * KIB, .max = GIB,
	  .help = "room for what they tell and nobody has read yet" },

	{ "containers", CONF_RESERVED, .help = "container runtimes" },
	{ "rules", CONF_RESERVED, .help = "rule files" },
	{ "outputs", CONF_RESERVED, .help = "where alerts go" },
	{ "respond", CONF_RESERVED, .help = "actions" },
};
const size_t conf_schema_count = ARRAY_SIZE(conf_schema);

_Static_assert(ARRAY_SIZE(conf_schema) <= CONF_KEYS_MAX,
	       "arrays over the rows of the schema have CONF_KEYS_MAX entries");
_Static_assert(ARRAY_SIZE(digest_words) == DIGEST_ALGO_COUNT + 1, "a word for each digest");

/* The part of the row's key that names a member of the group `prefix`: its start and length; NULL when it is elsewhere.
 */
static const char *member(const struct conf_key *k, const char *prefix, size_t *ret_len)
{
	size_t len = strlen(prefix);

	if (strncmp(k->key, prefix, len) != 0)
		return NULL;
	*ret_len = strcspn(k->key + len, ".[");
	return k->key + len;
}

const struct conf_key *conf_schema_find(const char *prefix, const char *name, bool *ret_group)
{
	for (size_t i = 0; i < conf_schema_count; i++) {
		size_t len;
		const char *m = member(&conf_schema[i], prefix, &len);

		if (!m || strlen(name) != len || strncmp(m, name, len) != 0)
			continue;
		*ret_group = m[len] == '.';
		return &conf_schema[i];
	}
	return NULL;
}

bool conf_schema_nearest(const char *prefix, const char *name, char ret[64])
{
	char names[CONF_KEYS_MAX][64];
	const char *words[CONF_KEYS_MAX], *nearest;
	size_t n = 0;

	for (size_t i = 0; i < conf_schema_count; i++) {
		size_t len;
		const char *m = member(&conf_schema[i], prefix, &len);

		if (!m || len >= sizeof(names[0]) || conf_schema[i].type == CONF_RESERVED)
			continue;
		memcpy(names[n], m, len);
		names[n][len] = '\0';
		words[n] = names[n];
		n++;
	}
	nearest = strlen(name) < 64 ? text_nearest(name, words, n) : NULL;
	if (nearest)
		memcpy(ret, nearest, strlen(nearest) + 1);
	return nearest != NULL;
}

static void describe_type(struct buf *b, const struct conf_key *k)
{
	if (k->type != CONF_WORD && k->type != CONF_WORDS) {
		buf_str(b, conf_types[k->type].name);
		return;
	}
	for (size_t i = 0; k->words[i]; i++)
		buf_printf(b, "%s%s", i ? "|" : "", k->words[i]);
}

void conf_describe(struct buf *b)
{
	for (size_t i = 0; i < conf_schema_count; i++) {
		const struct conf_key *k = &conf_schema[i];
		_cleanup_buf_ struct buf type = BUF_INIT;

		if (k->type == CONF_RESERVED)
			continue;
		describe_type(&type, k);
		buf_printf(b, "%-24s %-34s %-30s %s\n", k->key, type.data ? type.data : "", k->preset ?: k->beside ?: "-",
			   k->help);
		b->failed |= type.failed;
	}
}
