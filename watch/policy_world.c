/* The node as policies of the network see it. No state; any thread. Files are read whole, up to a bound. */
#include "watch/policy_world.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <limits.h>
#include <netinet/in.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "lib/io.h"
#include "lib/util.h"

#define FILE_MAX     (256 * 1024)
#define DNS_PORT     53
#define KUBELET_PORT 10250
#define API_PORT     443

static bool parse_ip(const char *text, uint8_t ret[16])
{
	memset(ret, 0, 16);
	if (inet_pton(AF_INET6, text, ret) == 1)
		return true;
	if (inet_pton(AF_INET, text, ret + 12) != 1)
		return false;
	memset(ret + 10, 0xff, 2);
	return true;
}

static void protect(struct policy_world *w, enum conf_protect what, const uint8_t address[16], uint8_t prefix,
		    uint16_t first, uint16_t last)
{
	struct policy_protected p;

	/* Compared by its bytes. */
	memset(&p, 0, sizeof(p));
	p.what = what;
	p.prefix = prefix;
	p.first = first;
	p.last = last;
	memcpy(p.address, address, sizeof(p.address));
	for (size_t i = 0; i < w->n_protected; i++)
		if (memcmp(&w->protected[i], &p, sizeof(p)) == 0)
			return;
	if (w->n_protected == POLICY_PROTECTED_MAX)
		w->unprotected++;
	else
		memcpy(&w->protected[w->n_protected++], &p, sizeof(p));
}

static void protect_text(struct policy_world *w, enum conf_protect what, const char *text, uint16_t port)
{
	uint8_t address[16];

	if (parse_ip(text, address))
		protect(w, what, address, 128, port, port);
}

/* As much of it as can be read, in text; NULL: nothing. */
static char *read_file(const char *root, const char *path, struct buf *text)
{
	_cleanup_close_ int fd = -1;
	char full[PATH_MAX];

	if (snprintf(full, sizeof(full), "%s%s", streq(root, "/") ? "" : root, path) >= (int)sizeof(full))
		return NULL;
	fd = open(full, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd >= 0)
		io_read_all(fd, FILE_MAX, text);
	return text->data;
}

/* --- servers */

static void read_resolv_conf(struct policy_world *w, const char *root)
{
	_cleanup_buf_ struct buf file = BUF_INIT;
	char *text = read_file(root, "/etc/resolv.conf", &file);
	char *save = NULL;

	for (char *line = text ? strtok_r(text, "\n", &save) : NULL; line; line = strtok_r(NULL, "\n", &save)) {
		char server[64];

		if (sscanf(line, " nameserver %63s", server) != 1)
			continue;
		server[strcspn(server, "%")] = '\0';
		protect_text(w, CONF_PROTECT_DNS, server, DNS_PORT);
	}
}

/* "https://10.0.0.1:6443", "https://[::1]:6443"; a name is left out, its address is not known. */
static void add_server(struct policy_world *w, const char *url)
{
	unsigned long port = API_PORT;
	char host[64];
	size_t len;

	url += strspn(url, " \t\"'");
	if (strncmp(url, "https://", 8) != 0)
		return;
	url += 8;
	len = *url == '[' ? strcspn(++url, "]") : strcspn(url, ":/ \t\r\"'");
	if (len >= sizeof(host))
		return;
	memcpy(host, url, len);
	host[len] = '\0';
	url += len + (url[len] == ']');
	if (*url == ':')
		port = strtoul(url + 1, NULL, 10);
	if (port && port <= UINT16_MAX)
		protect_text(w, CONF_PROTECT_API_SERVER, host, (uint16_t)port);
}

static void read_kubeconfigs(struct policy_world *w, const char *root)
{
	static const char *const paths[] = { "/etc/kubernetes/kubelet.conf", "/etc/kubernetes/admin.conf",
					     "/var/lib/kubelet/kubeconfig",
					     "/var/lib/rancher/k3s/agent/kubelet.kubeconfig",
					     "/var/snap/microk8s/current/credentials/kubelet.config" };
	const char *host = getenv("KUBERNETES_SERVICE_HOST"), *port = getenv("KUBERNETES_SERVICE_PORT");
	unsigned long number = port ? strtoul(port, NULL, 10) : API_PORT;

	if (host && number && number <= UINT16_MAX)
		protect_text(w, CONF_PROTECT_API_SERVER, host, (uint16_t)number);
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		_cleanup_buf_ struct buf text = BUF_INIT;
		const char *at = read_file(root, paths[i], &text);

		while (at && (at = strstr(at, "server:")))
			add_server(w, at += strlen("server:"));
	}
}

/* The kubelet listens at each address of the node. */
static void add_own(struct policy_world *w, const char *root _unused_)
{
	struct ifaddrs *all;

	if (getifaddrs(&all) < 0)
		return;
	for (const struct ifaddrs *i = all; i; i = i->ifa_next) {
		uint8_t address[16] = { [10] = 0xff, [11] = 0xff };

		if (i->ifa_addr && i->ifa_addr->sa_family == AF_INET)
			memcpy(address + 12, &((const struct sockaddr_in *)(const void *)i->ifa_addr)->sin_addr, 4);
		else if (i->ifa_addr && i->ifa_addr->sa_family == AF_INET6)
			memcpy(address, &((const struct sockaddr_in6 *)(const void *)i->ifa_addr)->sin6_addr, 16);
		else
			continue;
		protect(w, CONF_PROTECT_KUBELET, address, 128, KUBELET_PORT, KUBELET_PORT);
	}
	freeifaddrs(all);
}

