/*
 * Configuration: an immutable, counted snapshot. Every key is a row of the schema table (conf/schema.c): name, type,
 * default, range, help; the loader, the defaults, "did you mean" and the manual's table come from it.
 */
#ifndef CONF_CONF_H
#define CONF_CONF_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "conf/scope.h"
#include "event/action.h"
#include "event/event.h"
#include "lib/arena.h"
#include "lib/buf.h"
#include "lib/digest.h"

#define CONF_DEFAULT_PATH SYSCONFDIR "/holdfast/holdfast.yaml"

/* Beside the database, written while the monitor runs; no key names them. */
#define CONF_LOCK    "holdfast.lock" /* held by the monitor that writes there */
#define CONF_RESPOND "respond.json"  /* responses that wait */
#define CONF_NEW     ".new"	     /* behind the name of what is written whole before it takes that name */

enum conf_opens { CONF_OPENS_OFF, CONF_OPENS_SENSITIVE, CONF_OPENS_ALL };
enum conf_exec_mode { CONF_EXEC_OFF, CONF_EXEC_OBSERVE, CONF_EXEC_ENFORCE };
enum conf_exec_trust { CONF_TRUST_BASELINES, CONF_TRUST_DPKG, CONF_TRUST_EXPLICIT, CONF_TRUST_COUNT };
enum conf_exec_fail { CONF_FAIL_OPEN, CONF_FAIL_CLOSED };
enum conf_exec_scripts { CONF_SCRIPTS_OFF, CONF_SCRIPTS_REPORT, CONF_SCRIPTS_ENFORCE };
enum conf_bpf { CONF_BPF_OFF, CONF_BPF_AUTO };
enum conf_overlays { CONF_OVERLAYS_AUTO, CONF_OVERLAYS_MARK };
enum conf_exec_libraries { CONF_LIBRARIES_OFF, CONF_LIBRARIES_ENVIRONMENT, CONF_LIBRARIES_ALL };
enum conf_exec_images { CONF_IMAGES_OWN, CONF_IMAGES_CONTAINERS, CONF_IMAGES_EVERYWHERE };
enum conf_exec_ungated { CONF_UNGATED_LATE, CONF_UNGATED_KILL };
enum conf_audit { CONF_AUDIT_OFF, CONF_AUDIT_READ, CONF_AUDIT_ENABLE };
enum conf_record { CONF_RECORD_OFF, CONF_RECORD_IP, CONF_RECORD_ALL };
enum conf_network_mode { CONF_NETWORK_OFF, CONF_NETWORK_OBSERVE, CONF_NETWORK_ENFORCE };
enum conf_network_unknown { CONF_UNKNOWN_ALLOW, CONF_UNKNOWN_DENY };
enum conf_protect {
	CONF_PROTECT_LOOPBACK,
	CONF_PROTECT_DNS,
	CONF_PROTECT_API_SERVER,
	CONF_PROTECT_KUBELET,
	CONF_PROTECT_COUNT
};
enum conf_sync { CONF_SYNC_NORMAL, CONF_SYNC_FULL };

/* Words of a list, in their order. */
#define CONF_WORDS_MAX 8
struct conf_words {
	unsigned n;
	unsigned word[CONF_WORDS_MAX];
};

enum conf_matching { CONF_MATCHING_ALL, CONF_MATCHING_FIRST };

struct conf_list {
	const char **items;
	size_t n;
	bool given; /* by the file: not the default */
};

/* What is not in its image and yet is started in a container. */
enum conf_drift { CONF_DRIFT_OFF, CONF_DRIFT_OBSERVE, CONF_DRIFT_ENFORCE };

#define CONF_POLICIES_MAX 256

enum conf_answer { CONF_NO, CONF_YES };

/* Files of containers that are not as their image has them. */
enum conf_files { CONF_FILES_OFF, CONF_FILES_OBSERVE };

