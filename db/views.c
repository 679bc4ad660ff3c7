/*
 * What people read of the store: its views, as this version has them. None is ever edited in a store: whenever it is
 * brought up to date all of them are dropped and made anew (migrate.c), so a change here wants a new version in the
 * table of migrations.c, if only one without statements. holdfast-db(5) describes them.
 */
#include "db/store.h"

/* clang-format off */

#define SQL_NS "1000000000"
/* Integer division truncates: times before 1970 need the floor. */
#define SQL_SECONDS(t) "strftime('%Y-%m-%dT%H:%M:%S', " t "/" SQL_NS " - (" t "%" SQL_NS " < 0), 'unixepoch')"
#define SQL_TIME_NS(t) SQL_SECONDS(t) " || printf('.%09dZ', (" t "%" SQL_NS "+" SQL_NS ")%" SQL_NS ")"
#define SQL_TIME_MS(t) SQL_SECONDS(t) " || printf('.%03dZ', (" t "%" SQL_NS "+" SQL_NS ")%" SQL_NS "/1000000)"

/* Bytes as they are, or the escaped form that was kept because they are not fit for a terminal. */
#define SQL_SHOW(show, raw) "coalesce(" show ", CAST(" raw " AS TEXT))"

/* An unsigned 64-bit number kept as signed: halves, so that nothing overflows. */
#define SQL_UNSIGNED(c)                                                                                                \
	"CASE WHEN " c " < 0 THEN (((" c ">>1)&9223372036854775807)/5) || "                                            \
	"((((" c ">>1)&9223372036854775807)%5)*2+(" c "&1)) ELSE " c " END"

/* makedev() as glibc lays it out, as "major:minor". */
#define SQL_DEV(c) "(((" c ">>8)&4095)|((" c ">>32)&4294963200)) || ':' || ((" c "&255)|((" c ">>12)&4294967040))"

/*
 * ctime is kept as its distance from mtime, which is 0 for most files; it wraps around for absurd times, and a sum that
 * SQL would make a float is put back by half the range on each side.
 */
#define SQL_CTIME                                                                                                      \
	"CASE WHEN typeof(coalesce(f.mtime,0)+f.ctime) <> 'real' THEN coalesce(f.mtime,0)+f.ctime "                    \
	"WHEN coalesce(f.mtime,0) < 0 THEN "                                                                           \
	"(coalesce(f.mtime,0)+9223372036854775807+1)+(f.ctime+9223372036854775807+1) "                                 \
	"ELSE (coalesce(f.mtime,0)-9223372036854775807-1)+(f.ctime-9223372036854775807-1) END"

#define SQL_HAS(bit) "(coalesce(f.have, c.have)>>" #bit ")&1"

#define SQL_FLAG(mask, letter) "CASE WHEN f.flags&" #mask " THEN '" letter "' ELSE '' END"

/* --- what the numbers in the tables mean; tests/db/test_views.c compares these with the C tables */

#define SQL_KIND(c)                                                                                                    \
	"CASE " c " WHEN 0 THEN 'change' WHEN 1 THEN 'open' WHEN 2 THEN 'exec' WHEN 3 THEN 'alert' WHEN 4 THEN "       \
	"'action' WHEN 5 THEN 'gap' WHEN 6 THEN 'accept' WHEN 7 THEN 'note' WHEN 8 THEN 'access' WHEN 9 THEN "         \
	"'connection' WHEN 10 THEN 'session' END"
#define SQL_CHANGE(c)                                                                                                  \
	"CASE " c " WHEN 0 THEN 'added' WHEN 1 THEN 'removed' WHEN 2 THEN 'changed' WHEN 3 THEN 'replaced' WHEN 4 "    \
	"THEN 'renamed' WHEN 5 THEN 'attributes' WHEN 6 THEN 'reverted' WHEN 7 THEN 'transient' END"
#define SQL_STATUS_NAME(c)                                                                                             \
	"CASE " c " WHEN 0 THEN 'open' WHEN 1 THEN 'accepted' WHEN 2 THEN 'excused' WHEN 3 THEN 'reverted' END"
