/*
 * How the readers of images fail: the text says what is wrong with what, on the way up each adds where. Texts hold
 * hostile bytes escaped.
 */
#ifndef FIM_IMAGE_ERROR_H
#define FIM_IMAGE_ERROR_H

#include "lib/buf.h"

/*
 * Sets the text, unless there is one: the first failure is the cause. Returns r.
 * -EBADMSG: not what it should be; -E2BIG: beyond a limit; -EOPNOTSUPP: more than this build or version can read;
 * -ENOENT: there is no such image or piece.
 */
int image_fail(struct buf *err, int r, const char *fmt, ...) _printf_(3, 4);
/* The same with a name behind the text: "fmt: NAME". */
int image_fail_name(struct buf *err, int r, const char *name, const char *fmt, ...) _printf_(4, 5);
/* Puts "where: " in front of the text. */
void image_fail_where(struct buf *err, const char *fmt, ...) _printf_(2, 3);

#endif
