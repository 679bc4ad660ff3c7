/*
 * Output http: POST requests by libcurl, certificates always verified. One transfer at a time, driven by libcurl's
 * multi interface so that alerts go on being taken into the spool meanwhile. On the output's thread. libcurl is loaded
 * by the first output that posts.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>

#include "alert/output.h"
#include "lib/clock.h"
#include "lib/late.h"
#include "lib/util.h"

struct http {
	CURLM *multi;
	CURL *easy;
	struct curl_slist *headers;
	char error[CURL_ERROR_SIZE];
};

/* The calls of libcurl that are used, by their names without the curl_ in front. */
#define HTTP_CALLS(call)                                                                                               \
	call(global_init) call(easy_init) call(easy_setopt) call(easy_getinfo) call(easy_strerror) call(easy_cleanup)  \
		call(multi_init) call(multi_add_handle) call(multi_perform) call(multi_poll) call(multi_info_read)     \
			call(multi_remove_handle) call(multi_cleanup) call(slist_append) call(slist_free_all)

#define HTTP_MEMBER(name) __typeof__(&curl_##name) name;
#define HTTP_LATE(name)	  { "curl_" #name, &curl.name },

static struct {
	HTTP_CALLS(HTTP_MEMBER)
} curl;

static pthread_once_t http_once = PTHREAD_ONCE_INIT;
static int http_usable;
static char http_why[160];

/* Once in a process, by whichever output is first. */
static void http_init(void)
{
	static const struct late_call calls[] = { HTTP_CALLS(HTTP_LATE) };
	_cleanup_buf_ struct buf err = BUF_INIT;

	if (late_load("libcurl.so.4", calls, ARRAY_SIZE(calls), &err) < 0)
		snprintf(http_why, sizeof(http_why), "%.150s", err.len ? err.data : "libcurl");
	else
		http_usable = curl.global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
}

/* What the server says beside its status does not matter; a long answer is not read to its end. */
static size_t discard(char *data _unused_, size_t size, size_t n, void *user)
{
	uint64_t *read = user;

	*read += size * n;
	return *read > MIB ? 0 : size * n;
}

static void http_close(struct output *o)
{
	struct http *h = o->self;

	if (!h)
		return;
	if (h->multi && h->easy)
		curl.multi_remove_handle(h->multi, h->easy);
	curl.easy_cleanup(h->easy);
	curl.multi_cleanup(h->multi);
	curl.slist_free_all(h->headers);
	free(h);
	o->self = NULL;
}

static bool http_headers(struct http *h, const struct conf_output *c)
{
	struct curl_slist *list = curl.slist_append(NULL, "Content-Type: application/json");

	/* No "Expect: 100-continue": bodies are small. */
	for (size_t i = 0; list && i <= c->headers.n; i++) {
		struct curl_slist *more = curl.slist_append(list, i < c->headers.n ? c->headers.items[i] : "Expect:");

		if (!more)
			curl.slist_free_all(list);
		list = more;
	}
	h->headers = list;
	return list;
}

static int http_setup(struct output *o, struct http *h)
{
	const struct conf_output *c = o->c;
	CURL *e = h->easy;
	bool ok = http_headers(h, c);

	ok = ok && curl.easy_setopt(e, CURLOPT_URL, c->url) == CURLE_OK;
	ok = ok && curl.easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK;
	ok = ok && curl.easy_setopt(e, CURLOPT_HTTPHEADER, h->headers) == CURLE_OK;
	ok = ok && curl.easy_setopt(e, CURLOPT_NOSIGNAL, 1L) == CURLE_OK;
	ok = ok && curl.easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK;
	ok = ok && curl.easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK;
	ok = ok && curl.easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)(c->timeout / NSEC_PER_MSEC)) == CURLE_OK;
	ok = ok && curl.easy_setopt(e, CURLOPT_USERAGENT, "holdfast") == CURLE_OK;
	ok = ok && curl.easy_setopt(e, CURLOPT_ERRORBUFFER, h->error) == CURLE_OK;
	ok = ok && curl.easy_setopt(e, CURLOPT_WRITEFUNCTION, discard) == CURLE_OK;
	if (c->ca)
		ok = ok && curl.easy_setopt(e, CURLOPT_CAINFO, c->ca) == CURLE_OK;
	if (c->cert)
		ok = ok && curl.easy_setopt(e, CURLOPT_SSLCERT, c->cert) == CURLE_OK;
	if (c->key)
		ok = ok && curl.easy_setopt(e, CURLOPT_SSLKEY, c->key) == CURLE_OK;
	return ok ? 0 : output_fail(o, -EINVAL, "libcurl does not take the settings");
}