#define SQL_GAP_REASON(c)                                                                                              \
	"CASE " c " WHEN 0 THEN 'down' WHEN 1 THEN 'queue-overflow' WHEN 2 THEN 'proc-lost' WHEN 3 THEN "              \
	"'mark-failed' WHEN 4 THEN 'fs-skipped' WHEN 5 THEN 'unreadable' WHEN 6 THEN 'limit' WHEN 7 THEN 'unmounted' " \
	"WHEN 8 THEN 'store' WHEN 9 THEN 'no-path' WHEN 10 THEN 'canary' WHEN 11 THEN 'device-written' WHEN 12 THEN "  \
	"'weak-sensor' END"
#define SQL_VERDICT(c)                                                                                                 \
	"CASE " c " WHEN 0 THEN 'unjudged' WHEN 1 THEN 'allowed' WHEN 2 THEN 'unexpected' WHEN 3 THEN 'denied' "       \
	"WHEN 4 THEN 'killed' END"
/* A library that nobody vouches for is a program start of a type of its own. */
#define SQL_EXEC_TYPE(c)                                                                                             \
	"CASE " c " WHEN 0 THEN 'unknown' WHEN 1 THEN 'static' WHEN 2 THEN 'dynamic' WHEN 3 THEN 'script' WHEN 4 "     \
	"THEN 'other' WHEN 5 THEN 'library' END"
#define SQL_PRIORITY(c)                                                                                                \
	"CASE " c " WHEN 0 THEN 'Emergency' WHEN 1 THEN 'Alert' WHEN 2 THEN 'Critical' WHEN 3 THEN 'Error' "           \
	"WHEN 4 THEN 'Warning' WHEN 5 THEN 'Notice' WHEN 6 THEN 'Informational' WHEN 7 THEN 'Debug' END"
#define SQL_ACTION(c)                                                                                                  \
	"CASE " c " WHEN 0 THEN 'log' WHEN 1 THEN 'alert' WHEN 2 THEN 'freeze' WHEN 3 THEN 'thaw' WHEN 4 THEN "        \
	"'evidence' WHEN 5 THEN 'kill' WHEN 6 THEN 'kill-tree' WHEN 7 THEN 'stop-container' WHEN 8 THEN "              \
	"'kill-container' WHEN 9 THEN 'quarantine' WHEN 10 THEN 'deny' WHEN 11 THEN 'run' WHEN 12 THEN 'release' "     \
	"WHEN 13 THEN 'restore' WHEN 14 THEN 'delete' END"
#define SQL_RESULT(c)                                                                                                  \
	"CASE " c " WHEN 0 THEN 'done' WHEN 1 THEN 'dry-run' WHEN 2 THEN 'refused' WHEN 3 THEN 'limited' WHEN 4 THEN " \
	"'gone' WHEN 5 THEN 'failed' END"
#define SQL_SOCKET_OP(c)                                                                                               \
	"CASE " c " WHEN 0 THEN 'connect' WHEN 1 THEN 'accept' WHEN 2 THEN 'listen' WHEN 3 THEN 'bind' WHEN 4 THEN "   \
	"'send' WHEN 5 THEN 'receive' WHEN 6 THEN 'found' WHEN 7 THEN 'close' WHEN 8 THEN 'query' WHEN 9 THEN 'inherit' END"
#define SQL_SESSION_OP(c)                                                                                              \
	"CASE " c " WHEN 0 THEN 'login' WHEN 1 THEN 'logout' WHEN 2 THEN 'open' WHEN 3 THEN 'close' WHEN 4 THEN 'su' " \
	"WHEN 5 THEN 'sudo' WHEN 6 THEN 'become' WHEN 7 THEN 'password' WHEN 8 THEN 'account' END"

/* --- what an event's row leads to */

