/*
 * The schema table and what is derived from it: look-up, "did you mean", the table for people. Constant data; any
 * thread.
 */
#include "conf/schema.h"

#include <errno.h>
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
static const char *const files_words[] = { [CONF_FILES_OFF] = "off", [CONF_FILES_OBSERVE] = "observe", NULL };
static const char *const answer_words[] = { [CONF_NO] = "no", [CONF_YES] = "yes", NULL };
static const char *const trust_words[] = {
	[CONF_TRUST_BASELINES] = "baselines", [CONF_TRUST_DPKG] = "dpkg", [CONF_TRUST_EXPLICIT] = "explicit", NULL
};
static const char *const fail_words[] = { [CONF_FAIL_OPEN] = "open", [CONF_FAIL_CLOSED] = "closed", NULL };
static const char *const scripts_words[] = {
	[CONF_SCRIPTS_OFF] = "off", [CONF_SCRIPTS_REPORT] = "report", [CONF_SCRIPTS_ENFORCE] = "enforce", NULL
};

static const char *const libraries_words[] = {
	[CONF_LIBRARIES_OFF] = "off", [CONF_LIBRARIES_ENVIRONMENT] = "environment", [CONF_LIBRARIES_ALL] = "all", NULL
};
static const char *const images_words[] = { [CONF_IMAGES_OWN] = "own",
					    [CONF_IMAGES_CONTAINERS] = "containers",
					    [CONF_IMAGES_EVERYWHERE] = "everywhere",
					    NULL };
static const char *const ungated_words[] = { [CONF_UNGATED_LATE] = "late", [CONF_UNGATED_KILL] = "kill", NULL };
static const char *const record_words[] = {
	[CONF_RECORD_OFF] = "off", [CONF_RECORD_IP] = "ip", [CONF_RECORD_ALL] = "all", NULL
};
static const char *const network_words[] = {
	[CONF_NETWORK_OFF] = "off", [CONF_NETWORK_OBSERVE] = "observe", [CONF_NETWORK_ENFORCE] = "enforce", NULL
};
static const char *const unknown_words[] = { [CONF_UNKNOWN_ALLOW] = "allow", [CONF_UNKNOWN_DENY] = "deny", NULL };
static const char *const protect_words[] = { [CONF_PROTECT_LOOPBACK] = "loopback",
					     [CONF_PROTECT_DNS] = "dns",
					     [CONF_PROTECT_API_SERVER] = "api-server",
					     [CONF_PROTECT_KUBELET] = "kubelet",
					     NULL };
static const char *const audit_words[] = {
	[CONF_AUDIT_OFF] = "off", [CONF_AUDIT_READ] = "read", [CONF_AUDIT_ENABLE] = "enable", NULL
};
static const char *const overlay_words[] = { [CONF_OVERLAYS_AUTO] = "auto", [CONF_OVERLAYS_MARK] = "mark", NULL };
static const char *const bpf_words[] = { [CONF_BPF_OFF] = "off", [CONF_BPF_AUTO] = "auto", NULL };
static const char *const priority_words[] = { [PRIORITY_EMERGENCY] = "emergency",
					      [PRIORITY_ALERT] = "alert",
					      [PRIORITY_CRITICAL] = "critical",
					      [PRIORITY_ERROR] = "error",
					      [PRIORITY_WARNING] = "warning",
					      [PRIORITY_NOTICE] = "notice",
					      [PRIORITY_INFORMATIONAL] = "informational",
					      [PRIORITY_DEBUG] = "debug",
					      NULL };
static const char *const matching_words[] = { [CONF_MATCHING_ALL] = "all", [CONF_MATCHING_FIRST] = "first", NULL };
static const char *const output_words[] = {
	[CONF_OUTPUT_NONE] = "none",	   [CONF_OUTPUT_STDOUT] = "stdout",	[CONF_OUTPUT_FILE] = "file",
	[CONF_OUTPUT_SYSLOG] = "syslog",   [CONF_OUTPUT_JOURNALD] = "journald", [CONF_OUTPUT_UNIX] = "unix",
	[CONF_OUTPUT_PROGRAM] = "program", [CONF_OUTPUT_HTTP] = "http",		NULL
};
static const char *const format_words[] = {
	[CONF_FORMAT_JSON] = "json", [CONF_FORMAT_ECS] = "ecs", [CONF_FORMAT_TEXT] = "text", NULL
};