/* Of the containers that all of what is given matches. */
struct conf_policy {
	const char *image, *namespace; /* globs; NULL: any */
	const char *label;	       /* "key=value", the value a glob; NULL: any */
	enum conf_drift exec;
	enum conf_files files;
	struct conf_list exceptions; /* globs of paths in the container */
	struct conf_list exclude;    /* globs of paths in the container whose files may change */
};

/* A destination of network.policies: "10.0.0.0/8:443", "[2001:db8::1]:80-90", "*.example.org:443", "any:25". */
#define CONF_PEERS_MAX 240 /* of all policies */
struct conf_peer {
	const char *text;     /* as written */
	const char *domain;   /* in lower case; NULL: it is by address */
	bool below;	      /* not the domain itself but every name below it */
	uint8_t address[16];  /* IPv4 mapped into IPv6 */
	uint8_t prefix;	      /* bits of it that count; 0: any */
	uint16_t first, last; /* ports */
};

/* Of who all of what is given holds for; the first that names the destination decides, allow before deny. */
struct conf_network_policy {
	const char *name;	       /* never NULL once loaded */
	const char *image, *namespace; /* globs, of the container; NULL: any, and the host */
	const char *user;	       /* name or number; NULL: any */
	const char *program;	       /* path on the host; NULL: any */
	struct conf_list allow_texts, deny_texts;
	struct conf_peer *allow, *deny;
	size_t n_allow, n_deny;
};

enum conf_output_type {
	CONF_OUTPUT_NONE, /* not given */
	CONF_OUTPUT_STDOUT,
	CONF_OUTPUT_FILE,
	CONF_OUTPUT_SYSLOG,
	CONF_OUTPUT_JOURNALD,
	CONF_OUTPUT_UNIX,
	CONF_OUTPUT_PROGRAM,
	CONF_OUTPUT_HTTP,
	CONF_OUTPUT_TYPE_COUNT
};
enum conf_format { CONF_FORMAT_JSON, CONF_FORMAT_ECS, CONF_FORMAT_TEXT, CONF_FORMAT_COUNT };

/* One of `outputs`; what a type has no use for is NULL or the default. */
#define CONF_OUTPUTS_MAX 16
struct conf_output {
	enum conf_output_type type;
	const char *name; /* in messages, counters and of the spool; never NULL once loaded, unlike any other */
	enum conf_format format;
	enum priority minimum;
	const char *path;	     /* file, unix socket */
	const char *address;	     /* syslog: "udp://HOST:PORT", "tcp://HOST:PORT"; NULL: path or /dev/log */
	const char *url;	     /* http */
	struct conf_list command;    /* program and its arguments */
	struct conf_list headers;    /* http: "Name: value" */
	const char *ca, *cert, *key; /* http: PEM files */
	uint64_t batch;		     /* http: alerts in one request */
	uint64_t timeout;	     /* ns; of one delivery */
	uint64_t spool;		     /* bytes kept for an output that does not take them */
	uint64_t rotate, keep;	     /* file: bytes, old files */
};

/* Key `respond`: which ladder of actions answers which alert. */
enum conf_respond_mode { CONF_RESPOND_OFF, CONF_RESPOND_DRY_RUN, CONF_RESPOND_ACT };
enum conf_respond_where { CONF_WHERE_ANY, CONF_WHERE_CONTAINER, CONF_WHERE_HOST };

#define CONF_LADDERS_MAX 64
#define CONF_STEPS_MAX	 16
#define CONF_ARGV_MAX	 32

/* "kill after 60s", "run /usr/bin/program one two" */
struct conf_step {
	enum action_kind action;
	uint64_t after;			     /* ns since the step before */
	const char *argv[CONF_ARGV_MAX + 1]; /* ACTION_RUN: program and arguments, NULL behind */
};

/* An alert is for it when each condition that is given holds. */
struct conf_ladder {
	const char *name;
	struct conf_list rules;	     /* globs of rules' names */
	struct conf_list tags;	     /* globs; one of them */
	struct conf_list containers; /* globs of image, name or id */
	enum priority minimum;	     /* this or more urgent */
	enum conf_respond_where where;
	struct conf_list texts; /* of steps, as written */
	struct conf_step *steps;
	size_t n_steps; /* at least 1 */
};