#define SQL_WHO_FROM " LEFT JOIN process p ON p.id = e.process LEFT JOIN str x ON x.id = p.exe"
#define SQL_EXE	     SQL_SHOW("x.show", "x.data")
#define SQL_PATH     SQL_SHOW("e.path_show", "e.path")
#define SQL_PATH2    SQL_SHOW("e.path2_show", "e.path2")
#define SQL_SCOPE    SQL_SHOW("e.gap_scope_show", "e.gap_scope")
#define SQL_WHO                                                                                                        \
	"p.pid AS pid, p.ppid AS ppid, " SQL_EXE " AS exe, p.cmdline_show AS cmdline, p.uid AS uid, "                  \
	"p.user AS user, p.loginuid AS loginuid, p.login_user AS login_user, "

/* In which container: a row of its own for each snapshot; its name, else what its id begins with. */
#define SQL_PLACE_FROM SQL_WHO_FROM " LEFT JOIN container ct ON ct.id = e.container"
#define SQL_WHERE      SQL_WHO "coalesce(ct.name, substr(ct.cid, 1, 12)) AS container"
#define SQL_POD        "ct.pod AS pod, ct.namespace AS namespace, " SQL_SHOW("e.host_path_show", "e.host_path") " AS host_path"
#define SQL_IMAGE_POD  "ct.image AS image, " SQL_POD
#define SQL_NODE       "ct.image AS image, ct.pod AS pod, ct.namespace AS namespace"

#define SQL_DETAIL(key) "json_extract(e.after, '$." key "') AS " key

#define SQL_EVENT "SELECT e.id AS id, " SQL_TIME_MS("e.time") " AS time, "

/*
 * What became of deviation e: its own status when it was stored with one, else that of the first later row that closes
 * it: the path is as the baseline has it again (kind 0, change 6), it was accepted (kind 6; not beyond `ref`, not after
 * `until`), or the whole baseline was (path NULL). history.c says the same for open_only.
 * The same path changes in many containers of one image: what closes the deviation of one lies at the same place on the
 * host. Files of the host have none there; nor has what is mounted over a file of a container: what is unmounted in one
 * container closes nothing in another.
 */
#define SQL_NOW	   "CAST((julianday('now') - 2440587.5)*86400000 AS INTEGER)*1000000"
#define SQL_CLOSES "(k.ref IS NULL OR k.ref >= e.id) AND (k.until IS NULL OR k.until > " SQL_NOW ")"
#define SQL_STATUS                                                                                                     \
	"CASE WHEN e.status <> 0 THEN e.status ELSE coalesce("                                                         \
	"(SELECT CASE WHEN k.kind = 0 THEN 3 WHEN k.status = 2 THEN 2 ELSE 1 END FROM event k "                        \
	"WHERE k.path = e.path AND k.id > e.id AND " DB_MAY_CLOSE("k.") " AND k.baseline IS e.baseline AND "           \
	"((k.kind = 0 AND k.host_path IS e.host_path AND (e.host_path IS NOT NULL OR (SELECT b.kind FROM baseline b "  \
	"WHERE b.id = e.baseline) IS NOT 2 OR (SELECT c.cid FROM container c WHERE c.id = k.container) IS (SELECT "    \
	"c.cid FROM container c WHERE c.id = e.container))) OR (k.kind = 6 AND " SQL_CLOSES ")) ORDER BY k.id LIMIT "  \
	"1), "                                                                                                         \
	"(SELECT CASE WHEN k.status = 2 THEN 2 ELSE 1 END FROM event k WHERE k.kind = 6 AND k.path IS NULL AND "       \
	"k.baseline IS e.baseline AND k.id > e.id AND " SQL_CLOSES " ORDER BY k.id LIMIT 1), 0) END"

/* --- files of baselines */

