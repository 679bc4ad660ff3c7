/* holdfast check --container: containers against the baselines of their images. */
#ifndef CMD_CHECK_CONTAINERS_H
#define CMD_CHECK_CONTAINERS_H

#include "cmd/command.h"

struct check_containers_options {
	const struct option_list *names; /* names, or what ids begin with; none: all containers */
	bool no_record, open;		 /* open: what is excused is left out */
};

/*
 * The exit status: the sum that check gives, or EX_NOINPUT when a container is not there or could not be compared, with
 * everything said; the others were compared all the same.
 */
int check_containers(struct cmd *c, const struct check_containers_options *o);

#endif
