/*
 * The control socket: unix stream, one JSON object a line each way, bounded (64 KiB a request, 16 clients, 5 s). Peer
 * credentials are checked for each request: root or group holdfast. Requests: {"request":"status"}, {"request":"reload"},
 * {"request":"rescan","path":"/etc","full":true}, {"request":"forget","path":...}, {"request":"flush"}, {"request":"stop"}.
 * Replies: {"ok":true,...} or {"ok":false,"error":"..."}.
 */
#ifndef DAEMON_CONTROL_H
#define DAEMON_CONTROL_H

#include <jansson.h>
#include <stdint.h>

#include "lib/buf.h"
#include "lib/loop.h"

struct control;

/* answer: called on the loop's thread; returns a new reference. */
int control_listen(struct loop *l, const char *path, json_t *(*answer)(const char *request, json_t *body, void *data),
		   void *data, struct control **ret, struct buf *err);
void control_close(struct control *c);

/* Client: -ENOENT / -ECONNREFUSED (no daemon), -EACCES, -ETIMEDOUT; *ret is the reply. */
int control_call(const char *path, json_t *request, uint64_t timeout_ns, json_t **ret, struct buf *err);

#endif