struct conf_respond {
	enum conf_respond_mode mode;  /* respond.mode: dry-run */
	struct conf_list never_touch; /* respond.never_touch: globs of executables, beside those that are built in */
	struct conf_list keep;	      /* respond.keep: what is there is never quarantined */
	uint64_t per_minute;	      /* respond.per_minute: 6; for one container, for one executable */
	uint64_t total_per_minute;    /* respond.total_per_minute: 60 */
	uint64_t thaw;		      /* respond.thaw: 5m; nothing stays frozen for longer */
	uint64_t grace;		      /* respond.grace: 10s; of stop-container */
	uint64_t run_timeout;	      /* respond.run_timeout: 30s */
	uint64_t deny;		      /* respond.deny: 0, for good; how long a program is denied */
	uint64_t quarantine_size;     /* respond.quarantine_size: 1G, of all of it */
	uint64_t quarantine_entries;  /* respond.quarantine_entries: 1000 */
	uint64_t quarantine_file;     /* respond.quarantine_file: 64M; larger files are not copied */
	struct conf_ladder *ladders;  /* respond.ladders: the first that an alert is for */
	size_t n_ladders;
};

/* What waits between two threads is bounded by its size, too: many small events are a few large batches. */
#define CONF_QUEUE_BYTES (32U << 20)

struct conf {
	atomic_uint refs;
	struct arena arena;
	const char *file; /* where it was read, NULL for built-in defaults */

	struct scope scope;	/* paths:, exclude: */
	const char **sensitive; /* sensitive: absolute paths or globs; a folder stands for what is in it */
	size_t n_sensitive;
	struct conf_list diffs;	      /* diffs: /etc; files there are kept, to show what of them changes */
	struct scope sensitive_scope; /* the same entries as a scope: paths[i].is_glob tells the globs */
	enum conf_opens opens;

	struct {
		const char *path; /* store.path: /var/lib/holdfast/holdfast.db */
		const char *key;  /* store.key: Ed25519 private key; default signing.key beside the database */
		const char
			*head; /* store.head: newest chain head outside the database; default holdfast.head beside it */
		uint64_t max_size;	  /* store.max_size: 2G */
		uint64_t max_age;	  /* store.max_age: 90d, ns */
		uint64_t commit_interval; /* store.commit_interval: 200ms, ns */
		enum conf_sync sync;	  /* store.sync: normal (survives kill), full (survives power loss) */
		enum digest_algo digest;  /* store.digest: sha256 */
	} store;

	struct {
		uint64_t hash_threads; /* limits.hash_threads: 0 = number of processors */
		uint64_t hash_size;    /* limits.hash_size: larger files are recorded unread; 0 = none */
		uint64_t settle;       /* limits.settle: quiet time before a change is judged, 20ms */
		uint64_t settle_max; /* limits.settle_max: judged at the latest after, 1s; while a writer keeps it open
				      */
		uint64_t pending;    /* limits.pending: changes held in memory, 65536 */
		uint64_t queue;	     /* limits.queue: batches between threads, 4096 */
		uint64_t processes;  /* limits.processes: process table entries, 32768 */
		uint64_t recheck;    /* limits.recheck: metadata of everything is compared again within, 1h; 0 off */
		uint64_t rehash;     /* limits.rehash: all content is read again within, 7d; 0 off */
		uint64_t recheck_rate;	  /* limits.recheck_rate: bytes a second for rehash, 4M */
		uint64_t canary;	  /* limits.canary: interval of the end-to-end test, 60s; 0 off */
		uint64_t canary_deadline; /* limits.canary_deadline: 2s */
	} limits;