static void add_loopback(struct policy_world *w, const char *root _unused_)
{
	static const uint8_t four[16] = { [10] = 0xff, 0xff, 127 }, six[16] = { [15] = 1 };

	protect(w, CONF_PROTECT_LOOPBACK, four, 96 + 8, 0, UINT16_MAX);
	protect(w, CONF_PROTECT_LOOPBACK, six, 128, 0, UINT16_MAX);
}

/* --- who */

static void find_user(const char *user, struct policy_subject *s)
{
	char *end, buf[4096];
	unsigned long id = strtoul(user, &end, 10);
	struct passwd pw, *found = NULL;

	if (isdigit((unsigned char)*user) && !*end) {
		s->has_user = id < UINT32_MAX;
		s->user = (uint32_t)id;
	} else if (getpwnam_r(user, &pw, buf, sizeof(buf), &found) == 0 && found) {
		s->has_user = true;
		s->user = found->pw_uid;
	}
}

/* The superblock's number is in mountinfo; stat's is the same but on btrfs. */
static void find_program(const char *root, const char *path, struct policy_subject *s)
{
	char full[PATH_MAX];
	struct stat st;

	if (snprintf(full, sizeof(full), "%s%s", streq(root, "/") ? "" : root, path) >= (int)sizeof(full) ||
	    stat(full, &st) < 0 || !S_ISREG(st.st_mode))
		return;
	s->has_program = true;
	s->program_dev = major(st.st_dev) << 20 | minor(st.st_dev);
	s->program_ino = st.st_ino;
}

static void read_protected(struct policy_world *w, const struct conf *conf, const char *root)
{
	/* What a node can do without least comes first: there may not be room for all. */
	static const struct {
		enum conf_protect what;
		void (*read)(struct policy_world *w, const char *root);
	} all[] = { { CONF_PROTECT_LOOPBACK, add_loopback },
		    { CONF_PROTECT_API_SERVER, read_kubeconfigs },
		    { CONF_PROTECT_DNS, read_resolv_conf },
		    { CONF_PROTECT_KUBELET, add_own } };
	const struct conf_words *words = &conf->network.protect;

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		for (unsigned k = 0; k < words->n; k++)
			if (words->word[k] == all[i].what)
				all[i].read(w, root);
}

void policy_world_read(const struct conf *conf, const char *root, struct policy_world *ret)
{
	memset(ret, 0, sizeof(*ret));
	read_protected(ret, conf, root);
	for (size_t i = 0; i < conf->network.n_policies; i++) {
		const struct conf_network_policy *p = &conf->network.policies[i];

		if (p->user)
			find_user(p->user, &ret->subjects[i]);
		if (p->program)
			find_program(root, p->program, &ret->subjects[i]);
	}
}

bool policy_world_same(const struct conf *conf, const struct policy_world *a, const struct policy_world *b)
{
	return a->n_protected == b->n_protected && a->unprotected == b->unprotected &&
	       memcmp(a->protected, b->protected, a->n_protected * sizeof(*a->protected)) == 0 &&
	       memcmp(a->subjects, b->subjects, conf->network.n_policies * sizeof(*a->subjects)) == 0;
}

/* --- names */

struct visit {
	const struct conf *conf;
	void (*fn)(uint64_t domain, const uint8_t address[16], void *data);
	void *data;
};

static bool is_named(const struct conf_peer *p, const char *name)
{
	size_t len = strlen(name), suffix = p->domain ? strlen(p->domain) : 0;

	if (!p->domain)
		return false;
	if (!p->below)
		return strcasecmp(p->domain, name) == 0;
	return len > suffix + 1 && name[len - suffix - 1] == '.' && strcasecmp(p->domain, name + len - suffix) == 0;
}

static void visit_name(const struct visit *v, const char *name, const uint8_t address[16])
{
	for (size_t i = 0; i < v->conf->network.n_policies; i++) {
		const struct conf_network_policy *p = &v->conf->network.policies[i];

		for (size_t k = 0; k < p->n_allow + p->n_deny; k++) {
			const struct conf_peer *peer = k < p->n_allow ? &p->allow[k] : &p->deny[k - p->n_allow];

			if (is_named(peer, name))
				v->fn(policy_hash_domain(peer->domain, peer->below), address, v->data);
		}
	}
}

void policy_hosts_each(const struct conf *conf, const char *root,
		       void (*fn)(uint64_t domain, const uint8_t address[16], void *data), void *data)
{
	_cleanup_buf_ struct buf file = BUF_INIT;
	char *text = read_file(root, "/etc/hosts", &file);
	const struct visit v = { conf, fn, data };
	char *line_end = NULL, *word_end;

	for (char *line = text ? strtok_r(text, "\n", &line_end) : NULL; line; line = strtok_r(NULL, "\n", &line_end)) {
		uint8_t address[16];
		char *word;

		line[strcspn(line, "#")] = '\0';
		word = strtok_r(line, " \t\r", &word_end);
		if (!word || !parse_ip(word, address))
			continue;
		while ((word = strtok_r(NULL, " \t\r", &word_end)))
			visit_name(&v, word, address);
	}
}
