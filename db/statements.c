/* The table of statements. Constant; no thread owns it. */
#include "db/statements.h"

#define PROCESS_COLUMNS                                                                                                \
	"pid, start, exec_count, known, ppid, uid, gid, euid, egid, loginuid, session, sid, comm, exe, cmdline, "      \
	"cmdline_show, cmdline_cut, cwd, tty, cgroup, parent, user, login_user"
#define PROCESS_RESOLVED                                                                                               \
	"pid, start, exec_count, known, ppid, uid, gid, euid, egid, loginuid, session, sid, comm, (SELECT data FROM "  \
	"str "                                                                                                         \
	"WHERE id = exe), cmdline, cmdline_show, cmdline_cut, (SELECT data FROM str WHERE id = cwd), (SELECT data "    \
	"FROM "                                                                                                        \
	"str WHERE id = tty), (SELECT data FROM str WHERE id = cgroup), parent, user, login_user"

#define FILE_ADD                                                                                                       \
	"INSERT INTO file (id, name, tm, uid, gid, size, mtime, ctime, ino, nlink, digest, flags, xset, unread, dev, " \
	"have, target, rdev, mime, show, target_show) VALUES "
#define FILE_VALUES    "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
#define FILE_VALUES_4  FILE_VALUES ", " FILE_VALUES ", " FILE_VALUES ", " FILE_VALUES
#define FILE_VALUES_16 FILE_VALUES_4 ", " FILE_VALUES_4 ", " FILE_VALUES_4 ", " FILE_VALUES_4

#define CHUNK_COLUMNS "seq, base, n, first, digest, dev, have, layers"
#define BATCH_COLUMNS "seq, first, last, time, floor, kept, baselines, prev, digest, signature"

