/*
 * Texts of audit records: key=value, values plain, "quoted" or in hex, and msg='...' with more of them inside. What the
 * kernel says of the sender stands before msg; nothing inside of it is taken for that. No state; any bytes are safe.
 */
#include <errno.h>
#include <string.h>

#include "event/user.h"
#include "watch/audit.h"

#define UNSET UINT32_MAX

/* linux/audit.h; those that user space sends are named in libaudit's manual, audit_log_user_message(3). */
static const struct {
	uint16_t type;
	enum session_op op;
	bool only_failed; /* what succeeds is told by the record that follows */
} audit_types[] = {
	{ 1112, SESSION_LOGIN, false },	   /* USER_LOGIN */
	{ 1113, SESSION_LOGOUT, false },   /* USER_LOGOUT */
	{ 1105, SESSION_OPEN, false },	   /* USER_START */
	{ 1106, SESSION_CLOSE, false },	   /* USER_END */
	{ 1100, SESSION_LOGIN, true },	   /* USER_AUTH */
	{ 1101, SESSION_LOGIN, true },	   /* USER_ACCT */
	{ 1103, SESSION_LOGIN, true },	   /* CRED_ACQ */
	{ 1110, SESSION_LOGIN, true },	   /* CRED_REFR */
	{ 1109, SESSION_LOGIN, true },	   /* USER_ERR */
	{ 1123, SESSION_SUDO, false },	   /* USER_CMD */
	{ 1006, SESSION_OPEN, false },	   /* LOGIN: the kernel's own, a login uid was set */
	{ 1108, SESSION_PASSWORD, false }, /* USER_CHAUTHTOK */
	{ 1133, SESSION_PASSWORD, false }, /* GRP_CHAUTHTOK */
	{ 1102, SESSION_ACCOUNT, false },  /* USER_MGMT */
	{ 1114, SESSION_ACCOUNT, false },  /* ADD_USER */
	{ 1115, SESSION_ACCOUNT, false },  /* DEL_USER */
	{ 1116, SESSION_ACCOUNT, false },  /* ADD_GROUP */
	{ 1117, SESSION_ACCOUNT, false },  /* DEL_GROUP */
	{ 1132, SESSION_ACCOUNT, false },  /* GRP_MGMT */
	{ 1135, SESSION_ACCOUNT, false },  /* ACCT_LOCK */
	{ 1136, SESSION_ACCOUNT, false },  /* ACCT_UNLOCK */
};

static const struct {
	const char *name;
	enum session_op op;
} programs[] = {
	{ "su", SESSION_SU },		{ "su-l", SESSION_SU },		  { "sudo", SESSION_SUDO },
	{ "sudo-rs", SESSION_SUDO },	{ "sudo-i", SESSION_SUDO },	  { "runuser", SESSION_BECOME },
	{ "doas", SESSION_BECOME },	{ "pkexec", SESSION_BECOME },	  { "setpriv", SESSION_BECOME },
	{ "passwd", SESSION_PASSWORD }, { "chpasswd", SESSION_PASSWORD },
};

struct span {
	const char *s;
	size_t len;
};

struct pair {
	struct span key, value;
	bool quoted;
};

/* --- words */

static bool is_key_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

static void skip(struct span *s, size_t n)
{
	s->s += n;
	s->len -= n;
}

/* Up to the quote that ends it: of msg='...' the last one there is, as it may hold others. */
static struct span quoted(struct span *s)
{
	char quote = *s->s;
	const char *end = quote == '"' ? memchr(s->s + 1, '"', s->len - 1) : memrchr(s->s + 1, '\'', s->len - 1);
	struct span value = { s->s + 1, end ? (size_t)(end - s->s - 1) : s->len - 1 };

	skip(s, value.len + 1 + (end != NULL));
	return value;
}

static bool is_space(char c)
{
	return c == ' ' || c == ',' || (unsigned char)c < 0x20;
}

