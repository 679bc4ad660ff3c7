/* Ownership helpers: attribute cleanup, and the two ways ownership leaves a scope. */
#ifndef LIB_CLEANUP_H
#define LIB_CLEANUP_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(fn) __attribute__((cleanup(fn)))

/* TAKE_PTR(p), TAKE_FD(fd): the value, and the variable no longer owns it. */
#define TAKE_PTR(p)                                                                                                    \
	({                                                                                                             \
		__typeof__(p) *take_ = &(p);                                                                           \
		__typeof__(p) taken_ = *take_;                                                                         \
		*take_ = NULL;                                                                                         \
		taken_;                                                                                                \
	})
#define TAKE_FD(fd)                                                                                                    \
	({                                                                                                             \
		int *take_ = &(fd);                                                                                    \
		int taken_ = *take_;                                                                                   \
		*take_ = -1;                                                                                           \
		taken_;                                                                                                \
	})

/* DEFINE_CLEANUP(type, fn): makes fn##_p(type *) for use with _cleanup_; fn is not called on NULL. */
#define DEFINE_CLEANUP(type, fn)                                                                                       \
	static inline void fn##_p(type *p)                                                                             \
	{                                                                                                              \
		if (*p)                                                                                                \
			fn(*p);                                                                                        \
	}

static inline void cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

DEFINE_CLEANUP(FILE *, fclose)
DEFINE_CLEANUP(DIR *, closedir)

#define _cleanup_free_	   _cleanup_(cleanup_free)
#define _cleanup_close_	   _cleanup_(cleanup_close)
#define _cleanup_fclose_   _cleanup_(fclose_p)
#define _cleanup_closedir_ _cleanup_(closedir_p)

#endif
