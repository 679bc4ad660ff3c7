/*
 * The control socket: unix stream, one JSON object a line each way, bounded (64 KiB a request, 16 clients, 5 s between
 * two lines). Peer credentials are checked for each client: root, the daemon's own user, or a member of group holdfast.
 *
 * Requests: {"request":"status"}, {"request":"reload"}, {"request":"rescan","path":"/etc","full":true},
 * {"request":"forget","path":...} (no path: the baseline was replaced), {"request":"flush"} (answers when everything
 * told so far is stored), {"request":"trust"} (what is trusted is read again: "load" numbers that, and status says
 * "trust_loaded"), {"request":"approvals"} (they are read again), {"request":"stop"}. Replies: {"ok":true,...} or
 * {"ok":false,"error":"..."}.
 */
#ifndef DAEMON_CONTROL_H
#define DAEMON_CONTROL_H

#include <jansson.h>
#include <stdint.h>

#include "lib/buf.h"
#include "lib/loop.h"

#define CONTROL_REQUEST_MAX (64 * KIB)
#define CONTROL_REPLY_MAX   (4 * MIB)
#define CONTROL_CLIENTS_MAX 16
#define CONTROL_IDLE_NS	    (5 * NSEC_PER_SEC)
#define CONTROL_GROUP	    "holdfast"

struct control;

/* answer: called on the loop's thread; body is the whole request; returns a new reference. -EADDRINUSE: somebody
 * listens there. */
int control_listen(struct loop *l, const char *path, json_t *(*answer)(const char *request, json_t *body, void *data),
		   void *data, struct control **ret, struct buf *err);
void control_close(struct control *c);

/* {"ok":false,"error":...}. New reference. */
json_t *control_error(const char *fmt, ...) _printf_(1, 2);

/*
 * Client: -ENOENT / -ECONNREFUSED (no daemon), -EACCES, -ETIMEDOUT, -EPROTO (not an answer); text in err. *ret is the
 * reply, also one that says ok false. Borrows request.
 */
int control_call(const char *path, json_t *request, uint64_t timeout_ns, json_t **ret, struct buf *err);

#endif
