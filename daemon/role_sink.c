/*
 * The role sink: sends alerts for one output, http or syslog elsewhere. Has a network, and of files those that names
 * are resolved and certificates verified with. Owns the settings it was told, once.
 */
#include "daemon/role_sink.h"

#include <errno.h>

#include "daemon/role.h"
#include "lib/util.h"

struct sink_way {
	const char *scheme; /* of addresses */
	enum post_outcome (*settings)(const struct post_settings *s, char why[160]);
	enum post_outcome (*post)(const struct buf *body, char why[160]);
};

static const struct sink_way ways[] = {
	{ "udp://", sink_syslog_settings, sink_syslog_post },
	{ "tcp://", sink_syslog_settings, sink_syslog_post },
	{ "", sink_settings, sink_post },
};

static struct buf settings_bytes;
static const struct sink_way *way; /* once it was told */

static enum post_outcome take_settings(int body, char why[160])
{
	struct post_settings s;
	const struct sink_way *w = ways;

	if (way || role_body_read(body, &settings_bytes) < 0 ||
	    post_settings_decode(settings_bytes.data, settings_bytes.len, &s) < 0)
		return POST_FAILED;
	while (strncmp(s.url, w->scheme, strlen(w->scheme)) != 0)
		w++;
	way = w;
	return way->settings(&s, why);
}

static enum post_outcome post(int body, char why[160])
{
	_cleanup_buf_ struct buf b = BUF_INIT;

	return way && role_body_read(body, &b) == 0 ? way->post(&b, why) : POST_FAILED;
}

static int sink_answer(const struct role_message *m, int body, struct role_message *ret)
{
	enum post_outcome outcome;
	char why[160] = "";

	if (body < 0 || (m->type != ROLE_POST_AS && m->type != ROLE_POST))
		return -EBADMSG;
	outcome = (m->type == ROLE_POST_AS ? take_settings : post)(body, why);
	ret->type = ROLE_POSTED;
	memcpy(ret->data, (const uint8_t[]){ (uint8_t)outcome, 0, 0, 0 }, 4);
	ret->len = 4 + (uint32_t)strlen(why);
	memcpy(ret->data + 4, why, strlen(why));
	return 0;
}

/* Libraries are looked for when a name is resolved for the first time. */
static const char *const sink_files[] = {
	"/etc/ssl",
	"/etc/pki",
	"/etc/ca-certificates",
	"/etc/crypto-policies",
	"/usr/share/ca-certificates",
	"/usr/local/share/ca-certificates",
	"/usr/share/pki",
	"/usr/lib/ssl",
	"/etc/resolv.conf",
	"/etc/hosts",
	"/etc/host.conf",
	"/etc/gai.conf",
	"/etc/nsswitch.conf",
	"/etc/services",
	"/etc/ld.so.cache",
	"/run/systemd/resolve",
	"/run/resolvconf",
	"/run/NetworkManager",
	"/usr/lib",
	"/usr/lib64",
	"/lib",
	"/lib64",
};

const struct role_row role_sink = {
	.name = "sink",
	.comm = "hf-sink",
	.prepare = sink_prepare,
	.answer = sink_answer,
	.files = sink_files,
	.n_files = ARRAY_SIZE(sink_files),
	.memory = 1024 * MIB,
	.descriptors = 64,
	/* A thread for a name; how many others run as nobody is not for us to say. */
	.processes = 4096,
	.seconds = 30,
};
