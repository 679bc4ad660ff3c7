/*
 * Owns the schema: the table of migrations, each a list of statements that lead from one user_version to the next. A step
 * that was released is never edited, only followed by another. Views are no part of it (views.c). migrate.c carries
 * them out.
 */
#include "db/store.h"

/* clang-format off */

static const char *const version_1[] = {
	"CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID",
	"CREATE TABLE account (uid INTEGER PRIMARY KEY, name TEXT NOT NULL)",
	"CREATE TABLE unread (code INTEGER PRIMARY KEY, text TEXT NOT NULL)",

	/* state: 0 building, 1 signed, 2 being deleted. AUTOINCREMENT: history refers to ids of baselines long gone. */
	"CREATE TABLE baseline (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, kind INTEGER NOT NULL, "
	"root BLOB NOT NULL, root_show TEXT, scope TEXT NOT NULL, image_ref TEXT, image_digest TEXT, created INTEGER "
	"NOT NULL, algo INTEGER NOT NULL, files INTEGER NOT NULL, bytes INTEGER NOT NULL, unread INTEGER NOT NULL, state "
	"INTEGER NOT NULL, builder TEXT, signed_by TEXT, tree BLOB, signature BLOB)",
	"CREATE UNIQUE INDEX baseline_name ON baseline (name) WHERE state = 1",
	"CREATE TABLE dir (id INTEGER PRIMARY KEY, baseline INTEGER NOT NULL, path BLOB NOT NULL, show TEXT)",
	"CREATE UNIQUE INDEX dir_path ON dir (baseline, path)",
	/* Rows base*64 to base*64+n-1 of file are its entries; dev and have are what its rows have unless they say so. */
	"CREATE TABLE chunk (dir INTEGER NOT NULL, seq INTEGER NOT NULL, base INTEGER NOT NULL, n INTEGER NOT NULL, "
	"first BLOB NOT NULL, digest BLOB NOT NULL, dev INTEGER, have INTEGER, PRIMARY KEY (dir, seq)) WITHOUT ROWID",
	/* tm is mode*8 + type; ctime is the distance from mtime; columns that most files leave NULL come last. */
	"CREATE TABLE file (id INTEGER PRIMARY KEY, name BLOB NOT NULL, tm INTEGER, uid INTEGER, gid INTEGER, size "
	"INTEGER, mtime INTEGER, ctime INTEGER, ino INTEGER, nlink INTEGER, digest BLOB, flags INTEGER, xset INTEGER, "
	"unread INTEGER, dev INTEGER, have INTEGER, target BLOB, rdev INTEGER, mime, show TEXT, target_show TEXT)",
	"CREATE TABLE xset (id INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, data BLOB NOT NULL, xattrs TEXT, acl "
	"TEXT, caps TEXT, selinux TEXT)",

	"CREATE TABLE str (id INTEGER PRIMARY KEY, hash INTEGER NOT NULL, data BLOB NOT NULL, show TEXT)",
	"CREATE INDEX str_hash ON str (hash)",
	"CREATE TABLE process (id INTEGER PRIMARY KEY AUTOINCREMENT, pid INTEGER NOT NULL, start INTEGER, exec_count "
	"INTEGER, known INTEGER NOT NULL, ppid INTEGER, uid INTEGER, gid INTEGER, euid INTEGER, egid INTEGER, loginuid "
	"INTEGER, session INTEGER, sid INTEGER, comm BLOB, exe INTEGER, cmdline BLOB, cmdline_show TEXT, cmdline_cut "
	"INTEGER, cwd INTEGER, tty INTEGER, cgroup INTEGER, parent INTEGER, user TEXT, login_user TEXT, digest BLOB NOT "
	"NULL)",
	"CREATE TABLE event (id INTEGER PRIMARY KEY, time INTEGER NOT NULL, boot INTEGER, kind INTEGER NOT NULL, path "
	"BLOB, path_show TEXT, path2 BLOB, path2_show TEXT, process INTEGER, process_why TEXT, baseline INTEGER, "
	"baseline_name TEXT, change INTEGER, status INTEGER, attributes INTEGER, attributes_show TEXT, before TEXT, after "
	"TEXT, before_rec BLOB, after_rec BLOB, cause TEXT, count INTEGER, gap_reason INTEGER, gap_scope BLOB, "
	"gap_scope_show TEXT, gap_detail TEXT, gap_from INTEGER, gap_to INTEGER, gap_lost INTEGER, gap_healed TEXT, gap_key "
	"INTEGER, ref INTEGER, until INTEGER, reason TEXT, user TEXT, text TEXT, digest BLOB NOT NULL)",
	"CREATE INDEX event_time ON event (time)",
	"CREATE INDEX event_path ON event (path, id) WHERE path IS NOT NULL",
	"CREATE INDEX event_path2 ON event (path2, id) WHERE path2 IS NOT NULL",
	"CREATE INDEX event_accept_all ON event (baseline, id) WHERE kind = 6 AND path IS NULL",
	"CREATE INDEX event_gap ON event (gap_key, id) WHERE kind = 5",
	"CREATE INDEX event_ref ON event (ref) WHERE ref IS NOT NULL",
	"CREATE TABLE batch (seq INTEGER PRIMARY KEY, first INTEGER NOT NULL, last INTEGER NOT NULL, time INTEGER NOT "
	"NULL, floor INTEGER NOT NULL, kept BLOB NOT NULL, baselines BLOB NOT NULL, prev BLOB NOT NULL, digest BLOB NOT "
	"NULL, signature BLOB NOT NULL)",
	NULL,
};

