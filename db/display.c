/*
 * Values for people. The sqlite3 shell has none of our functions and prints what a column holds, so whatever a view
 * shows is made fit for a terminal when it is written: plain values are kept once, others get an escaped form beside
 * them.
 */
#include "db/store.h"
#include "lib/text.h"

static bool ascii_plain(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)s[i] - 0x20u >= 0x5f || s[i] == '\\')
			return false;
	return true;
}

/* Escapes into scratch; true when that changed nothing. */
static bool escapes_to_itself(const char *s, size_t len, struct buf *scratch)
{
	buf_reset(scratch);
	text_escape(scratch, s, len);
	return !scratch->failed && scratch->len == len && memcmp(scratch->data, s, len) == 0;
}

bool display_plain(const char *s, size_t len)
{
	_cleanup_buf_ struct buf b = BUF_INIT;

	return ascii_plain(s, len) || escapes_to_itself(s, len, &b);
}

void display_escape(struct buf *b, const char *s)
{
	text_escape(b, s, strlen(s));
}

int display_bind(sqlite3_stmt *st, int col, const char *s, size_t len, struct buf *scratch)
{
	if (ascii_plain(s, len) || escapes_to_itself(s, len, scratch))
		return sqlite3_bind_null(st, col);
	return scratch->failed ? SQLITE_NOMEM
			       : sqlite3_bind_text(st, col, scratch->data, (int)scratch->len, SQLITE_TRANSIENT);
}

int display_bind_text(sqlite3_stmt *st, int col, const char *s, struct buf *scratch)
{
	size_t len = s ? strlen(s) : 0;

	if (!s)
		return sqlite3_bind_null(st, col);
	if (ascii_plain(s, len) || escapes_to_itself(s, len, scratch))
		return sqlite3_bind_text(st, col, s, (int)len, SQLITE_TRANSIENT);
	return scratch->failed ? SQLITE_NOMEM
			       : sqlite3_bind_text(st, col, scratch->data, (int)scratch->len, SQLITE_TRANSIENT);
}