#define SQL_FILE_FLAGS                                                                                                 \
	"CASE WHEN f.flags IS NOT NULL THEN " SQL_FLAG(0x1, "s") " || " SQL_FLAG(0x2, "u") " || "                     \
	SQL_FLAG(0x8, "S") " || " SQL_FLAG(0x10000, "D") " || " SQL_FLAG(0x10, "i") " || " SQL_FLAG(0x20, "a")         \
	" || " SQL_FLAG(0x40, "d") " || " SQL_FLAG(0x80, "A") " || " SQL_FLAG(0x4, "c") " || "                         \
	SQL_FLAG(0x200, "B") " || " SQL_FLAG(0x100, "Z") " || " SQL_FLAG(0x400, "m") " || " SQL_FLAG(0x800, "E")       \
	" || " SQL_FLAG(0x4000, "j") " || " SQL_FLAG(0x1000, "I") " || " SQL_FLAG(0x8000, "t") " || "                  \
	SQL_FLAG(0x20000, "T") " || " SQL_FLAG(0x80000, "e") " || " SQL_FLAG(0x40000, "h") " || "                      \
	SQL_FLAG(0x800000, "C") " || " SQL_FLAG(0x2000000, "x") " || " SQL_FLAG(0x40000000, "F") " || "                \
	SQL_FLAG(0x10000000, "N") " || " SQL_FLAG(0x20000000, "P") " || " SQL_FLAG(0x100000, "V")                      \
	" || CASE WHEN f.flags&2371887104 THEN CASE WHEN f.flags&1923080191 THEN '+' ELSE '' END || "                  \
	"printf('0x%x', f.flags&2371887104) ELSE '' END END"

#define SQL_FILES                                                                                                      \
	"b.name AS baseline, CASE d.path WHEN x'2f' THEN '' ELSE " SQL_SHOW("d.show", "d.path") " END || '/' || "      \
	SQL_SHOW("f.show", "f.name") " AS path, CASE f.tm&7 WHEN 1 THEN 'file' WHEN 2 THEN 'directory' "               \
	"WHEN 3 THEN 'symlink' WHEN 4 THEN 'pipe' WHEN 5 THEN 'socket' WHEN 6 THEN 'block' WHEN 7 THEN 'char' END AS " \
	"type, CASE WHEN " SQL_HAS(1) " THEN printf('%04o', f.tm>>3) END AS mode, f.uid AS uid, f.gid AS gid, "       \
	"a.name AS user, f.size AS size, " SQL_TIME_NS("f.mtime") " AS mtime, " SQL_TIME_NS("(" SQL_CTIME ")")         \
	" AS ctime, CASE WHEN " SQL_HAS(7) " THEN " SQL_DEV("coalesce(f.dev, c.dev)") " END AS dev, "                  \
	SQL_UNSIGNED("f.ino") " AS ino, f.nlink AS nlink, " SQL_SHOW("f.target_show", "f.target") " AS target, "       \
	"nullif(lower(hex(f.digest)), '') AS digest, CASE WHEN f.rdev IS NOT NULL THEN " SQL_DEV("f.rdev")             \
	" END AS rdev, x.xattrs AS xattrs, x.acl AS acl, x.caps AS caps, x.selinux AS selinux, " SQL_FILE_FLAGS        \
	" AS flags, CASE typeof(f.mime) WHEN 'text' THEN f.mime END AS mime, u.text AS unread"

#define SQL_FILES_FROM                                                                                                 \
	"FROM baseline b JOIN dir d ON d.baseline = b.id JOIN chunk c ON c.dir = d.id JOIN file f ON f.id BETWEEN "    \
	"c.base*64 AND c.base*64+63 LEFT JOIN xset x ON x.id = f.xset LEFT JOIN unread u ON u.code = f.unread "        \
	"LEFT JOIN account a ON a.uid = f.uid"

/* --- the views */

