/*
 * dlopen and dlsym. Owns nothing: a library that was loaded stays until the process ends.
 */
#include "lib/late.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>

static int late_fail(struct buf *err)
{
	const char *why = dlerror();

	buf_str(err, why ? why : "cannot be loaded");
	return -ELIBACC;
}

int late_load(const char *library, const struct late_call *calls, size_t n, struct buf *err)
{
	void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);

	if (!handle)
		return late_fail(err);
	for (size_t i = 0; i < n; i++)
		if (!dlsym(handle, calls[i].name))
			return late_fail(err);
	for (size_t i = 0; i < n; i++) {
		void *call = dlsym(handle, calls[i].name);

		memcpy(calls[i].at, &call, sizeof(call));
	}
	return 0;
}
