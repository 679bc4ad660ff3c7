/*
 * libmagic behind one question. Owns one cookie, or the role that has it, and the answers to recent questions, under a
 * lock. Looks at bytes that
 * were read already; opens no file but the magic database.
 *
 * A question costs libmagic up to a millisecond, and most programs begin like another one: so scripts and ELF files are
 * asked about by the few bytes that matter, and those answers are kept. What is kept is a function of the bytes asked
 * about: the answer does not depend on which file came first.
 */
#include "fim/mime.h"

#include <errno.h>
#include <magic.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/hash.h"
#include "lib/util.h"

#define MIME_KEY_MAX  128
#define MIME_SLOTS    256
#define MIME_ELF_ID   20 /* e_ident, e_type, e_machine */
#define MIME_KEEP_NS  (10 * NSEC_PER_SEC)
#define MIME_ROLE_NS  (120 * NSEC_PER_SEC) /* a process costs more than a database */
#define MIME_START_NS (5 * NSEC_PER_SEC)   /* until the first answer */
#define MIME_WAIT_NS  (2 * NSEC_PER_SEC)   /* until a later one */

/* Nothing that runs a decompressor or parses containers: the bytes may be hostile, and the answer has to be cheap. */
#define MIME_FLAGS                                                                                                     \
	(MAGIC_MIME_TYPE | MAGIC_NO_CHECK_COMPRESS | MAGIC_NO_CHECK_TAR | MAGIC_NO_CHECK_APPTYPE |                     \
	 MAGIC_NO_CHECK_CDF | MAGIC_NO_CHECK_ELF | MAGIC_NO_CHECK_TOKENS | MAGIC_NO_CHECK_JSON | MAGIC_NO_CHECK_CSV)

struct mime_answer {
	uint8_t len; /* 0: empty */
	uint8_t key[MIME_KEY_MAX];
	char type[MIME_TYPE_MAX];
};

struct mime {
	pthread_mutex_t lock;
	struct role *role;	    /* NULL: the cookie is asked */
	char answer[MIME_TYPE_MAX]; /* the role's last */
	magic_t cookie;
	bool failed; /* no magic database: not tried again */
	uint64_t asked_ns;
	struct mime_answer answers[MIME_SLOTS];
};

int mime_new(struct mime **ret)
{
	struct mime *m = calloc(1, sizeof(*m));
	int r;

	if (!m)
		return -ENOMEM;
	r = pthread_mutex_init(&m->lock, NULL);
	if (r) {
		free(m);
		return -r;
	}
	*ret = m;
	return 0;
}

int mime_new_role(struct role *role, struct mime **ret)
{
	int r = mime_new(ret);

	if (r == 0)
		(*ret)->role = role;
	return r;
}

void mime_free(struct mime *m)
{
	if (!m)
		return;
	role_free(m->role);
	if (m->cookie)
		magic_close(m->cookie);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

const char *mime_said(const struct role_message *m, char ret[MIME_TYPE_MAX])
{
	if (m->len >= MIME_TYPE_MAX)
		return NULL;
	for (size_t i = 0; i < m->len; i++)
		if (m->data[i] <= ' ' || m->data[i] > '~')
			return NULL;
	memcpy(ret, m->data, m->len);
	ret[m->len] = '\0';
	return ret;
}

static const char *mime_ask_role(struct mime *m, const void *head, size_t len)
{
	bool running = role_fd(m->role) >= 0;
	uint64_t deadline = clock_mono_ns() + (running ? MIME_WAIT_NS : MIME_START_NS);
	struct role_message answer;

	if (role_ask(m->role, ROLE_TYPE_OF, head, len, -1, deadline, ROLE_TYPE_IS, &answer) < 0 || !answer.len)
		return NULL;
	if (mime_said(&answer, m->answer))
		return m->answer;
	role_fail(m->role, "it says what is no type");
	return NULL;
}

static const char *mime_ask(struct mime *m, const void *head, size_t len)
{
	if (m->role)
		return mime_ask_role(m, head, len);
	if (!m->cookie && !m->failed) {
		m->cookie = magic_open(MIME_FLAGS);
		m->failed = !m->cookie || magic_load(m->cookie, NULL) != 0;
	}
	m->asked_ns = clock_mono_ns();
	return m->failed ? NULL : magic_buffer(m->cookie, head, len);
}

/* Bytes that decide for a file that begins so; 0 when there is no telling. */
static size_t mime_key(const uint8_t *head, size_t len)
{
	const uint8_t *end;

	if (len >= MIME_ELF_ID && !memcmp(head, "\177ELF", 4))
		return MIME_ELF_ID;
	if (len < 2 || memcmp(head, "#!", 2) != 0)
		return 0;
	end = memchr(head, '\n', MIN(len, MIME_KEY_MAX));
	return end ? (size_t)(end - head) + 1 : 0;
}

static struct mime_answer *mime_slot(struct mime *m, const uint8_t *key, size_t len)
{
	return &m->answers[hash_bytes(0, key, len) % MIME_SLOTS];
}

static const char *mime_lookup(struct mime *m, const uint8_t *key, size_t len)
{
	struct mime_answer *slot = mime_slot(m, key, len);
	const char *type;

	if (slot->len == len && !memcmp(slot->key, key, len))
		return slot->type;
	type = mime_ask(m, key, len);
	if (!type || strlen(type) >= sizeof(slot->type))
		return type;
	memcpy(slot->key, key, len);
	slot->len = (uint8_t)len;
	strcpy(slot->type, type);
	return slot->type;
}

const char *mime_type(struct mime *m, struct arena *a, const void *head, size_t len)
{
	size_t key = mime_key(head, len);
	const char *type;

	pthread_mutex_lock(&m->lock);
	type = key ? mime_lookup(m, head, key) : mime_ask(m, head, MIN(len, MIME_HEAD));
	if (type)
		type = arena_strdup(a, type);
	pthread_mutex_unlock(&m->lock);
	return type;
}

void mime_rest(struct mime *m)
{
	/* Somebody waits for an answer. */
	if (pthread_mutex_trylock(&m->lock) != 0)
		return;
	if (m->role)
		role_rest(m->role, MIME_ROLE_NS);
	if (m->cookie && !m->failed && clock_mono_ns() - m->asked_ns > MIME_KEEP_NS) {
		magic_close(m->cookie);
		m->cookie = NULL;
	}
	pthread_mutex_unlock(&m->lock);
}

bool mime_get_role(struct mime *m, struct role_stats *ret)
{
	if (m->role)
		role_get_stats(m->role, ret);
	return m->role;
}