const char *const db_views[] = {
	"CREATE VIEW baselines AS SELECT id, name, CASE kind WHEN 0 THEN 'host' WHEN 1 THEN 'tree' WHEN 2 THEN 'image' END "
	"AS kind, " SQL_SHOW("root_show", "root") " AS root, image_ref, image_digest, image_id, (SELECT count(*) FROM layer l "
	"WHERE l.baseline = baseline.id) AS layers, " SQL_TIME_MS("created") " AS created, CASE algo WHEN 0 THEN 'sha256' "
	"WHEN 1 THEN 'sha512' WHEN 2 THEN 'sha3-256' WHEN 3 THEN 'blake2b512' END AS algorithm, files, bytes, unread, CASE "
	"state WHEN 0 THEN 'building' WHEN 1 THEN 'signed' END AS state, signed_by FROM baseline WHERE state < 2",

	"CREATE VIEW files AS SELECT " SQL_FILES ", l.number AS layer, l.diff_id AS layer_digest " SQL_FILES_FROM
	" LEFT JOIN layer l ON l.baseline = b.id AND l.key = substr(c.layers, f.id - c.base*64 + 1, 1) WHERE b.state = 1",

	"CREATE VIEW layers AS SELECT b.name AS baseline, l.number AS layer, l.diff_id AS layer_digest, l.digest AS "
	"blob_digest, l.size AS size, l.created_by AS created_by FROM baseline b JOIN layer l ON l.baseline = b.id WHERE "
	"b.state = 1",

	"CREATE VIEW containers AS SELECT ct.id AS id, ct.cid AS container_id, ct.name AS name, ct.runtime AS runtime, ct.image "
	"AS image, ct.image_digest AS image_digest, ct.image_id AS image_id, ct.pod AS pod, ct.namespace AS namespace, "
	"ct.labels AS labels, ct.privileged AS privileged, ct.mounts AS mounts, CASE WHEN ct.started IS NOT NULL THEN "
	SQL_TIME_MS("ct.started") " END AS started, ct.unknown AS unknown, (SELECT count(*) FROM event e WHERE e.container = "
	"ct.id) AS events FROM container ct",

	"CREATE VIEW trusted AS SELECT id, CASE kind WHEN 1 THEN 'path' ELSE 'digest' END AS kind, "
	"nullif(lower(hex(digest)), '') AS digest, " SQL_SHOW("path_show", "path") " AS path, reason, "
	SQL_TIME_MS("added") " AS added, added_by, " SQL_TIME_MS("until") " AS until, " SQL_TIME_MS("removed") " AS removed, "
	"removed_by, removed_reason, CASE WHEN removed IS NOT NULL THEN 'removed' WHEN until <= " SQL_NOW " THEN 'expired' "
	"WHEN kind = 2 THEN 'denied' ELSE 'trusted' END AS state FROM trust_entry",

	/* Approvals are notes with an end, revocations notes that refer to one (approvals.c). */
	"CREATE VIEW approvals AS SELECT e.id AS id, " SQL_TIME_MS("e.time") " AS since, " SQL_TIME_MS("e.until")
	" AS until, " SQL_PATH " AS path, e.cause AS digest, e.user AS by_user, e.reason AS reason, "
	SQL_TIME_MS("r.time") " AS revoked, r.user AS revoked_by, " SQL_WHO "NULL AS container, CASE WHEN r.id IS NOT NULL THEN "
	"'revoked' WHEN e.until > " SQL_NOW " THEN 'in force' ELSE 'expired' END AS state FROM event e LEFT JOIN event r ON "
	"r.ref = e.id AND r.kind = 7" SQL_WHO_FROM " WHERE e.kind = 7 AND e.until IS NOT NULL",

	"CREATE VIEW deviations AS " SQL_EVENT "e.baseline_name AS baseline, " SQL_PATH " AS path, " SQL_PATH2 " AS path2, "
	SQL_CHANGE("e.change") " AS change, e.attributes_show AS attributes, e.before AS before, e.after AS after, " SQL_WHERE
	", e.process_why AS who_unknown, e.cause AS cause, " SQL_STATUS_NAME(SQL_STATUS) " AS status, " SQL_IMAGE_POD
	", e.text AS diff FROM event e" SQL_PLACE_FROM " WHERE e.kind = 0 AND e.change < 6",

	"CREATE VIEW opens AS " SQL_EVENT SQL_PATH " AS path, e.count AS count, " SQL_WHERE ", e.process_why AS who_unknown, "
	SQL_IMAGE_POD " FROM event e" SQL_PLACE_FROM " WHERE e.kind = 1",

	/*
	 * Program starts (history.c): change, status and until hold verdict, type and duration, text what the environment
	 * makes the loader do, attributes how it came into a container (enum container_entry).
	 */
	"CREATE VIEW execs AS " SQL_EVENT SQL_PATH " AS path, " SQL_WHERE ", " SQL_DETAIL("digest") ", "
	SQL_EXEC_TYPE("e.status") " AS type, ct.image AS image, " SQL_VERDICT("e.change") " AS verdict, e.reason AS reason, "
	"e.cause AS trusted_by, e.until/1000 AS duration_us, e.text AS environment, e.attributes IS 1 AS container_exec, "
	"e.attributes IS 2 AS container_nsenter, "
	SQL_POD " FROM event e" SQL_PLACE_FROM " WHERE e.kind = 2 AND e.status IS NOT 5",

	"CREATE VIEW unexpected_binaries AS SELECT " SQL_PATH " AS path, g.digest AS digest, CASE e.status WHEN 5 THEN "
	"'library' ELSE coalesce(json_extract(e.after, '$.mime'), " SQL_EXEC_TYPE("e.status") ") END AS type, "
	SQL_DETAIL("size") ", " SQL_TIME_MS("g.first") " AS first_seen, " SQL_TIME_MS("e.time") " AS last_seen, g.count AS "
	"count, " SQL_VERDICT("e.change") " AS verdict, e.reason AS reason, " SQL_WHERE ", (SELECT " SQL_SHOW("y.show", "y.data")
	" FROM process q LEFT JOIN str y ON y.id = q.exe WHERE q.id = p.parent) AS parent, " SQL_IMAGE_POD " FROM (SELECT "
	"json_extract(after, '$.digest') AS digest, max(id) AS newest, min(time) AS first, count(*) AS count FROM event "
	"WHERE kind = 2 AND change > 1 AND json_extract(after, '$.digest') IS NOT NULL GROUP BY 1) g JOIN event e ON "
	"e.id = g.newest" SQL_PLACE_FROM,

	/*
	 * Alerts: change and status hold priority and whether it was repeated, after the details, reason the rule, text the
	 * output, ref the row of what it was raised for.
	 */
	"CREATE VIEW alerts AS " SQL_EVENT "e.reason AS rule, " SQL_PRIORITY("e.change") " AS priority, " SQL_PATH " AS path, "
	SQL_PATH2 " AS path2, e.text AS output, coalesce(e.count, 1) AS count, e.status AS repeated, e.ref AS event, "
	SQL_DETAIL("uuid") ", " SQL_DETAIL("tags") ", " SQL_DETAIL("source") ", " SQL_DETAIL("output_fields") ", (SELECT "
	"group_concat(a.id || ' ' || " SQL_ACTION("a.change") " || ' ' || " SQL_RESULT("a.status") ", ', ') FROM event a WHERE "
	"a.kind = 4 AND a.ref = e.id) AS actions, " SQL_WHERE ", " SQL_IMAGE_POD " FROM event e" SQL_PLACE_FROM
	" WHERE e.kind = 3",

	/*
	 * Actions: change and status hold what was done and what came of it, until the number of the response, cause the
	 * ladder, reason the rule, ref the alert that it answers; ones of before that, what the alert was raised for. After a
	 * restart only the number of the response tells.
	 */
	"CREATE VIEW actions AS " SQL_EVENT SQL_ACTION("e.change") " AS action, " SQL_RESULT("e.status") " AS result, " SQL_PATH
	" AS path, e.text AS detail, e.reason AS rule, e.cause AS ladder, e.until AS response, CASE WHEN r.kind = 3 THEN r.id "
	"END AS alert, CASE WHEN r.kind = 3 THEN r.ref ELSE r.id END AS event, e.user AS by_user, " SQL_WHERE ", " SQL_IMAGE_POD
	" FROM event e LEFT JOIN event r ON r.id = coalesce(e.ref, (SELECT max(f.ref) FROM event f WHERE f.kind = 4 AND f.until "
	"= e.until))" SQL_PLACE_FROM " WHERE e.kind = 4",

	"CREATE VIEW gaps AS SELECT e.id AS id, " SQL_GAP_REASON("e.gap_reason") " AS reason, " SQL_SCOPE " AS scope, "
	"e.gap_detail AS detail, " SQL_TIME_MS("e.gap_from") " AS started, " SQL_TIME_MS("coalesce(k.gap_to, e.gap_to)")
	" AS ended, (coalesce(k.gap_to, e.gap_to) - e.gap_from)/1000000 AS duration_ms, coalesce(k.gap_lost, e.gap_lost) AS "
	"lost, coalesce(k.gap_healed, e.gap_healed) AS healed_by, CASE WHEN coalesce(k.gap_to, e.gap_to) IS NULL THEN 'open' "
	"ELSE 'closed' END AS state FROM event e LEFT JOIN event k ON k.ref = e.id AND k.kind = 5 WHERE e.kind = 5 AND e.ref "
	"IS NULL",

	/*
	 * Sockets: change says what was done (enum socket_op), after who is at both ends, text the same for people. Of its end
	 * alone it is known what went through a connection, so that a sum over all rows is right.
	 */
	"CREATE VIEW connections AS " SQL_EVENT SQL_SOCKET_OP("e.change") " AS operation, " SQL_DETAIL("direction") ", "
	SQL_DETAIL("family") ", " SQL_DETAIL("protocol") ", " SQL_DETAIL("local_ip") ", " SQL_DETAIL("local_port") ", "
	SQL_DETAIL("remote_ip") ", " SQL_DETAIL("remote_port") ", " SQL_DETAIL("remote_name") ", " SQL_DETAIL("socket") ", "
	SQL_DETAIL("query") ", " SQL_DETAIL("query_type") ", " SQL_DETAIL("verdict") ", " SQL_DETAIL("policy") ", "
	SQL_DETAIL("error") ", " SQL_DETAIL("bytes_sent") ", " SQL_DETAIL("bytes_received") ", " SQL_DETAIL("open_ms")
	", coalesce(e.count, 1) AS count, " SQL_WHERE ", e.process_why AS who_unknown, " SQL_NODE " FROM event e" SQL_PLACE_FROM
	" WHERE e.kind = 9",

	/* Sessions: change says what was done (enum session_op), status whether it failed, after who, whom and where from. */
	"CREATE VIEW sessions AS " SQL_EVENT SQL_SESSION_OP("e.change") " AS operation, CASE e.status WHEN 0 THEN 'success' WHEN "
	"1 THEN 'failed' END AS result, " SQL_DETAIL("account") ", " SQL_DETAIL("by") ", " SQL_DETAIL("tty") ", "
	SQL_DETAIL("remote") ", " SQL_DETAIL("program") ", " SQL_DETAIL("command") ", " SQL_DETAIL("session") ", "
	SQL_DETAIL("failures") ", " SQL_DETAIL("sources") ", e.cause AS cause, " SQL_WHERE ", e.process_why AS who_unknown, "
	SQL_NODE " FROM event e" SQL_PLACE_FROM " WHERE e.kind = 10",

	/* The text of a change is what became of the file's content. */
	"CREATE VIEW history AS " SQL_EVENT SQL_KIND("e.kind") " AS kind, CASE e.kind WHEN 0 THEN " SQL_CHANGE("e.change")
	" WHEN 2 THEN " SQL_VERDICT("e.change") " WHEN 3 THEN " SQL_PRIORITY("e.change") " WHEN 4 THEN " SQL_ACTION("e.change")
	" WHEN 5 THEN " SQL_GAP_REASON("e.gap_reason") " WHEN 9 THEN " SQL_SOCKET_OP("e.change") " WHEN 10 THEN "
	SQL_SESSION_OP("e.change") " END AS what, coalesce(" SQL_PATH ", " SQL_SCOPE ") AS path, " SQL_PATH2 " AS path2, "
	"e.baseline_name AS baseline, e.attributes_show AS attributes, e.before AS before, e.after AS after, e.count AS count, "
	SQL_WHERE ", CASE e.kind WHEN 2 THEN coalesce(e.cause, e.reason, '') || coalesce(', ' || nullif(e.text, 'unknown'), '') "
	"ELSE coalesce(CASE WHEN e.kind <> 0 THEN e.text END, e.cause, e.gap_healed, e.gap_detail, e.reason) END AS detail, "
	"e.user AS by_user, CASE WHEN e.kind = 0 AND e.change < 6 THEN " SQL_STATUS_NAME(SQL_STATUS) " END AS status, "
	SQL_IMAGE_POD " FROM event e" SQL_PLACE_FROM,
	NULL,
};
