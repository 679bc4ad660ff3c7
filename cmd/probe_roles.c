/* The probes of the monitor's roles: starts each as the monitor would, asks it something, shows what it gave up. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "alert/post.h"
#include "cmd/probe.h"
#include "fim/image_work.h"
#include "lib/clock.h"
#include "lib/role.h"

#define ROLES_WAIT (4 * NSEC_PER_SEC)

/* wanted: of ROLE_HOLDS_*. What is missing of it is what the line says. */
static void roles_say(struct probe_result *r, uint32_t holds, uint32_t wanted)
{
	_cleanup_buf_ struct buf b = BUF_INIT;
	bool missing = (holds & wanted) != wanted;

	if (missing)
		buf_str(&b, "cannot give up:");
	for (unsigned i = 0; i < ROLE_HOLDS_COUNT; i++)
		if ((missing ? wanted & ~holds : holds) & (1u << i))
			buf_printf(&b, "%s%s", b.len ? " " : "", role_holds_names[i]);
	r->answer = missing ? PROBE_MISSING : PROBE_OK;
	snprintf(r->detail, sizeof(r->detail), "%s", b.data ? b.data : "");
}

static void roles_ask(struct probe_result *r, const char *name, uint32_t wanted,
		      int (*ask)(struct role *role, struct role_message *ret))
{
	_cleanup_(spawner_stop_p) struct spawner *spawner = NULL;
	_cleanup_(role_free_p) struct role *role = NULL;
	struct role_options o = { .name = name };
	struct role_message m;
	struct role_stats s;
	int e = spawner_start(&spawner);

	o.spawner = spawner;
	if (e == 0)
		e = role_new(&o, &role);
	if (e == 0)
		e = ask(role, &m);
	if (e < 0) {
		r->answer = PROBE_MISSING;
		snprintf(r->detail, sizeof(r->detail), "does not answer: %s", strerror(-e));
		return;
	}
	role_get_stats(role, &s);
	roles_say(r, s.holds, wanted);
}

static int ask_type(struct role *role, struct role_message *ret)
{
	static const char script[] = "#!/bin/sh\n";

	return role_ask(role, ROLE_TYPE_OF, script, strlen(script), -1, clock_mono_ns() + ROLES_WAIT, ROLE_TYPE_IS,
			ret);
}

/* Settings alone: nothing is posted. */
static int ask_settings(struct role *role, struct role_message *ret)
{
	const struct post_settings settings = { .timeout = NSEC_PER_SEC, .url = "http://127.0.0.1/" };
	_cleanup_buf_ struct buf b = BUF_INIT;
	_cleanup_close_ int body = -1;

	post_settings_encode(&settings, &b);
	body = role_body_new(b.data, b.len);
	return body < 0 ? body
			: role_ask(role, ROLE_POST_AS, NULL, 0, body, clock_mono_ns() + ROLES_WAIT, ROLE_POSTED, ret);
}

/* A stream that ends at once: no entries. */
static int ask_entries(struct role *role, struct role_message *ret)
{
	const uint8_t what[] = { IMAGE_WORK_ENTRIES, DIGEST_SHA256 };
	int fds[2], r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	close(fds[0]);
	r = role_ask(role, ROLE_UNPACK, what, sizeof(what), fds[1], clock_mono_ns() + ROLES_WAIT, ROLE_UNPACKED, ret);
	close(fds[1]);
	return r;
}

void probe_inspect(struct probe_result *r)
{
	roles_ask(r, "inspect", (1u << ROLE_HOLDS_COUNT) - 1, ask_type);
}

void probe_sink(struct probe_result *r)
{
	roles_ask(r, "sink", ((1u << ROLE_HOLDS_COUNT) - 1) & ~ROLE_HOLDS_NETWORK, ask_settings);
}

void probe_unpack(struct probe_result *r)
{
	roles_ask(r, "unpack", (1u << ROLE_HOLDS_COUNT) - 1, ask_entries);
}