/* The next key=value; words without one are passed over. */
static bool next_pair(struct span *s, struct pair *ret)
{
	while (s->len) {
		size_t n = 0;

		while (n < s->len && is_key_char(s->s[n]))
			n++;
		if (!n || n == s->len || s->s[n] != '=') {
			skip(s, MAX(n, (size_t)1));
			continue;
		}
		ret->key = (struct span){ s->s, n };
		skip(s, n + 1);
		ret->quoted = s->len && (*s->s == '"' || *s->s == '\'');
		if (ret->quoted) {
			ret->value = quoted(s);
			return true;
		}
		for (n = 0; n < s->len && !is_space(s->s[n]);)
			n++;
		ret->value = (struct span){ s->s, n };
		skip(s, n);
		return true;
	}
	return false;
}

static bool is_word(struct span s, const char *word)
{
	return strlen(word) == s.len && memcmp(s.s, word, s.len) == 0;
}

static bool find(struct span text, const char *key, struct pair *ret)
{
	while (next_pair(&text, ret))
		if (is_word(ret->key, key))
			return true;
	return false;
}

/* --- values */

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* What is not fit for a quoted value is written in hex, without quotes. */
static bool is_hex(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (hex_digit(s.s[i]) < 0)
			return false;
	return s.len && s.len % 2 == 0;
}

static bool is_unknown(struct span s)
{
	return !s.len || is_word(s, "?") || is_word(s, "(none)") || is_word(s, "(null)") || is_word(s, "(unknown)") ||
	       is_word(s, "(unknown user)") || is_word(s, "(invalid user)");
}

static void copy_text(struct span text, const char *key, bool may_be_hex, char *ret, size_t size)
{
	struct pair p;
	size_t n = 0;

	*ret = '\0';
	if (!find(text, key, &p) || is_unknown(p.value))
		return;
	if (may_be_hex && !p.quoted && is_hex(p.value)) {
		for (size_t i = 0; i + 1 < p.value.len && n + 1 < size; i += 2)
			ret[n++] = (char)(hex_digit(p.value.s[i]) << 4 | hex_digit(p.value.s[i + 1]));
	} else {
		n = MIN(p.value.len, size - 1);
		memcpy(ret, p.value.s, n);
	}
	ret[n] = '\0';
	/* Arguments that were put into one value, and what never should be there. */
	for (size_t i = 0; i < n; i++)
		if (!ret[i])
			ret[i] = ' ';
}

static bool number(struct span text, const char *key, uint64_t *ret)
{
	struct pair p;
	uint64_t n = 0;

	if (!find(text, key, &p) || !p.value.len || p.value.len > 19)
		return false;
	for (size_t i = 0; i < p.value.len; i++) {
		if (p.value.s[i] < '0' || p.value.s[i] > '9')
			return false;
		n = n * 10 + (uint64_t)(p.value.s[i] - '0');
	}
	*ret = n;
	return true;
}

static void put_user(uint64_t uid, char *ret, size_t size)
{
	if (uid < UNSET)
		user_text((uint32_t)uid, ret, size);
}

/* --- the head: audit(SECONDS.MILLISECONDS:SERIAL): */

static bool digits(struct span *s, char end, uint64_t *ret)
{
	size_t n = 0;

	*ret = 0;
	for (; n < s->len && n < 19 && s->s[n] >= '0' && s->s[n] <= '9'; n++)
		*ret = *ret * 10 + (uint64_t)(s->s[n] - '0');
	if (!n || n == s->len || s->s[n] != end)
		return false;
	skip(s, n + 1);
	return true;
}

static bool head(struct span *s, uint64_t *ret_time, uint64_t *ret_serial)
{
	static const char begin[] = "audit(";
	uint64_t sec, msec;

	if (s->len < strlen(begin) || memcmp(s->s, begin, strlen(begin)) != 0)
		return false;
	skip(s, strlen(begin));
	if (!digits(s, '.', &sec) || !digits(s, ':', &msec) || !digits(s, ')', ret_serial) || msec > 999 ||
	    sec > INT64_MAX / NSEC_PER_SEC - 1)
		return false;
	*ret_time = sec * NSEC_PER_SEC + msec * NSEC_PER_MSEC;
	return true;
}

/* --- a record */

enum session_op audit_program_op(const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;

	for (size_t i = 0; i < ARRAY_SIZE(programs); i++)
		if (streq(programs[i].name, name))
			return programs[i].op;
	return SESSION_OPEN;
}