static const char *const version_2[] = {
	"CREATE INDEX event_unexpected ON event (id) WHERE kind = 2 AND change > 1",
	NULL,
};

/*
 * Images. Column layers of chunk has a byte for each entry, the key of its layer, and is NULL where no entry has one:
 * baselines of hosts pay nothing for it.
 */
static const char *const version_3[] = {
	"ALTER TABLE baseline ADD COLUMN image_id TEXT",
	"ALTER TABLE chunk ADD COLUMN layers BLOB",
	"CREATE INDEX baseline_image_digest ON baseline (image_digest) WHERE image_digest IS NOT NULL",
	"CREATE INDEX baseline_image_id ON baseline (image_id) WHERE image_id IS NOT NULL",
	"CREATE TABLE layer (baseline INTEGER NOT NULL, key BLOB NOT NULL, number INTEGER NOT NULL, diff_id TEXT NOT NULL, "
	"digest TEXT, created_by TEXT, size INTEGER NOT NULL, PRIMARY KEY (baseline, key)) WITHOUT ROWID",
	NULL,
};

/* Programs trusted or denied by hand (trusted.c). AUTOINCREMENT: a number that people wrote down never means another. */
static const char *const version_4[] = {
	"CREATE TABLE trust_entry (id INTEGER PRIMARY KEY AUTOINCREMENT, kind INTEGER NOT NULL, digest BLOB, path BLOB, "
	"path_show TEXT, reason TEXT, added INTEGER NOT NULL, added_by TEXT, until INTEGER, removed INTEGER, removed_by "
	"TEXT, removed_reason TEXT)",
	NULL,
};

static const char *const version_5[] = {
	"CREATE INDEX event_alert ON event (id) WHERE kind = 3",
	NULL,
};

/* In which container: a row of its own for each snapshot. */
static const char *const version_6[] = {
	"CREATE TABLE container (id INTEGER PRIMARY KEY AUTOINCREMENT, runtime TEXT, cid TEXT NOT NULL, name TEXT, image TEXT, "
	"image_digest TEXT, image_id TEXT, pod TEXT, namespace TEXT, labels TEXT, privileged INTEGER, mounts TEXT, started "
	"INTEGER, unknown TEXT, digest BLOB NOT NULL)",
	"ALTER TABLE event ADD COLUMN container INTEGER",
	"ALTER TABLE event ADD COLUMN host_path BLOB",
	"ALTER TABLE event ADD COLUMN host_path_show TEXT",
	"CREATE INDEX event_container ON event (container, id) WHERE container IS NOT NULL",
	NULL,
};

static const char *const version_7[] = {
	"CREATE INDEX event_action ON event (id) WHERE kind = 4",
	NULL,
};

static const char *const version_8[] = {
	"CREATE INDEX event_approval ON event (id) WHERE kind = 7 AND until IS NOT NULL",
	NULL,
};

/* Content of configuration files (texts.c). */
static const char *const version_12[] = {
	"CREATE TABLE text (digest BLOB PRIMARY KEY, seen INTEGER NOT NULL, size INTEGER NOT NULL, data BLOB NOT NULL)",
	NULL,
};

static const char *const version_13[] = {
	"CREATE INDEX event_answer ON event (ref) WHERE kind = 4",
	"CREATE INDEX event_response ON event (until) WHERE kind = 4",
	NULL,
};

static const char *const version_14[] = {
	"CREATE INDEX event_connection ON event (id) WHERE kind = 9",
	NULL,
};

static const char *const version_15[] = {
	"CREATE INDEX event_session ON event (id) WHERE kind = 10",
	"CREATE INDEX process_parent ON process (parent) WHERE loginuid IS NULL",
	NULL,
};

/* What is mounted in containers: a monitor that starts asks for what stands. */
static const char *const version_20[] = {
	"CREATE INDEX event_mounted ON event (id) WHERE kind = 0 AND host_path IS NULL AND container IS NOT NULL",
	NULL,
};

/* What may close a deviation is found among thousands of changes of one path. DB_MAY_CLOSE is what queries say of it. */
static const char *const version_22[] = {
	"CREATE INDEX event_closes ON event (path, id) WHERE kind = 6 OR (kind = 0 AND change = 6)",
	NULL,
};

/* Views that changed since: a version of its own has them made anew. */
static const char *const views_alone[] = { NULL };

static const struct migration steps[] = {
	{ 1, version_1 },   { 2, version_2 },	{ 3, version_3 },   { 4, version_4 },	{ 5, version_5 },   { 6, version_6 },
	{ 7, version_7 },   { 8, version_8 },	{ 12, version_12 }, { 13, version_13 }, { 14, version_14 }, { 15, version_15 },
	{ 20, version_20 }, { 21, views_alone }, { 22, version_22 },
	{ 23, views_alone },
};
/* clang-format on */

const struct schema db_schema = { .steps = steps, .n = ARRAY_SIZE(steps), .views = db_views };