static int http_open(struct output *o)
{
	struct http *h;
	int r;

	pthread_once(&http_once, http_init);
	if (!http_usable)
		return output_fail(o, -ELIBACC, *http_why ? http_why : "libcurl");
	h = calloc(1, sizeof(*h));
	if (!h)
		return output_fail(o, -ENOMEM, "libcurl");
	o->self = h;
	h->multi = curl.multi_init();
	h->easy = curl.easy_init();
	r = h->multi && h->easy ? http_setup(o, h) : output_fail(o, -ENOMEM, "libcurl");
	if (r < 0)
		http_close(o);
	return r;
}

/* --- a request */

static void http_body(const struct output *o, const struct buf *b, struct buf *ret)
{
	struct reader r = { (const uint8_t *)b->data, (const uint8_t *)b->data + b->len, false };
	const char *record;
	size_t len, n = 0;
	bool list = o->c->batch > 1;

	if (list)
		buf_char(ret, '[');
	while (output_next(&r, &record, &len)) {
		if (n++)
			buf_char(ret, ',');
		buf_add(ret, record, len);
	}
	if (list)
		buf_char(ret, ']');
}

/* 0 and *ret: the transfer ended so. */
static int http_transfer(struct output *o, struct http *h, CURLcode *ret)
{
	struct curl_waitfd wake = { .fd = o->wake, .events = CURL_WAIT_POLLIN };
	uint64_t deadline = output_deadline(o) + NSEC_PER_SEC; /* libcurl's own is first */
	int running = 1, left;
	CURLMsg *m;

	while (running) {
		uint64_t now = clock_mono_ns(), until = o->stopping ? MIN(deadline, o->deadline) : deadline;

		if (curl.multi_perform(h->multi, &running) != CURLM_OK)
			return -EIO;
		if (!running)
			break;
		if (output_is_over(o))
			return -ECANCELED;
		if (now > deadline)
			return -ETIMEDOUT;
		curl.multi_poll(h->multi, &wake, 1, until > now ? (int)((until - now) / NSEC_PER_MSEC) + 1 : 0, NULL);
		output_ingest(o);
	}
	while ((m = curl.multi_info_read(h->multi, &left))) {
		if (m->msg == CURLMSG_DONE) {
			*ret = m->data.result;
			return 0;
		}
	}
	return -EIO;
}

/* Asking again would not change it: the request itself is not liked. */
static bool is_refused(long status)
{
	return status == 400 || status == 413 || status == 415 || status == 422;
}

static int http_judge(struct output *o, struct http *h, CURLcode code)
{
	long status = 0;

	curl.easy_getinfo(h->easy, CURLINFO_RESPONSE_CODE, &status);
	if (code != CURLE_OK && !(code == CURLE_WRITE_ERROR && status >= 200 && status < 300)) {
		snprintf(o->why, sizeof(o->why), "%.150s", *h->error ? h->error : curl.easy_strerror(code));
		return code == CURLE_OPERATION_TIMEDOUT ? -ETIMEDOUT : -EIO;
	}
	if (status >= 200 && status < 300)
		return 0;
	snprintf(o->why, sizeof(o->why), "the server answers %ld", status);
	return is_refused(status) ? OUTPUT_REFUSED : -EREMOTEIO;
}

static int http_send(struct output *o, const struct buf *b, size_t n _unused_)
{
	struct http *h = o->self;
	_cleanup_buf_ struct buf body = BUF_INIT;
	uint64_t answered = 0;
	CURLcode code = CURLE_OK;
	int r;

	http_body(o, b, &body);
	if (body.failed)
		return output_fail(o, -ENOMEM, "http");
	h->error[0] = '\0';
	curl.easy_setopt(h->easy, CURLOPT_POSTFIELDS, body.data);
	curl.easy_setopt(h->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len);
	curl.easy_setopt(h->easy, CURLOPT_WRITEDATA, &answered);
	if (curl.multi_add_handle(h->multi, h->easy) != CURLM_OK)
		return output_fail(o, -EIO, "libcurl");
	r = http_transfer(o, h, &code);
	curl.multi_remove_handle(h->multi, h->easy);
	return r < 0 ? output_fail(o, r, "http") : http_judge(o, h, code);
}

const struct output_type output_http = {
	.name = "http",
	.on_disk = true,
	.open = http_open,
	.send = http_send,
	.close = http_close,
};
