/*
 * init and check. The calling thread of fim_init is the one database writer: it takes chunks from a bounded queue while
 * the scan runs on a thread of its own. fim_check needs no writer: the scan runs on the calling thread and its
 * callbacks are put in a row by a lock.
 */
#include "fim/baseline.h"

#include <errno.h>
#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fim/image_tree.h"
#include "lib/clock.h"
#include "lib/queue.h"
#include "lib/util.h"

#define INIT_CHUNKS 128 /* waiting for the writer: some 20 KiB each */
#define INIT_LINGER (5 * NSEC_PER_MSEC)

struct init {
	const struct fim_common *common;
	struct scan_options scan;
	struct queue *chunks;
	pthread_mutex_t lock; /* one gap at a time */
	struct buf err;
	struct digest *blake; /* of an image: its chunks are sealed again */
	struct buf scratch;
	int result; /* the scan's */
};

struct check {
	const struct fim_check_options *o;
	pthread_mutex_t lock; /* one callback at a time */
};

static struct scan_options common_scan(const struct fim_common *c, enum scan_mode mode, enum digest_algo algo,
				       struct scan_progress *own)
{
	return (struct scan_options){
		.mode = mode,
		.rootfd = c->rootfd,
		.read = { .algo = algo, .hash_size = c->hash_size, .mime_all = c->mime_all },
		.threads = c->threads,
		.rate = c->rate,
		.progress = c->progress ? c->progress : own,
	};
}

static int common_gap(const struct fim_common *c, pthread_mutex_t *lock, enum gap_reason reason, const char *path,
		      const char *detail)
{
	int r;

	if (!c->gap)
		return 0;
	pthread_mutex_lock(lock);
	r = c->gap(c->data, reason, path, detail);
	pthread_mutex_unlock(lock);
	return r;
}

/* --- init */

static int init_chunk(void *data, struct chunk *c)
{
	struct init *in = data;
	int r = queue_push(in->chunks, c);

	if (r < 0)
		chunk_free(c);
	return r;
}

static int init_gap(void *data, enum gap_reason reason, const char *path, const char *detail)
{
	struct init *in = data;

	return common_gap(in->common, &in->lock, reason, path, detail);
}

static void *init_scan(void *data)
{
	struct init *in = data;
	struct scan_sink sink = { .data = in, .chunk = init_chunk, .gap = init_gap };

	in->result = scan_run(&in->scan, &sink, &in->err);
	queue_close(in->chunks);
	return NULL;
}

/*
 * The next chunk, NULL at the end. The store is faster than the scan: it would sleep and be woken for every chunk, and
 * that costs the workers more than the chunk does. So it lets some come together.
 */
static struct chunk *init_next(struct init *in)
{
	int timed_out;
	struct chunk *c = queue_pop_until(in->chunks, 0, &timed_out);

	if (c || !timed_out)
		return c;
	nanosleep(&(struct timespec){ .tv_nsec = INIT_LINGER }, NULL);
	return queue_pop(in->chunks);
}

static int init_reduce(struct init *in, struct chunk *c)
{
	if (!in->blake)
		return 0;
	for (uint32_t i = 0; i < c->n; i++)
		image_entry_reduce(&c->entries[i], &c->arena);
	return chunk_seal(c, in->blake, &in->scratch);
}

/* Stores what the scan makes until it ends. A failure of the store ends the scan; what it still makes is thrown away.
 */
static int init_store(struct init *in, struct baseline_writer *w)
{
	struct chunk *c;
	int r = 0;

	while ((c = init_next(in))) {
		if (!r) {
			r = init_reduce(in, c);
			if (!r)
				r = baseline_add(w, c);
			if (r < 0)
				atomic_store(&in->scan.progress->stop, 1);
		}
		chunk_free(c);
	}
	return r;
}

static int init_run(struct init *in, struct baseline_writer *w, struct db *d, struct buf *err)
{
	pthread_t thread;
	int r = -pthread_create(&thread, NULL, init_scan, in);

	if (r < 0)
		return r;
	pthread_setname_np(thread, "walk");
	r = init_store(in, w);
	pthread_join(thread, NULL);
	if (r < 0)
		buf_str(err, db_error(d));
	else if (in->err.len)
		buf_add(err, in->err.data, in->err.len);
	return r ? r : in->result;
}