/* The last one: values before it may be anything, nothing comes behind. */
static bool has_failed(struct span text)
{
	bool failed = false;
	struct pair p;

	while (next_pair(&text, &p))
		if (is_word(p.key, "res"))
			failed = is_word(p.value, "failed") || is_word(p.value, "0") || is_word(p.value, "no");
	return failed;
}

static void put_tty(struct span text, struct session_note *n)
{
	static const char dev[] = "/dev/";

	copy_text(text, "terminal", true, n->tty, sizeof(n->tty));
	if (!*n->tty)
		copy_text(text, "tty", false, n->tty, sizeof(n->tty));
	if (strncmp(n->tty, dev, strlen(dev)) == 0)
		memmove(n->tty, n->tty + strlen(dev), strlen(n->tty + strlen(dev)) + 1);
	/* Names of services, which stand there when there is no terminal. */
	if (streq(n->tty, "ssh") || streq(n->tty, "cron") || streq(n->tty, "ftp") || streq(n->tty, "ssh2"))
		*n->tty = '\0';
}

/* What the kernel says of the sender. */
static void read_sender(struct span outer, struct session_note *n, uint64_t *ret_auid)
{
	uint64_t pid, uid, session;

	*ret_auid = UNSET;
	if (number(outer, "pid", &pid) && pid <= INT32_MAX)
		n->pid = (int32_t)pid;
	number(outer, "auid", ret_auid);
	if (number(outer, "ses", &session) && session < UNSET) {
		n->has_session = true;
		n->session = (uint32_t)session;
	}
	if (*ret_auid < UNSET)
		put_user(*ret_auid, n->by, sizeof(n->by));
	else if (number(outer, "uid", &uid))
		put_user(uid, n->by, sizeof(n->by));
}

static void read_message(struct span inner, struct session_note *n)
{
	uint64_t uid;

	copy_text(inner, "acct", true, n->account, sizeof(n->account));
	if (!*n->account && number(inner, "id", &uid))
		put_user(uid, n->account, sizeof(n->account));
	copy_text(inner, "addr", true, n->remote, sizeof(n->remote));
	if (!*n->remote)
		copy_text(inner, "hostname", true, n->remote, sizeof(n->remote));
	copy_text(inner, "exe", true, n->program, sizeof(n->program));
	copy_text(inner, "cmd", true, n->command, sizeof(n->command));
	put_tty(inner, n);
}

/* By is of those who do something as another, or to another. */
static void settle_op(struct session_note *n, enum session_op op)
{
	enum session_op by_program = audit_program_op(n->program);

	n->op = op;
	if ((op == SESSION_OPEN || op == SESSION_LOGIN) && by_program != SESSION_OPEN)
		n->op = by_program;
	if (n->op == SESSION_LOGIN || n->op == SESSION_LOGOUT || n->op == SESSION_OPEN || n->op == SESSION_CLOSE)
		*n->by = '\0';
}

int audit_decode(uint16_t type, const char *text, size_t len, struct session_note *ret, uint64_t *ret_serial)
{
	struct span all = { text, MIN(len, (size_t)AUDIT_TEXT_MAX) }, outer, inner;
	struct pair msg;
	uint64_t auid;
	size_t row = 0;

	memset(ret, 0, sizeof(*ret));
	if (!head(&all, &ret->time, ret_serial))
		return -EBADMSG;
	while (row < ARRAY_SIZE(audit_types) && audit_types[row].type != type)
		row++;
	if (row == ARRAY_SIZE(audit_types))
		return 0;
	outer = inner = all;
	if (find(all, "msg", &msg) && msg.quoted) {
		outer.len = (size_t)(msg.key.s - all.s);
		inner = msg.value;
	}
	ret->source = SESSION_BY_AUDIT;
	ret->record = 1u << row;
	ret->failed = has_failed(inner);
	if (audit_types[row].only_failed && !ret->failed)
		return 0;
	read_sender(outer, ret, &auid);
	if (type == 1006) {
		put_tty(outer, ret);
		put_user(auid, ret->account, sizeof(ret->account));
	} else {
		read_message(inner, ret);
	}
	settle_op(ret, audit_types[row].op);
	return 1;
}
