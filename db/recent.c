/*
 * What a transaction has looked up or made a moment ago, so that a thousand program starts of one file cost no thousand
 * look-ups: numbers of strings, digests of process rows, records as JSON. Of the thread of the connection. Rows are
 * remembered within one transaction only: behind its end somebody else may have changed or pruned them.
 */
#include <stdlib.h>

#include "db/store.h"
#include "lib/hash.h"

#define RECENT_ROWS    64
#define RECENT_RECORDS 16
#define RECENT_TEXT    192  /* longer strings are looked up */
#define RECENT_JSON    4096 /* bytes of a record, and of what it comes to */

struct recent {
	struct {
		uint64_t transaction;
		int64_t id;
		size_t len;
		char s[RECENT_TEXT];
	} strs[RECENT_ROWS];
	struct {
		uint64_t transaction;
		int64_t row;
		uint8_t digest[DB_HASH_SIZE];
	} digests[RECENT_ROWS];
	struct {
		struct buf record, json;
	} records[RECENT_RECORDS];
};

void recent_free(struct recent *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < RECENT_RECORDS; i++) {
		buf_free(&r->records[i].record);
		buf_free(&r->records[i].json);
	}
	free(r);
}

/* Without memory everything is looked up. */
static struct recent *recent_of(struct db *d)
{
	if (!d->recent)
		d->recent = calloc(1, sizeof(*d->recent));
	return d->recent;
}

static size_t slot_of(const void *data, size_t len, size_t slots)
{
	return hash_bytes(0, data, len) % slots;
}

bool recent_str(struct db *d, const char *s, size_t len, int64_t *ret)
{
	const struct recent *r = recent_of(d);
	size_t i = slot_of(s, len, RECENT_ROWS);

	if (!r || r->strs[i].transaction != d->transaction || r->strs[i].len != len ||
	    memcmp(r->strs[i].s, s, len) != 0)
		return false;
	*ret = r->strs[i].id;
	return true;
}

void recent_put_str(struct db *d, const char *s, size_t len, int64_t id)
{
	struct recent *r = recent_of(d);
	size_t i = slot_of(s, len, RECENT_ROWS);

	if (!r || len > RECENT_TEXT)
		return;
	r->strs[i].transaction = d->transaction;
	r->strs[i].id = id;
	r->strs[i].len = len;
	memcpy(r->strs[i].s, s, len);
}

bool recent_digest(struct db *d, int64_t row, uint8_t ret[DB_HASH_SIZE])
{
	const struct recent *r = recent_of(d);
	size_t i = (uint64_t)row % RECENT_ROWS;

	if (!r || r->digests[i].transaction != d->transaction || r->digests[i].row != row)
		return false;
	memcpy(ret, r->digests[i].digest, DB_HASH_SIZE);
	return true;
}

void recent_put_digest(struct db *d, int64_t row, const uint8_t digest[DB_HASH_SIZE])
{
	struct recent *r = recent_of(d);
	size_t i = (uint64_t)row % RECENT_ROWS;

	if (!r)
		return;
	r->digests[i].transaction = d->transaction;
	r->digests[i].row = row;
	memcpy(r->digests[i].digest, digest, DB_HASH_SIZE);
}

const char *recent_json(struct db *d, const struct buf *record)
{
	const struct recent *r = recent_of(d);
	size_t i = slot_of(record->data, record->len, RECENT_RECORDS);

	if (!r || r->records[i].record.len != record->len || !r->records[i].json.len ||
	    memcmp(r->records[i].record.data, record->data, record->len) != 0)
		return NULL;
	return r->records[i].json.data;
}

void recent_put_json(struct db *d, const struct buf *record, const struct buf *json)
{
	struct recent *r = recent_of(d);
	size_t i = slot_of(record->data, record->len, RECENT_RECORDS);

	if (!r || record->len > RECENT_JSON || json->len > RECENT_JSON)
		return;
	buf_free(&r->records[i].record);
	buf_free(&r->records[i].json);
	buf_add(&r->records[i].record, record->data, record->len);
	buf_add(&r->records[i].json, json->data, json->len);
	if (r->records[i].record.failed || r->records[i].json.failed)
		buf_free(&r->records[i].json);
}