static const char *const respond_words[] = {
	[CONF_RESPOND_OFF] = "off", [CONF_RESPOND_DRY_RUN] = "dry-run", [CONF_RESPOND_ACT] = "act", NULL
};
static const char *const where_words[] = {
	[CONF_WHERE_ANY] = "any", [CONF_WHERE_CONTAINER] = "container", [CONF_WHERE_HOST] = "host", NULL
};

#define MSEC	 NSEC_PER_MSEC
#define SEC	 NSEC_PER_SEC
#define HOUR	 (3600 * SEC)
#define DAY	 (24 * HOUR)
#define GIB	 (1024 * MIB)
#define FILE_MAX 4095
#define SUN_MAX	 107 /* sun_path of unix(7) with its NUL */

#define AT(field)     offsetof(struct conf, field)
#define ITEM(field)   offsetof(struct conf_item, field)
#define OUT(field)    offsetof(struct conf_output, field)
#define RUNG(field)   offsetof(struct conf_ladder, field)
#define POLICY(field) offsetof(struct conf_policy, field)
#define NET(field)    offsetof(struct conf_network_policy, field)
#define WORDS(list)   .words = list

const struct conf_key conf_schema[] = {
	{ "paths", CONF_PATHS, AT(scope), .help = "what is guarded: paths, or mappings of the three keys below" },
	{ "paths[].path", CONF_PATTERN, ITEM(path), .help = "file or folder with all below it; may be a pattern" },
	{ "paths[].path_hex", CONF_HEX, ITEM(path_hex), .help = "the same as hex digits of its bytes" },
	{ "paths[].attributes", CONF_ATTRIBUTES, ITEM(attributes), "all", .help = "which attributes are compared" },
	{ "exclude", CONF_EXCLUDE, AT(scope), .help = "patterns of what is left out below guarded paths" },
	{ "sensitive", CONF_SENSITIVE, AT(sensitive), .help = "files and folders whose every open is recorded" },
	{ "sensitive[].path", CONF_PATTERN, ITEM(path), .help = "file or folder with all in it; may be a pattern" },
	{ "sensitive[].path_hex", CONF_HEX, ITEM(path_hex), .help = "the same as hex digits of its bytes" },
	{ "diffs", CONF_FILES, AT(diffs), "/etc",
	  .help = "files and folders whose small text files are kept, so that changes show line by line; []: none" },
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
	{ "store.sync", CONF_WORD, AT(store.sync), "full", WORDS(sync_words),
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

	{ "packages.hold", CONF_DURATION, AT(packages.hold), "5m", .max = DAY,
	  .help = "changes of a package transaction wait so long to be verified; 0: they are told at once" },

	{ "exec.mode", CONF_WORD, AT(exec.mode), "observe", WORDS(mode_words),
	  .help = "program starts are not looked at, reported, or denied too" },
	{ "exec.trust", CONF_WORDS, AT(exec.trust), "baselines, dpkg, explicit", WORDS(trust_words),
	  .help = "who vouches for a program, in the order in which they are asked" },
	{ "exec.images", CONF_WORD, AT(exec.images), "own", WORDS(images_words),
	  .help = "where baselines of images vouch: in containers of that image, in any container, on the host too" },
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
	{ "exec.libraries", CONF_WORD, AT(exec.libraries), "environment", WORDS(libraries_words),
	  .help = "LD_PRELOAD and the like, and libraries nobody vouches for: of who sets those, or of all programs" },
	{ "exec.ungated", CONF_WORD, AT(exec.ungated), "late", WORDS(ungated_words),
	  .help = "what no permission event comes for: judged when it runs, or killed before its first instruction" },

	{ "sensors.bpf", CONF_WORD, AT(sensors.bpf), "auto", WORDS(bpf_words),
	  .help = "programs in the kernel, where it takes them, tell of processes" },
	{ "sensors.ring", CONF_SIZE, AT(sensors.ring), "2M", .min = 4 * KIB, .max = GIB,
	  .help = "room for what they tell and nobody has read yet" },
	{ "sensors.overlays", CONF_WORD, AT(sensors.overlays), "auto", WORDS(overlay_words),
	  .help = "overlays of containers get marks of their own: where the kernel needs it, or always" },

	{ "network.record", CONF_WORD, AT(network.record), "off", WORDS(record_words),
	  .help = "connections that go to history: none, those of IPv4 and IPv6, or unix sockets too" },

	{ "network.mode", CONF_WORD, AT(network.mode), "off", WORDS(network_words),
	  .help = "connections that network.policies deny: not looked at, reported, or failed too" },
	{ "network.unknown", CONF_WORD, AT(network.unknown), "allow", WORDS(unknown_words),
	  .help = "connections of a container that is not known yet" },
	{ "network.protect", CONF_WORDS, AT(network.protect), "loopback, dns, api-server, kubelet",
	  WORDS(protect_words), .help = "destinations that no policy denies" },
	{ "network.policies", CONF_NETWORK, AT(network.policies),
	  .help = "who may connect where: mappings of the keys below" },
	{ "network.policies[].name", CONF_TEXT, NET(name), .max = 64,
	  .help = "what it is called in history and alerts" },
	{ "network.policies[].image", CONF_TEXT, NET(image), .max = 1024,
	  .help = "for containers of images with such a reference; a pattern" },
	{ "network.policies[].namespace", CONF_TEXT, NET(namespace), .max = 1024,
	  .help = "for containers of pods in such a namespace; a pattern" },
	{ "network.policies[].user", CONF_TEXT, NET(user), .max = 64,
	  .help = "for processes of this user: name or id" },
	{ "network.policies[].program", CONF_FILE, NET(program), .max = FILE_MAX,
	  .help = "for processes that run this file of the host" },
	{ "network.policies[].allow", CONF_TEXTS, NET(allow_texts),
	  .help = "destinations that are allowed: address, network, domain or any, each with ports or without" },
	{ "network.policies[].deny", CONF_TEXTS, NET(deny_texts), .help = "destinations that are denied" },

	{ "users.record", CONF_WORD, AT(users.record), "yes", WORDS(answer_words),
	  .help = "logins, sessions, su and sudo go to history and to rules" },
	{ "users.audit", CONF_WORD, AT(users.audit), "read", WORDS(audit_words),
	  .help = "the kernel's audit records: not read, read where there are some, or switched on too" },
	{ "users.files", CONF_FILES, AT(users.files), "/run/utmp, /var/log/wtmp, /var/log/btmp",
	  .help = "files of utmp(5) by their names: utmp..., btmp..., others are as wtmp" },

	{ "containers.stores", CONF_FILES, AT(containers.stores),
	  .help = "folders in which container runtimes keep their state, besides the usual ones" },
	{ "containers.policies", CONF_POLICIES, AT(containers.policies),
	  .help = "what containers may run: mappings of the keys below, the first that matches counts" },
	{ "containers.policies[].image", CONF_TEXT, POLICY(image), .max = 1024,
	  .help = "for containers of images with such a reference; a pattern" },
	{ "containers.policies[].namespace", CONF_TEXT, POLICY(namespace), .max = 1024,
	  .help = "for containers of pods in such a namespace; a pattern" },
	{ "containers.policies[].label", CONF_TEXT, POLICY(label), .max = 1024,
	  .help = "for containers with this label or annotation, key=value; the value is a pattern" },
	{ "containers.policies[].exec", CONF_WORD, POLICY(exec), "observe", WORDS(mode_words),
	  .help = "programs that are not in the image: no matter, reported, or denied too" },
	{ "containers.policies[].exceptions", CONF_TEXTS, POLICY(exceptions),
	  .help = "programs in the container that are left to exec.trust: patterns of paths" },
	{ "containers.policies[].files", CONF_WORD, POLICY(files), "observe", WORDS(files_words),
	  .help = "files that are not as the image has them: no matter, or reported" },
	{ "containers.policies[].exclude", CONF_FILES, POLICY(exclude),
	  "/tmp, /var/tmp, /var/log, /var/cache, /run, /var/run",
	  .help = "what may change in the container: patterns of paths, each with all below it" },
	{ "containers.baseline_on_start", CONF_WORD, AT(containers.baseline_on_start), "no", WORDS(answer_words),
	  .help = "the baseline of an image that has none is made from its layers when a container of it starts" },

	{ "rules.files", CONF_FILES, AT(rules.files),
	  PKGDATADIR "/rules/holdfast.yaml, " PKGDATADIR "/rules/users.yaml, " SYSCONFDIR "/holdfast/rules.d",
	  .help = "rule files, folders (their *.yaml) and globs; later ones change what earlier ones define" },
	{ "rules.disable", CONF_TEXTS, AT(rules.disable), .help = "rules that are off: names, globs, tag:NAME" },
	{ "rules.enable", CONF_TEXTS, AT(rules.enable), .help = "rules that are on, whatever their file says" },
	{ "rules.minimum", CONF_WORD, AT(rules.minimum), "debug", WORDS(priority_words),
	  .help = "rules that are less urgent are off" },
	{ "rules.matching", CONF_WORD, AT(rules.matching), "all", WORDS(matching_words),
	  .help = "every rule that matches an event, or just the first one" },
	{ "rules.repeat", CONF_DURATION, AT(rules.repeat), "60s", .max = DAY,
	  .help = "an alert like one of so long ago is counted and summed up; 0: never" },
	{ "rules.burst", CONF_COUNT, AT(rules.burst), "30", .max = 1 << 20,
	  .help = "alerts of one rule sent within rules.repeat, the rest is summed up; 0: any number" },

	{ "outputs", CONF_OUTPUTS, AT(outputs), .help = "where alerts go: mappings of the keys below" },
	{ "outputs[].type", CONF_WORD, OUT(type), WORDS(output_words), .help = "how they are sent" },
	{ "outputs[].name", CONF_TEXT, OUT(name), .max = 64,
	  .help = "what it is called in messages; unlike any other" },
	{ "outputs[].format", CONF_WORD, OUT(format), "json", WORDS(format_words),
	  .help = "Falco's JSON, Elastic Common Schema, or a line for people" },
	{ "outputs[].minimum", CONF_WORD, OUT(minimum), "debug", WORDS(priority_words),
	  .help = "alerts that are less urgent are not sent there" },
	{ "outputs[].path", CONF_FILE, OUT(path), .max = FILE_MAX, .help = "file, or socket of unix and syslog" },
	{ "outputs[].address", CONF_TEXT, OUT(address), .max = 512,
	  .help = "syslog elsewhere: udp://HOST:PORT or tcp://HOST:PORT" },
	{ "outputs[].url", CONF_TEXT, OUT(url), .max = 4096, .help = "http: where alerts are posted" },
	{ "outputs[].command", CONF_TEXTS, OUT(command), .help = "program and its arguments; no shell is asked" },
	{ "outputs[].headers", CONF_TEXTS, OUT(headers), .help = "http: more headers, Name: value" },
	{ "outputs[].ca", CONF_FILE, OUT(ca), .max = FILE_MAX,
	  .help = "http: PEM file of who signs the server's certificate" },
	{ "outputs[].cert", CONF_FILE, OUT(cert), .max = FILE_MAX, .help = "http: PEM file of our own certificate" },
	{ "outputs[].key", CONF_FILE, OUT(key), .max = FILE_MAX, .help = "http: PEM file of its key" },
	{ "outputs[].batch", CONF_COUNT, OUT(batch), "1", .min = 1, .max = 1000,
	  .help = "http: alerts in one request; more than 1 are a list" },
	{ "outputs[].timeout", CONF_DURATION, OUT(timeout), "10s", .min = 10 * MSEC, .max = HOUR,
	  .help = "a delivery that takes longer is tried again later" },
	{ "outputs[].spool", CONF_SIZE, OUT(spool), "16M", .min = 64 * KIB, .max = 64 * GIB,
	  .help = "kept on disk for an output that does not take alerts" },
	{ "outputs[].rotate", CONF_SIZE, OUT(rotate), "64M", .max = 64 * 1024 * GIB,
	  .help = "file: a new one is begun at this size; 0: never" },
	{ "outputs[].keep", CONF_COUNT, OUT(keep), "5", .min = 1, .max = 1000, .help = "file: old ones that are kept" },
	{ "respond.mode", CONF_WORD, AT(respond.mode), "dry-run", WORDS(respond_words),
	  .help = "actions are off, only recorded as what would be done, or done" },
	{ "respond.never_touch", CONF_FILES, AT(respond.never_touch), "",
	  .help = "globs of executables whose processes are never touched, beside those that are built in" },
	{ "respond.keep", CONF_FILES, AT(respond.keep),
	  "/bin, /sbin, /lib, /lib64, /usr/bin, /usr/sbin, /usr/lib, /usr/lib64, /usr/libexec, /etc, /boot",
	  .help = "files and folders of the host that are never quarantined" },
	{ "respond.per_minute", CONF_COUNT, AT(respond.per_minute), "6", .min = 1, .max = 100000,
	  .help = "ladders begun in a minute for one container, and for one executable; then only alerts" },
	{ "respond.total_per_minute", CONF_COUNT, AT(respond.total_per_minute), "60", .min = 1, .max = 100000,
	  .help = "ladders begun in a minute" },
	{ "respond.thaw", CONF_DURATION, AT(respond.thaw), "5m", .min = SEC, .max = DAY,
	  .help = "nothing stays frozen for longer" },
	{ "respond.grace", CONF_DURATION, AT(respond.grace), "10s", .max = HOUR,
	  .help = "what a container that is stopped has to end by itself" },
	{ "respond.run_timeout", CONF_DURATION, AT(respond.run_timeout), "30s", .min = SEC, .max = HOUR,
	  .help = "a program of `run` is killed after" },
	{ "respond.deny", CONF_DURATION, AT(respond.deny), "0", .max = 3650 * DAY,
	  .help = "what is denied may run again after; 0: not before `holdfast trust remove`" },
	{ "respond.quarantine_size", CONF_SIZE, AT(respond.quarantine_size), "1G", .min = MIB, .max = 64 * 1024 * GIB,
	  .help = "bytes of the whole quarantine; what does not fit stays where it is" },
	{ "respond.quarantine_entries", CONF_COUNT, AT(respond.quarantine_entries), "1000", .min = 1, .max = 100000,
	  .help = "entries of the quarantine" },
	{ "respond.quarantine_file", CONF_SIZE, AT(respond.quarantine_file), "64M", .min = 64 * KIB, .max = 64 * GIB,
	  .help = "larger files are neither copied as evidence nor moved across file systems" },
	{ "respond.ladders", CONF_LADDERS, AT(respond.ladders), .help = "actions: mappings of the keys below" },
	{ "respond.ladders[].name", CONF_TEXT, RUNG(name), .max = 64, .help = "what it is called in history" },
	{ "respond.ladders[].rules", CONF_TEXTS, RUNG(rules), .help = "for alerts of these rules; globs" },
	{ "respond.ladders[].tags", CONF_TEXTS, RUNG(tags), .help = "for rules with one of these tags; globs" },
	{ "respond.ladders[].minimum", CONF_WORD, RUNG(minimum), "debug", WORDS(priority_words),
	  .help = "for alerts that are this or more urgent" },
	{ "respond.ladders[].where", CONF_WORD, RUNG(where), "any", WORDS(where_words),
	  .help = "for processes in containers, on the host, or both" },
	{ "respond.ladders[].containers", CONF_TEXTS, RUNG(containers),
	  .help = "for containers of these images, names or ids; globs" },
	{ "respond.ladders[].steps", CONF_TEXTS, RUNG(texts), .help = "ACTION [WORD...] [after DURATION], in order" },
};
const size_t conf_schema_count = ARRAY_SIZE(conf_schema);

_Static_assert(ARRAY_SIZE(conf_schema) <= CONF_KEYS_MAX,
	       "arrays over the rows of the schema have CONF_KEYS_MAX entries");
_Static_assert(ARRAY_SIZE(priority_words) == PRIORITY_COUNT + 1, "a word for each priority");
_Static_assert(ARRAY_SIZE(digest_words) == DIGEST_ALGO_COUNT + 1, "a word for each digest");

int conf_schema_preset(struct arena *a, const char *prefix, void *item)
{
	for (size_t i = 0; i < conf_schema_count; i++) {
		const struct conf_key *k = &conf_schema[i];
		_cleanup_buf_ struct buf why = BUF_INIT;

		if (!k->preset || strncmp(k->key, prefix, strlen(prefix)) != 0)
			continue;
		if (conf_types[k->type].parse(a, k, k->preset, (char *)item + k->offset, &why) < 0)
			return -ENOMEM;
	}
	return 0;
}

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