const char *const statement_sql[STMT_COUNT] = {
	[STMT_BEGIN] = "BEGIN IMMEDIATE",
	[STMT_COMMIT] = "COMMIT",
	[STMT_ROLLBACK] = "ROLLBACK",
	[STMT_META_GET] = "SELECT value FROM meta WHERE key = ?1",
	[STMT_META_SET] = "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2",
	[STMT_ACCOUNT_ADD] =
		"INSERT INTO account (uid, name) VALUES (?1, ?2) ON CONFLICT (uid) DO UPDATE SET name = ?2",
	[STMT_UNREAD_ADD] = "INSERT OR IGNORE INTO unread (code, text) VALUES (?1, ?2)",

	[STMT_BASELINE_ADD] =
		"INSERT INTO baseline (name, kind, root, root_show, scope, image_ref, image_digest, created, "
		"algo, files, bytes, unread, state, builder, image_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, "
		"0, 0, 0, 0, ?10, ?11)",
	[STMT_BASELINE_SIGN] =
		"UPDATE baseline SET files = ?2, bytes = ?3, unread = ?4, state = 1, builder = NULL, signed_by "
		"= ?5, tree = ?6, signature = ?7 WHERE id = ?1",
	[STMT_BASELINE_STATE] = "UPDATE baseline SET state = ?2 WHERE id = ?1",
	[STMT_BASELINE_ALIVE] = "SELECT 1 FROM baseline WHERE id = ?1 AND state = 0",
	[STMT_BASELINE_BY_NAME] = "SELECT " STMT_BASELINE_COLUMNS " FROM baseline WHERE name = ?1 AND state = 1",
	[STMT_BASELINE_BY_ID] = "SELECT " STMT_BASELINE_COLUMNS " FROM baseline WHERE id = ?1 AND state = 1",
	[STMT_BASELINE_BY_IMAGE] = "SELECT " STMT_BASELINE_COLUMNS
				   " FROM baseline WHERE kind = 2 AND state = 1 AND (image_digest = ?1 OR image_id = "
				   "?1) ORDER BY id DESC LIMIT 1",
	[STMT_LAYER_ADD] = "INSERT INTO layer (baseline, key, number, diff_id, digest, created_by, size) VALUES (?1, "
			   "?2, ?3, ?4, ?5, ?6, ?7)",
	[STMT_LAYER_OF] =
		"SELECT number, diff_id, digest, created_by, size FROM layer WHERE baseline = ?1 ORDER BY key",
	[STMT_LAYER_REMOVE] = "DELETE FROM layer WHERE baseline = ?1",
	[STMT_BASELINE_REMOVE] = "DELETE FROM baseline WHERE id = ?1",
	[STMT_BASELINE_SEALS] = "SELECT id, name, signature FROM baseline WHERE state = 1 ORDER BY id",
	[STMT_BASELINE_UNSIGNED] = "SELECT id, state, builder FROM baseline WHERE state <> 1",
	[STMT_DIR_FIND] = "SELECT id FROM dir WHERE baseline = ?1 AND path = ?2",
	[STMT_DIR_ADD] = "INSERT INTO dir (baseline, path, show) VALUES (?1, ?2, ?3)",
	[STMT_DIR_REMOVE] = "DELETE FROM dir WHERE id = ?1",
	[STMT_DIR_PIECE] = "SELECT id FROM dir WHERE baseline = ?1 LIMIT 1",
	[STMT_CHUNK_ADD] =
		"INSERT INTO chunk (dir, seq, base, n, first, digest, dev, have, layers) VALUES (?1, ?2, ?3, ?4, ?5, "
		"?6, ?7, ?8, ?9)",
	[STMT_CHUNK_LEAVES] =
		"SELECT d.path, c.seq, c.n, c.first, c.digest, c.layers FROM dir d CROSS JOIN chunk c ON c.dir = d.id "
		"WHERE d.baseline = ?1 ORDER BY d.path, c.seq",
	[STMT_CHUNK_OF_DIR] = "SELECT " CHUNK_COLUMNS " FROM chunk WHERE dir = ?1 ORDER BY seq",
	[STMT_CHUNK_BASE] = "SELECT base FROM chunk WHERE dir = ?1 AND seq = ?2",
	[STMT_CHUNK_MOVE_DIR] = "UPDATE chunk SET dir = ?2 WHERE dir = ?1",
	[STMT_CHUNK_REMOVE] = "DELETE FROM chunk WHERE dir = ?1 AND seq = ?2",
	[STMT_FILE_ADD] = FILE_ADD FILE_VALUES,
	[STMT_FILE_ADD_ROWS] = FILE_ADD FILE_VALUES_16,
	[STMT_FILE_REMOVE] = "DELETE FROM file WHERE id BETWEEN ?1 AND ?2",
	[STMT_FILE_MAX] = "SELECT coalesce(max(id), -1) FROM file",
	[STMT_XSET_ADD] = "INSERT INTO xset (hash, data, xattrs, acl, caps, selinux) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
	[STMT_XSET_FIND] = "SELECT id FROM xset WHERE hash = ?1",

	[STMT_EVENT_ADD] =
		"INSERT INTO event (" STMT_EVENT_COLUMNS ", digest, " STMT_EVENT_PLACE ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, "
		"?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, "
		"?30, ?31, ?32, ?33, ?34, ?35, ?36, ?37, ?38, ?39, ?40)",
	/* An opening row has no gap_to and no ref. */
	[STMT_EVENT_GAP_OPEN] =
		"SELECT id FROM event WHERE kind = 5 AND gap_key = ?1 AND gap_from = ?2 AND gap_to IS NULL "
		"AND ref IS NULL ORDER BY id DESC LIMIT 1",
	[STMT_EVENT_GAP_OPEN_ANY] =
		"SELECT id FROM event WHERE kind = 5 AND gap_key = ?1 AND gap_to IS NULL AND ref IS "
		"NULL ORDER BY id DESC LIMIT 1",
	[STMT_EVENT_LAST_CHANGE] =
		"SELECT id, change, after_rec FROM event WHERE path = ?2 AND baseline IS ?1 AND kind = 0 AND "
		"change <> 7 ORDER BY id DESC LIMIT 1",
	[STMT_EVENT_LAST_RENAME] =
		"SELECT id, change, after_rec FROM event WHERE path2 = ?2 AND baseline IS ?1 AND kind = 0 AND "
		"change = 4 ORDER BY id DESC LIMIT 1",
	[STMT_EVENT_LAST_LAYER_CHANGE] =
		"SELECT id, change, after_rec FROM event WHERE path = ?2 AND baseline IS ?1 AND kind = 0 AND "
		"change <> 7 AND substr(host_path, 1, length(?3)) = ?3 ORDER BY id DESC LIMIT 1",
	[STMT_EVENT_LAST_LAYER_RENAME] =
		"SELECT id, change, after_rec FROM event WHERE path2 = ?2 AND baseline IS ?1 AND kind = 0 AND "
		"change = 4 AND substr(host_path, 1, length(?3)) = ?3 ORDER BY id DESC LIMIT 1",
	/* Behind the newest that is over. */
	[STMT_EVENT_MOUNTED] =
		"SELECT id FROM event WHERE path = ?2 AND baseline IS ?1 AND kind = 0 AND change < 6 AND host_path IS NULL "
		"AND (cause = ?4 OR substr(cause, 1, length(?4) + 5) = ?4 || '; by ') AND (SELECT cid FROM container c "
		"WHERE c.id = event.container) = ?3 AND id > coalesce((SELECT max(k.id) FROM event k WHERE k.path = ?2 AND "
		"k.baseline IS ?1 AND " DB_MAY_CLOSE("k.") " AND k.kind = 0 AND k.host_path IS NULL AND (SELECT cid FROM container c "
		"WHERE c.id = k.container) = ?3), 0) ORDER BY id DESC LIMIT 1",
	/* Accepts with `until` only excuse: the baseline was not changed by them. */
	[STMT_EVENT_ACCEPTED] =
		"SELECT 1 FROM event WHERE path = ?2 AND id > ?3 AND " DB_MAY_CLOSE("") " AND kind = 6 AND baseline IS ?1 AND "
		"until IS NULL AND (ref IS NULL OR ref >= ?3) UNION ALL SELECT 1 FROM event WHERE kind = 6 AND path IS "
		"NULL AND baseline IS ?1 AND id > ?3 AND until IS NULL AND (ref IS NULL OR ref >= ?3)",
	/* By itself, or perhaps by an accept that ends: the view knows. */
	[STMT_EVENT_EXCUSED] =
		"SELECT 1 FROM event WHERE id = ?1 AND status = 2 UNION ALL SELECT 1 FROM event WHERE path = ?2 AND +id > "
		"?1 AND " DB_MAY_CLOSE("") " AND kind = 6 AND until IS NOT NULL UNION ALL SELECT 1 FROM event WHERE kind = 6 AND path IS NULL AND "
		"+id > ?1 AND until IS NOT NULL LIMIT 1",
	[STMT_PROCESS_ADD] =
		"INSERT INTO process (" PROCESS_COLUMNS ", digest) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, "
		"?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24)",
	[STMT_PROCESS_GET] = "SELECT " PROCESS_RESOLVED " FROM process WHERE id = ?1",
	[STMT_PROCESS_DIGEST] = "SELECT digest FROM process WHERE id = ?1",
	[STMT_CONTAINER_ADD] = "INSERT INTO container (" STMT_CONTAINER_COLUMNS ", digest) VALUES (?1, ?2, ?3, ?4, ?5, "
			       "?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
	[STMT_CONTAINER_GET] = "SELECT " STMT_CONTAINER_COLUMNS ", digest FROM container WHERE id = ?1",
	[STMT_STR_ADD] = "INSERT INTO str (hash, data, show) VALUES (?1, ?2, ?3)",
	[STMT_STR_FIND] = "SELECT id FROM str WHERE hash = ?1 AND data = ?2",
	[STMT_BATCH_ADD] = "INSERT INTO batch (" BATCH_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
	[STMT_BATCH_NEWEST] = "SELECT " BATCH_COLUMNS " FROM batch ORDER BY seq DESC LIMIT 1",
	[STMT_BATCH_GET] = "SELECT " BATCH_COLUMNS " FROM batch WHERE seq = ?1",
	[STMT_TEXT_SEEN] = "UPDATE text SET seen = ?2 WHERE digest = ?1",
	[STMT_TEXT_ADD] = "INSERT INTO text (digest, seen, size, data) VALUES (?1, ?2, ?3, ?4)",
	[STMT_TEXT_TOTAL] = "SELECT coalesce(sum(size), 0) FROM text",
	[STMT_TEXT_TRIM] =
		"DELETE FROM text WHERE digest IN (SELECT digest FROM (SELECT digest, sum(size) OVER (ORDER BY "
		"seen DESC, digest) AS upto FROM text) WHERE upto > ?1)",
	[STMT_DATA_VERSION] = "PRAGMA data_version",

	[STMT_TRUSTED_FIND] = "SELECT id FROM trust_entry WHERE " TRUSTED_IN_FORCE " AND kind = ?2 AND "
			      "CASE kind WHEN 1 THEN path ELSE digest END = ?3 AND until IS ?4",
	[STMT_TRUSTED_COUNT] = "SELECT count(*) FROM trust_entry WHERE " TRUSTED_IN_FORCE " AND (kind = 2) = ?2",
	[STMT_TRUSTED_ADD] =
		"INSERT INTO trust_entry (kind, digest, path, path_show, reason, added, added_by, until) VALUES (?1, ?2, "
		"?3, ?4, ?5, ?6, ?7, ?8)",
	[STMT_TRUSTED_REMOVE] = "UPDATE trust_entry SET removed = ?1, removed_by = ?3, removed_reason = ?4 WHERE id = "
				"?2 AND " TRUSTED_IN_FORCE,
	[STMT_TRUSTED_FORGET] = "DELETE FROM trust_entry WHERE id IN (SELECT id FROM trust_entry WHERE NOT "
				"(" TRUSTED_IN_FORCE ") ORDER BY id DESC LIMIT -1 OFFSET ?2)",
	[STMT_TRUSTED_SEALS] = "SELECT id, kind, digest, path, path_show, reason, added, added_by, until, removed, "
			       "removed_by, removed_reason FROM trust_entry ORDER BY id",
};
