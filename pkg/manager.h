/*
 * Who is a package manager: a table of programs, and what a process has to do with one. Says only what a process claims
 * by its executable's path; whether that executable is the real one is for the caller to find out.
 */
#ifndef PKG_MANAGER_H
#define PKG_MANAGER_H

#include <stdbool.h>

#include "event/process.h"
#include "lib/buf.h"

#define PACKAGE_OWN_MAX 8

struct package_manager {
	const char *name;
	const char *programs[4];	  /* absolute paths; NULL: no more */
	bool installs;			  /* it and what it starts write files of packages */
	const char *own[PACKAGE_OWN_MAX]; /* folders and files of its own records; NULL: no more */
	const char *info;		  /* maintainer scripts lie here as PACKAGE.KIND; NULL: it has none */
	const char *staged;		  /* and here as KIND, before the package is unpacked */
};

struct package_actor {
	const struct package_manager *manager;
	const char *program;	     /* of its table: how the process's executable is named */
	const struct process *image; /* the manager itself, its first process; borrowed from the one asked about */
	bool itself;		     /* the process is the manager (or a fork of it), not something it started */
};

/* The table's name of the program at path; NULL when it is none of them. */
const char *package_manager_program(const char *path);
/* False when p neither is nor descends from a program of the table. */
bool package_actor(const struct process *p, struct package_actor *ret);
/* path lies in the records that the manager keeps for itself. */
bool package_manager_owns(const struct package_manager *m, const char *path);
/* Appends "postinst of foo", when p is or descends from a maintainer script; nothing else. */
void package_script_text(const struct package_actor *a, const struct process *p, struct buf *b);

#endif
