/* Values of a row, bound and hashed in one go, so that what is signed is what is stored. No state; the caller's thread.
 */
#include "db/store.h"
#include "lib/text.h"

static void bound(struct row *r, int rc)
{
	r->failed |= rc != SQLITE_OK;
	r->col++;
}

void row_null(struct row *r)
{
	buf_u8(r->hash, 'n');
	bound(r, sqlite3_bind_null(r->st, r->col));
}

void row_int(struct row *r, bool have, int64_t value)
{
	if (!have) {
		row_null(r);
		return;
	}
	buf_u8(r->hash, 'i');
	buf_u64(r->hash, (uint64_t)value);
	bound(r, sqlite3_bind_int64(r->st, r->col, value));
}

void row_blob(struct row *r, const void *data, size_t len)
{
	buf_u8(r->hash, 'b');
	buf_bytes(r->hash, data, len);
	bound(r, sqlite3_bind_blob64(r->st, r->col, data, len, SQLITE_TRANSIENT));
}

void row_bytes(struct row *r, const char *s)
{
	if (s)
		row_blob(r, s, strlen(s));
	else
		row_null(r);
}

static void put_text(struct row *r, const char *s, size_t len)
{
	buf_u8(r->hash, 't');
	buf_bytes(r->hash, s, len);
	bound(r, sqlite3_bind_text64(r->st, r->col, s, len, SQLITE_TRANSIENT, SQLITE_UTF8));
}

void row_shown(struct row *r, const char *s)
{
	size_t len = s ? strlen(s) : 0;

	row_bytes(r, s);
	if (!s || display_plain(s, len)) {
		row_null(r);
		return;
	}
	row_text(r, s);
}

void row_text(struct row *r, const char *s)
{
	_cleanup_buf_ struct buf escaped = BUF_INIT;

	if (!s) {
		row_null(r);
		return;
	}
	if (display_plain(s, strlen(s))) {
		put_text(r, s, strlen(s));
		return;
	}
	text_escape(&escaped, s, strlen(s));
	r->failed |= escaped.failed;
	put_text(r, escaped.failed ? "" : escaped.data, escaped.len);
}

void row_ascii(struct row *r, const char *s)
{
	put_text(r, s, strlen(s));
}

void row_hash_columns(struct buf *hash, sqlite3_stmt *st, int first, int n)
{
	for (int i = first; i < first + n; i++) {
		switch (sqlite3_column_type(st, i)) {
		case SQLITE_NULL:
			buf_u8(hash, 'n');
			break;
		case SQLITE_INTEGER:
			buf_u8(hash, 'i');
			buf_u64(hash, (uint64_t)sqlite3_column_int64(st, i));
			break;
		case SQLITE_TEXT:
			buf_u8(hash, 't');
			buf_bytes(hash, sqlite3_column_text(st, i), (size_t)sqlite3_column_bytes(st, i));
			break;
		case SQLITE_BLOB:
			buf_u8(hash, 'b');
			buf_bytes(hash, sqlite3_column_blob(st, i), (size_t)sqlite3_column_bytes(st, i));
			break;
		default:
			buf_u8(hash, '?');
		}
	}
}
