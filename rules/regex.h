/*
 * Regular expressions of the extended kind, matched against the whole text in time proportional to pattern times text:
 * no backtracking, no memory. Literals, . [] [^] [[:class:]] () | * + ? {m,n} ^ $ \d \w \s \b-less escapes.
 */
#ifndef RULES_REGEX_H
#define RULES_REGEX_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/arena.h"

#define REGEX_STATES_MAX 1000

struct regex;

/* 0; -EINVAL with *ret_why (static text); -ENOMEM. Lives in a. */
int regex_compile(struct arena *a, const char *pattern, size_t len, const struct regex **ret, const char **ret_why);
bool regex_match(const struct regex *r, const char *s, size_t len);

#endif
