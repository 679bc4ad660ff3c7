/*
 * The control socket's server: runs on the loop of the main thread, never blocks on a client. A client that is slow,
 * silent, too large or not allowed is sent away. Owns the socket file.
 */
#include "daemon/control.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/log.h"

struct client {
	struct control *c;
	int fd;
	bool allowed;
	struct loop_source *source, *timer;
	struct buf in, out;
	size_t sent;
	bool closing; /* when everything is sent */
};

struct control {
	struct loop *loop;
	int fd;
	char *path;
	struct stat st; /* of the socket file we made */
	struct loop_source *source;
	json_t *(*answer)(const char *request, json_t *body, void *data);
	void *data;
	struct client *clients[CONTROL_CLIENTS_MAX];
};

json_t *control_error(const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list args;

	va_start(args, fmt);
	if (vasprintf(&text, fmt, args) < 0)
		text = NULL;
	va_end(args);
	return json_pack("{s:b, s:s}", "ok", 0, "error", text ? text : "out of memory");
}

/* --- who may ask */

static bool group_has(gid_t gid, uid_t uid)
{
	char pw_text[4096], gr_text[16384];
	struct passwd pw, *user = NULL;
	struct group gr, *group = NULL;

	if (getgrgid_r(gid, &gr, gr_text, sizeof(gr_text), &group) != 0 || !group)
		return false;
	if (getpwuid_r(uid, &pw, pw_text, sizeof(pw_text), &user) != 0 || !user)
		return false;
	for (char **m = group->gr_mem; *m; m++) {
		if (streq(*m, user->pw_name))
			return true;
	}
	return user->pw_gid == gid;
}

static bool find_group(gid_t *ret)
{
	char text[16384];
	struct group gr, *group = NULL;

	if (getgrnam_r(CONTROL_GROUP, &gr, text, sizeof(text), &group) != 0 || !group)
		return false;
	*ret = group->gr_gid;
	return true;
}

static bool client_allowed(int fd)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);
	gid_t gid;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return false;
	if (cred.uid == 0 || cred.uid == geteuid())
		return true;
	return find_group(&gid) && (cred.gid == gid || group_has(gid, cred.uid));
}

/* --- clients */

static void client_free(struct client *client)
{
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		if (client->c->clients[i] == client)
			client->c->clients[i] = NULL;
	}
	if (client->source)
		loop_remove(client->source);
	if (client->timer)
		loop_remove(client->timer);
	cleanup_close(&client->fd);
	buf_free(&client->in);
	buf_free(&client->out);
	free(client);
}

static int client_idle(struct loop_source *source, uint32_t events, void *data)
{
	(void)source;
	(void)events;
	client_free(data);
	return 0;
}