static int init_begin(struct db *d, const struct fim_init_options *o, const char *scope, struct baseline_writer **ret,
		      struct buf *err)
{
	struct baseline_info info = {
		.name = o->name,
		.kind = o->kind,
		.root = o->root,
		.scope = scope,
		.image_ref = o->image_ref,
		.image_digest = o->image_digest,
		.created = clock_real_ns(),
		.algo = o->algo,
	};
	int r = baseline_begin(d, &info, o->replace, ret);

	if (r < 0 && r != -EEXIST)
		buf_str(err, db_error(d));
	return r;
}

static char *scope_text(const struct scope *scope)
{
	json_t *json = scope_to_json(scope);
	char *text = json ? json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS) : NULL;

	json_decref(json);
	return text;
}

int fim_init(struct db *d, const struct fim_init_options *o, int64_t *ret_id, struct buf *err)
{
	_cleanup_(baseline_abort_p) struct baseline_writer *w = NULL;
	_cleanup_free_ char *scope = scope_text(o->scope);
	struct scan_progress own = { 0 };
	struct init in = { .common = &o->common, .lock = PTHREAD_MUTEX_INITIALIZER };
	int r;

	if (!scope)
		return -ENOMEM;
	r = init_begin(d, o, scope, &w, err);
	if (r < 0)
		return r;
	if (o->image)
		r = digest_new(DIGEST_BLAKE2B512, &in.blake);
	if (r == 0)
		r = queue_new(INIT_CHUNKS, &in.chunks);
	if (r < 0) {
		digest_free(in.blake);
		return r;
	}
	in.scan = common_scan(&o->common, SCAN_INIT, o->algo, &own);
	in.scan.scope = o->scope;
	r = init_run(&in, w, d, err);
	if (!r)
		r = baseline_finish(TAKE_PTR(w), o->key, ret_id);
	if (r < 0 && !err->len)
		buf_str(err, db_error(d));
	queue_free(in.chunks);
	digest_free(in.blake);
	buf_free(&in.scratch);
	buf_free(&in.err);
	pthread_mutex_destroy(&in.lock);
	return r;
}

/* --- check */

static int check_difference(void *data, const struct scan_difference *d)
{
	struct check *c = data;
	int r;

	pthread_mutex_lock(&c->lock);
	r = c->o->difference(c->o->common.data, d);
	pthread_mutex_unlock(&c->lock);
	return r;
}

static int check_gap(void *data, enum gap_reason reason, const char *path, const char *detail)
{
	struct check *c = data;

	return common_gap(&c->o->common, &c->lock, reason, path, detail);
}

static int check_scope(struct arena *a, const char *text, struct scope *ret, struct buf *err)
{
	json_t *json = json_loads(text ? text : "", 0, NULL);
	int r = json ? scope_from_json(a, json, ret) : -EBADMSG;

	json_decref(json);
	if (r < 0)
		buf_str(err, "the baseline's scope is malformed");
	return r;
}

int fim_check(struct db *d, const struct fim_check_options *o, struct buf *err)
{
	struct check c = { .o = o, .lock = PTHREAD_MUTEX_INITIALIZER };
	struct scan_sink sink = { .data = &c, .difference = check_difference, .gap = check_gap };
	_cleanup_arena_ struct arena arena = ARENA_INIT;
	struct scan_progress own = { 0 };
	struct scan_options scan;
	struct baseline_info info;
	struct scope scope = { 0 };
	int r = baseline_find_id(d, o->baseline, &arena, &info);

	if (!r && o->pub)
		r = baseline_check_signature(d, o->baseline, o->pub, err);
	if (!r)
		r = check_scope(&arena, info.scope, &scope, err);
	if (r < 0)
		return r;
	scan = common_scan(&o->common, o->full ? SCAN_FULL : SCAN_QUICK, info.algo, &own);
	scan.scope = &scope;
	scan.only = o->only;
	scan.n_only = o->n_only;
	scan.policy = o->policy;
	scan.db = o->db;
	scan.baseline = o->baseline;
	r = scan_run(&scan, &sink, err);
	pthread_mutex_destroy(&c.lock);
	return r;
}
