#include "daemon/exec_vouch.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

void exec_vouch_from(struct monitor *m, struct exec_trust *t)
{
	pthread_mutex_lock(&m->vouch_lock);
	m->vouch = t;
	pthread_mutex_unlock(&m->vouch_lock);
}

void exec_part_baselines(struct monitor *m)
{
	pthread_mutex_lock(&m->vouch_lock);
	if (m->vouch)
		exec_trust_want(m->vouch);
	pthread_mutex_unlock(&m->vouch_lock);
}

void exec_part_renew(struct monitor *m)
{
	pthread_mutex_lock(&m->vouch_lock);
	if (m->vouch)
		exec_trust_want_list(m->vouch);
	pthread_mutex_unlock(&m->vouch_lock);
}

/* By digest alone: what stands at a path is what may have to go. -ENOSYS: there is nobody to ask. */
static int exec_ask(struct monitor *m, const uint8_t digest[32], struct trust_answer *ret)
{
	_cleanup_trust_ struct trust *t = NULL;
	struct exec_digests d = { .have = 1u << EXEC_DIGEST };
	const struct stat none = { 0 };

	memcpy(d.digest[EXEC_DIGEST], digest, EXEC_DIGEST_SIZE);
	pthread_mutex_lock(&m->vouch_lock);
	if (m->vouch)
		t = exec_trust_ref(m->vouch);
	pthread_mutex_unlock(&m->vouch_lock);
	if (!t)
		return -ENOSYS;
	trust_ask(t, NULL, &none, &d, NULL, ret);
	return 0;
}

bool exec_part_vouches(struct monitor *m, const uint8_t digest[32])
{
	struct trust_answer answer;

	/* It may lie in a layer of the image that holds it. */
	return exec_ask(m, digest, &answer) == 0 && (answer.source != TRUST_NONE || answer.image);
}

int exec_part_denies(struct monitor *m, const uint8_t digest[32])
{
	struct trust_answer answer;
	int r = exec_ask(m, digest, &answer);

	return r < 0 ? r : answer.denied;
}
