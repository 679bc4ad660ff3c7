/* The statements of the store, one row each in the table of statements.c; prepared at first use on each connection. */
#ifndef DB_STATEMENTS_H
#define DB_STATEMENTS_H

enum statement {
	STMT_BEGIN,
	STMT_COMMIT,
	STMT_ROLLBACK,
	STMT_META_GET,
	STMT_META_SET,
	STMT_ACCOUNT_ADD,
	STMT_UNREAD_ADD,
	/* baselines */
	STMT_BASELINE_ADD,
	STMT_BASELINE_SIGN,
	STMT_BASELINE_STATE,
	STMT_BASELINE_ALIVE,
	STMT_BASELINE_BY_NAME,
	STMT_BASELINE_BY_ID,
	STMT_BASELINE_BY_IMAGE,
	STMT_BASELINE_REMOVE,
	STMT_BASELINE_SEALS,
	STMT_BASELINE_UNSIGNED,
	STMT_DIR_FIND,
	STMT_DIR_ADD,
	STMT_DIR_REMOVE,
	STMT_DIR_PIECE,
	STMT_LAYER_ADD,
	STMT_LAYER_OF,
	STMT_LAYER_REMOVE,
	STMT_CHUNK_ADD,
	STMT_CHUNK_LEAVES,
	STMT_CHUNK_OF_DIR,
	STMT_CHUNK_REMOVE,
	STMT_CHUNK_BASE,
	STMT_CHUNK_MOVE_DIR,
	STMT_FILE_ADD,
	STMT_FILE_ADD_ROWS, /* FILE_ROWS at a time */
	STMT_FILE_REMOVE,
	STMT_FILE_MAX,
	STMT_XSET_ADD,
	STMT_XSET_FIND,
	/* history */
	STMT_EVENT_ADD,
	STMT_EVENT_GAP_OPEN,
	STMT_EVENT_GAP_OPEN_ANY,
	STMT_EVENT_LAST_CHANGE,
	STMT_EVENT_LAST_RENAME,
	STMT_EVENT_LAST_LAYER_CHANGE,
	STMT_EVENT_LAST_LAYER_RENAME,
	STMT_EVENT_MOUNTED,
	STMT_EVENT_ACCEPTED,
	STMT_EVENT_EXCUSED,
	STMT_PROCESS_ADD,
	STMT_PROCESS_GET,
	STMT_PROCESS_DIGEST,
	STMT_CONTAINER_ADD,
	STMT_CONTAINER_GET,
	STMT_STR_ADD,
	STMT_STR_FIND,
	STMT_BATCH_ADD,
	STMT_BATCH_NEWEST,
	STMT_BATCH_GET,
	STMT_TEXT_SEEN,
	STMT_TEXT_ADD,
	STMT_TEXT_TOTAL,
	STMT_TEXT_TRIM,
	STMT_DATA_VERSION,
	/* programs trusted by hand */
	STMT_TRUSTED_FIND,
	STMT_TRUSTED_COUNT,
	STMT_TRUSTED_ADD,
	STMT_TRUSTED_REMOVE,
	STMT_TRUSTED_FORGET,
	STMT_TRUSTED_SEALS,
	STMT_COUNT
};

extern const char *const statement_sql[STMT_COUNT];

/* Table event without its digest, in the order in which rows are written, hashed and read. */
#define STMT_EVENT_COLUMNS                                                                                             \
	"id, time, boot, kind, path, path_show, path2, path2_show, process, process_why, baseline, baseline_name, "    \
	"change, status, attributes, attributes_show, before, after, before_rec, after_rec, cause, count, "            \
	"gap_reason, gap_scope, gap_scope_show, gap_detail, gap_from, gap_to, gap_lost, gap_healed, gap_key, ref, "    \
	"until, reason, user, text"
#define STMT_EVENT_COLUMN_COUNT 36

/*
 * Of the rows of event (prefix: "" or its alias and a point) those that may close a deviation. Word for word what the
 * index event_closes is of: a query that does not say so walks through all rows of a path.
 */
#define DB_MAY_CLOSE(prefix) "(" prefix "kind = 6 OR (" prefix "kind = 0 AND " prefix "change = 6))"

/* Behind them stands in which container it was: hashed only where there is one, as the rows before had none. */
#define STMT_EVENT_PLACE "container, host_path, host_path_show"

/* Table container, without id and digest. */
#define STMT_CONTAINER_COLUMNS                                                                                         \
	"runtime, cid, name, image, image_digest, image_id, pod, namespace, labels, privileged, mounts, started, "    \
	"unknown"
#define STMT_CONTAINER_COLUMN_COUNT 13

/* Table process, without id and digest; strings resolved when read. */
#define STMT_PROCESS_COLUMN_COUNT 23

/* Of table trust_entry; ?1: now. */
#define TRUSTED_IN_FORCE "removed IS NULL AND (until IS NULL OR until > ?1)"

/* The columns of a baseline that BASELINE_BY_* and baseline_each select, in this order. */
#define STMT_BASELINE_COLUMNS                                                                                          \
	"id, name, kind, root, scope, image_ref, image_digest, created, algo, files, bytes, unread, state, "           \
	"signed_by, "                                                                                                  \
	"tree, signature, image_id"

#endif