static void client_reply(struct client *client, json_t *reply)
{
	char *text = reply ? json_dumps(reply, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;

	if (text) {
		buf_str(&client->out, text);
		buf_char(&client->out, '\n');
	} else {
		client->closing = true;
	}
	free(text);
	json_decref(reply);
}

static void client_line(struct client *client, const char *line, size_t len)
{
	json_t *body = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
	const char *request = json_string_value(json_object_get(body, "request"));

	if (!client->allowed) {
		client_reply(client, control_error("not allowed: root and members of group %s may ask", CONTROL_GROUP));
		client->closing = true;
	} else if (!request) {
		client_reply(client, control_error("not a request"));
		client->closing = true;
	} else {
		client_reply(client, client->c->answer(request, body, client->c->data));
	}
	json_decref(body);
}

static void client_lines(struct client *client)
{
	char *start = client->in.data, *end = start + client->in.len, *newline;
	size_t left;

	while (!client->closing && client->out.len < CONTROL_REPLY_MAX && start < end &&
	       (newline = memchr(start, '\n', (size_t)(end - start)))) {
		client_line(client, start, (size_t)(newline - start));
		start = newline + 1;
	}
	left = (size_t)(end - start);
	memmove(client->in.data, start, left);
	client->in.len = left;
	if (left >= CONTROL_REQUEST_MAX) {
		client_reply(client, control_error("request too long"));
		client->closing = true;
	}
}

/* False: the client is gone. */
static bool client_read(struct client *client)
{
	char bytes[4096];
	ssize_t n = recv(client->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n <= 0)
		return false;
	buf_add(&client->in, bytes, (size_t)n);
	if (client->in.failed)
		return false;
	client_lines(client);
	loop_set_timer(client->timer, CONTROL_IDLE_NS, 0);
	return true;
}

static bool client_write(struct client *client)
{
	while (client->sent < client->out.len) {
		ssize_t n = send(client->fd, client->out.data + client->sent, client->out.len - client->sent,
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		client->sent += (size_t)n;
	}
	client->sent = 0;
	buf_reset(&client->out);
	if (!client->closing && client->in.len)
		client_lines(client); /* requests that came while the answer was on its way */
	return !client->closing || client->out.len;
}

static int client_watch(struct client *client);

static int client_ready(struct loop_source *source, uint32_t events, void *data)
{
	struct client *client = data;
	bool reading = !client->out.len;

	(void)source;
	if (client->out.failed || (events & EPOLLERR) ||
	    (reading && events & (EPOLLIN | EPOLLHUP) && !client_read(client)) || !client_write(client) ||
	    (reading != !client->out.len && client_watch(client) < 0))
		client_free(client);
	return 0;
}

/* Reads, or writes what is to be sent: a client that does not take its answers cannot ask more. */
static int client_watch(struct client *client)
{
	if (client->source)
		loop_remove(client->source);
	client->source = NULL;
	return loop_add_fd(client->c->loop, client->fd, client->out.len ? EPOLLOUT : EPOLLIN, client_ready, client,
			   &client->source);
}

static void control_add(struct control *c, int fd)
{
	struct client *client = calloc(1, sizeof(*client));
	size_t i = 0;

	while (i < CONTROL_CLIENTS_MAX && c->clients[i])
		i++;
	if (!client || i == CONTROL_CLIENTS_MAX) {
		free(client);
		close(fd);
		return;
	}
	client->c = c;
	client->fd = fd;
	client->allowed = client_allowed(fd);
	c->clients[i] = client;
	if (client_watch(client) < 0 ||
	    loop_add_timer(c->loop, CONTROL_IDLE_NS, 0, client_idle, client, &client->timer) < 0)
		client_free(client);
}

static int control_accept(struct loop_source *source, uint32_t events, void *data)
{
	struct control *c = data;
	int fd = accept4(c->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)source;
	(void)events;
	if (fd >= 0)
		control_add(c, fd);
	return 0;
}

/* --- the socket */

static int control_address(const char *path, struct sockaddr_un *ret, struct buf *err)
{
	memset(ret, 0, sizeof(*ret));
	ret->sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(ret->sun_path)) {
		buf_printf(err, "control socket %s: the path is longer than %zu bytes", path,
			   sizeof(ret->sun_path) - 1);
		return -ENAMETOOLONG;
	}
	memcpy(ret->sun_path, path, strlen(path) + 1);
	return 0;
}

/* A socket that nobody listens on any more is in the way; anything else is not ours to remove. */
static int control_remove_stale(const struct sockaddr_un *address)
{
	_cleanup_close_ int fd = -1;
	struct stat st;

	if (lstat(address->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 || errno == EAGAIN)
		return -EADDRINUSE;
	if (errno != ECONNREFUSED)
		return -errno;
	return unlink(address->sun_path) < 0 && errno != ENOENT ? -errno : 0;
}

static int control_bind(struct control *c, const struct sockaddr_un *address)
{
	mode_t mask;
	gid_t gid;
	int r = control_remove_stale(address);

	if (r < 0)
		return r;
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->fd < 0)
		return -errno;
	mask = umask(0177);
	r = bind(c->fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? -errno : 0;
	umask(mask);
	if (r < 0)
		return r;
	if (lstat(c->path, &c->st) < 0)
		return -errno;
	if (find_group(&gid) && lchown(c->path, (uid_t)-1, gid) == 0 && chmod(c->path, 0660) < 0)
		return -errno;
	return listen(c->fd, CONTROL_CLIENTS_MAX) < 0 ? -errno : 0;
}

int control_listen(struct loop *l, const char *path, json_t *(*answer)(const char *request, json_t *body, void *data),
		   void *data, struct control **ret, struct buf *err)
{
	struct sockaddr_un address;
	struct control *c;
	int r = control_address(path, &address, err);

	if (r < 0)
		return r;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	*c = (struct control){ .loop = l, .fd = -1, .path = strdup(path), .answer = answer, .data = data };
	r = c->path ? control_bind(c, &address) : -ENOMEM;
	if (r == 0)
		r = loop_add_fd(l, c->fd, EPOLLIN, control_accept, c, &c->source);
	if (r < 0) {
		buf_printf(err, "control socket %s: %s", path,
			   r == -EADDRINUSE ? "another monitor listens there" : strerror(-r));
		control_close(c);
		return r;
	}
	*ret = c;
	return 0;
}

void control_close(struct control *c)
{
	struct stat st;

	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		if (c->clients[i])
			client_free(c->clients[i]);
	}
	if (c->source)
		loop_remove(c->source);
	cleanup_close(&c->fd);
	if (c->path && c->st.st_ino && lstat(c->path, &st) == 0 && st.st_ino == c->st.st_ino &&
	    st.st_dev == c->st.st_dev)
		unlink(c->path);
	free(c->path);
	free(c);
}