	struct {
		enum conf_exec_mode mode; /* exec.mode: observe */
		struct conf_words trust;  /* exec.trust: enum conf_exec_trust in the order in which they are asked */
		uint64_t deadline;	  /* exec.deadline: 500ms, ns */
		uint64_t stall;		  /* exec.stall: 5s, ns */
		enum conf_exec_fail fail; /* exec.fail: open */
		uint64_t max_size;	  /* exec.max_size: 256M */
		enum conf_exec_scripts scripts;	    /* exec.scripts: off */
		enum conf_exec_ungated ungated;	    /* exec.ungated: late */
		enum conf_exec_libraries libraries; /* exec.libraries: environment */
		enum conf_exec_images images;	    /* exec.images: own */
	} exec;

	struct {
		enum conf_bpf bpf;	     /* sensors.bpf: auto, where it is built in and the kernel allows */
		uint64_t ring;		     /* sensors.ring: bytes, 2M */
		enum conf_overlays overlays; /* sensors.overlays: auto */
	} sensors;

	struct {
		enum conf_record record;	      /* network.record: off */
		enum conf_network_mode mode;	      /* network.mode: off */
		enum conf_network_unknown unknown;    /* network.unknown: allow; containers that are not known yet */
		struct conf_words protect;	      /* network.protect: enum conf_protect; what no policy denies */
		struct conf_network_policy *policies; /* network.policies, in their order */
		size_t n_policies, n_peers;
	} network;

	struct {
		enum conf_answer record; /* users.record: yes */
		enum conf_audit audit;	 /* users.audit: read */
		struct conf_list files;	 /* users.files: utmp, wtmp, btmp */
	} users;

	struct {
		struct conf_list files;		  /* rules.files: files, folders (their *.yaml) and globs, in order */
		struct conf_list enable, disable; /* rules.enable, rules.disable: names, globs, tag:NAME */
		enum priority minimum;		  /* rules.minimum: debug */
		enum conf_matching matching;	  /* rules.matching: all */
		uint64_t repeat;		  /* rules.repeat: 60s, ns; 0: every alert is sent */
		uint64_t burst;			  /* rules.burst: 30; 0: any number */
	} rules;

	struct conf_output *outputs; /* outputs: */
	size_t n_outputs;

	struct {
		uint64_t hold; /* packages.hold: 5m, ns; 0: nothing is held or excused */
	} packages;

	struct {
		struct conf_list stores; /* containers.stores: folders of container runtimes besides the usual ones */
		struct conf_policy *policies; /* containers.policies: the first that a container matches counts */
		size_t n_policies;
		enum conf_answer baseline_on_start; /* containers.baseline_on_start: no */
	} containers;

	struct conf_respond respond;

	struct conf_list marked; /* no key: folders whose file systems are watched though nothing there is guarded */

	const char *control; /* control: socket path, /run/holdfast.sock */
};

/*
 * Loads `path`. Appends every error found as "file:line:column: message\n" to errors (with "did you mean" where a
 * word is near a known one). 0; -EINVAL when there were errors; another negative errno when the file cannot be read
 * (text in errors too). Bounded: files above 4 MiB, nesting above 16, aliases that expand beyond 100,000 nodes are
 * errors.
 */
int conf_load(const char *path, struct conf **ret, struct buf *errors);
/* The same from memory; name is what errors call the file. */
int conf_parse(const char *name, const char *text, size_t len, struct conf **ret, struct buf *errors);
/* Built-in defaults with no paths at all. */
int conf_default(struct conf **ret);
struct conf *conf_ref(struct conf *c);
void conf_unref(struct conf *c);
static inline void conf_unrefp(struct conf **c)
{
	if (*c)
		conf_unref(*c);
}
#define _cleanup_conf_ __attribute__((cleanup(conf_unrefp)))

/* True when path (absolute) is, or lies in, something under `sensitive`. */
bool conf_is_sensitive(const struct conf *c, const char *path);

/* The schema as a table for people: "key  type  default  meaning", one row a line (holdfast doctor, manual check). */
void conf_describe(struct buf *b);

#endif
