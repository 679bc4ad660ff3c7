/*
 * POST requests by libcurl, certificates always verified, one at a time. In the process of the role sink alone, on its
 * only thread; the monitor ends the process when it takes too long.
 */
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>

#include "daemon/role_sink.h"
#include "lib/late.h"

#define SINK_WHY 160

/* The calls of libcurl that are used, by their names without the curl_ in front. */
#define SINK_CALLS(call)                                                                                               \
	call(global_init) call(easy_init) call(easy_setopt) call(easy_getinfo) call(easy_strerror) call(easy_perform)  \
		call(slist_append)

#define SINK_MEMBER(name) __typeof__(&curl_##name) name;
#define SINK_LATE(name)	  { "curl_" #name, &curl.name },

static struct {
	SINK_CALLS(SINK_MEMBER)
} curl;

static CURL *easy;
static char error[CURL_ERROR_SIZE];
static char unusable[SINK_WHY];

int sink_prepare(void)
{
	static const struct late_call calls[] = { SINK_CALLS(SINK_LATE) };
	_cleanup_buf_ struct buf err = BUF_INIT;

	/* An arena for each thread that resolves a name would be address space for nothing. */
	mallopt(M_ARENA_MAX, 1);
	if (late_load("libcurl.so.4", calls, ARRAY_SIZE(calls), &err) < 0)
		snprintf(unusable, sizeof(unusable), "%.150s", err.len ? err.data : "libcurl");
	else if (curl.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		snprintf(unusable, sizeof(unusable), "libcurl");
	return 0;
}

/* What the server says beside its status does not matter; a long answer is not read to its end. */
static size_t discard(char *data _unused_, size_t size, size_t n, void *user)
{
	uint64_t *read = user;

	*read += size * n;
	return *read > MIB ? 0 : size * n;
}

static bool set_headers(const struct post_settings *s)
{
	struct curl_slist *list = curl.slist_append(NULL, "Content-Type: application/json");

	/* No "Expect: 100-continue": bodies are small. They are kept as long as the process lives. */
	for (size_t i = 0; list && i <= s->n_headers; i++)
		list = curl.slist_append(list, i < s->n_headers ? s->headers[i] : "Expect:");
	return list && curl.easy_setopt(easy, CURLOPT_HTTPHEADER, list) == CURLE_OK;
}

static bool set_blob(CURLoption option, const char *text)
{
	struct curl_blob blob = { (void *)(uintptr_t)text, text ? strlen(text) : 0, CURL_BLOB_NOCOPY };

	return !text || curl.easy_setopt(easy, option, &blob) == CURLE_OK;
}

static bool set_all(const struct post_settings *s)
{
	bool ok = set_headers(s);

	ok = ok && curl.easy_setopt(easy, CURLOPT_URL, s->url) == CURLE_OK;
	ok = ok && curl.easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK;
	ok = ok && curl.easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK;
	ok = ok && curl.easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK;
	ok = ok && curl.easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK;
	ok = ok && curl.easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)(s->timeout / NSEC_PER_MSEC)) == CURLE_OK;
	ok = ok && curl.easy_setopt(easy, CURLOPT_USERAGENT, "holdfast") == CURLE_OK;
	ok = ok && curl.easy_setopt(easy, CURLOPT_ERRORBUFFER, error) == CURLE_OK;
	ok = ok && curl.easy_setopt(easy, CURLOPT_WRITEFUNCTION, discard) == CURLE_OK;
	/* In place of the system's. */
	if (s->ca)
		curl.easy_setopt(easy, CURLOPT_CAPATH, NULL);
	ok = ok && set_blob(CURLOPT_CAINFO_BLOB, s->ca) && set_blob(CURLOPT_SSLCERT_BLOB, s->cert);
	return ok && set_blob(CURLOPT_SSLKEY_BLOB, s->key);
}

enum post_outcome sink_settings(const struct post_settings *s, char why[SINK_WHY])
{
	memcpy(why, unusable, SINK_WHY);
	if (*why)
		return POST_FAILED;
	easy = curl.easy_init();
	if (easy && set_all(s))
		return POST_DONE;
	snprintf(why, SINK_WHY, "libcurl does not take the settings");
	return POST_FAILED;
}

/* Asking again would not change it: the request itself is not liked. */
static bool is_refused(long status)
{
	return status == 400 || status == 413 || status == 415 || status == 422;
}

static enum post_outcome judge(CURLcode code, char why[SINK_WHY])
{
	long status = 0;

	curl.easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
	if (code != CURLE_OK && !(code == CURLE_WRITE_ERROR && status >= 200 && status < 300)) {
		snprintf(why, SINK_WHY, "%.150s", *error ? error : curl.easy_strerror(code));
		return code == CURLE_OPERATION_TIMEDOUT ? POST_LATE : POST_FAILED;
	}
	if (status >= 200 && status < 300)
		return POST_DONE;
	snprintf(why, SINK_WHY, "the server answers %ld", status);
	return is_refused(status) ? POST_REFUSED : POST_FAILED;
}

enum post_outcome sink_post(const struct buf *body, char why[SINK_WHY])
{
	uint64_t answered = 0;

	error[0] = '\0';
	curl.easy_setopt(easy, CURLOPT_POSTFIELDS, body->data ?: "");
	curl.easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body->len);
	curl.easy_setopt(easy, CURLOPT_WRITEDATA, &answered);
	return judge(curl.easy_perform(easy), why);
}
