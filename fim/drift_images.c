/* Open baselines of images, least recently used first to go; what was not found is remembered for a while. */
#include "fim/drift_images.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fim/drift.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/util.h"

#define NONE_NS	 (30 * NSEC_PER_SEC)
#define NONE_MAX 256
#define KEY_SIZE 256

/* Of an image as containers name it: its digest, else its id, else its reference. */
struct slot {
	char key[KEY_SIZE];
	uint64_t used; /* counts up; 0: empty */
	struct arena arena;
	struct drift_image image;
};

struct none {
	char key[KEY_SIZE];
	int error;
	uint64_t until; /* mono */
};

struct drift_images {
	struct db *db;
	const struct sign_key *pub;
	struct read_options read;
	uint64_t uses;
	struct slot slots[DRIFT_IMAGES_MAX];
	struct none none[NONE_MAX]; /* a ring */
	size_t next_none;
};

int drift_images_new(struct db *d, const struct sign_key *pub, const struct read_options *read,
		     struct drift_images **ret)
{
	struct drift_images *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->db = d;
	s->pub = pub;
	s->read = *read;
	*ret = s;
	return 0;
}

static void slot_close(struct slot *s)
{
	if (s->image.base)
		baseline_reader_free(s->image.base);
	if (s->image.files)
		file_reader_free(s->image.files);
	arena_free(&s->arena);
	*s = (struct slot){ .used = 0 };
}

void drift_images_forget(struct drift_images *s)
{
	for (size_t i = 0; i < ARRAY_SIZE(s->slots); i++)
		slot_close(&s->slots[i]);
	memset(s->none, 0, sizeof(s->none));
}

void drift_images_free(struct drift_images *s)
{
	drift_images_forget(s);
	free(s);
}

static int slot_open(struct drift_images *s, struct slot *to, const struct container *c)
{
	_cleanup_buf_ struct buf err = BUF_INIT;
	int r = drift_find_baseline(s->db, c, &to->arena, &to->image.info);

	if (r == 0)
		r = baseline_verify(s->db, to->image.info.id, s->pub, &err);
	if (r < 0 && r != -ENOENT)
		log_error("baseline of image %s cannot be used: %s", c->image ?: to->key,
			  err.len ? err.data : strerror(-r));
	if (r < 0)
		return r;
	s->read.algo = to->image.info.algo;
	r = file_reader_new(&s->read, &to->image.files);
	return r < 0 ? r : baseline_reader_new(s->db, to->image.info.id, &to->image.base);
}

static const struct none *find_none(const struct drift_images *s, const char *key)
{
	for (size_t i = 0; i < ARRAY_SIZE(s->none); i++)
		if (s->none[i].until > clock_mono_ns() && streq(s->none[i].key, key))
			return &s->none[i];
	return NULL;
}

static int note_none(struct drift_images *s, const char *key, int error)
{
	struct none *n = &s->none[s->next_none++ % ARRAY_SIZE(s->none)];

	snprintf(n->key, sizeof(n->key), "%s", key);
	n->error = error;
	n->until = clock_mono_ns() + NONE_NS;
	return error;
}

int drift_images_get(struct drift_images *s, const struct container *c, struct drift_image **ret)
{
	const char *key = c->image_digest ?: c->image_id ?: c->image;
	struct slot *oldest = &s->slots[0];
	const struct none *none;
	int r;

	if (!key || strlen(key) >= KEY_SIZE)
		return -ENOENT;
	for (size_t i = 0; i < ARRAY_SIZE(s->slots); i++) {
		struct slot *slot = &s->slots[i];

		if (slot->used < oldest->used)
			oldest = slot;
		if (!slot->used || !streq(slot->key, key))
			continue;
		slot->used = ++s->uses;
		*ret = &slot->image;
		return 0;
	}
	none = find_none(s, key);
	if (none)
		return none->error;
	slot_close(oldest);
	snprintf(oldest->key, sizeof(oldest->key), "%s", key);
	r = slot_open(s, oldest, c);
	if (r < 0) {
		slot_close(oldest);
		return note_none(s, key, r);
	}
	oldest->used = ++s->uses;
	*ret = &oldest->image;
	return 0;
}
