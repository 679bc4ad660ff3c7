/*
 * The snapshot that all share: the gate, what explains changes, rules. Owns one reference to the newest; the lock is
 * held while it is read, so that whoever else wants it waits instead of reading it a second time.
 */
#include "pkg/packages.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

struct packages_store {
	pthread_mutex_t lock;
	struct packages *newest; /* NULL: nobody has asked yet */
};

int packages_store_new(struct packages_store **ret)
{
	struct packages_store *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	pthread_mutex_init(&s->lock, NULL);
	*ret = s;
	return 0;
}

void packages_store_free(struct packages_store *s)
{
	if (!s)
		return;
	if (s->newest)
		packages_unref(s->newest);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

int packages_store_get(struct packages_store *s, struct packages **ret, struct buf *warnings)
{
	struct packages *p;
	int r = 0;

	if (!s)
		return packages_load_lists("/", ret, warnings);
	pthread_mutex_lock(&s->lock);
	if (!s->newest || packages_touched(s->newest)) {
		r = packages_load_lists("/", &p, warnings);
		if (r == 0 && s->newest)
			packages_unref(s->newest);
		if (r == 0)
			s->newest = p;
	}
	if (r == 0)
		*ret = packages_ref(s->newest);
	pthread_mutex_unlock(&s->lock);
	return r;
}
