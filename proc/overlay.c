/* Taking the options of an overlay apart: commas, colons and backslashes in names have a backslash before them. */
#include "proc/overlay.h"

#include <string.h>

#include "lib/text.h"

/* Cuts the option at its end (one without a backslash) and takes the backslashes out; returns what follows. */
static char *cut_option(char *s, char end)
{
	char *to = s;

	for (; *s && *s != end; s++) {
		if (*s == '\\' && s[1])
			s++;
		*to++ = *s;
	}
	s += *s != '\0';
	*to = '\0';
	return s;
}

static char *value_of(char *option, const char *name)
{
	size_t len = strlen(name);

	return strncmp(option, name, len) == 0 ? option + len : NULL;
}

void overlay_each_layer(char *options, void (*fn)(const char *path, bool upper, void *data), void *data)
{
	text_unescape_octal(options);
	while (*options) {
		char *one = options, *value = value_of(one, "lowerdir=");

		/* Its colons keep their backslashes until it is taken apart. */
		if (value) {
			options += strcspn(options, ",");
			if (*options)
				*options++ = '\0';
			while (*value) {
				one = value;
				value = cut_option(value, ':');
				if (*one)
					fn(one, false, data);
			}
			continue;
		}
		options = cut_option(options, ',');
		value = value_of(one, "lowerdir+=");
		if (value)
			fn(value, false, data);
		value = value_of(one, "upperdir=");
		if (value)
			fn(value, true, data);
	}
}
