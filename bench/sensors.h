/* What bench/sensor switches on and off. It ends with 77 where the kernel does not take them. */
#ifndef BENCH_SENSORS_H
#define BENCH_SENSORS_H

enum sensor {
	EMPTY,	 /* a program at the exit of system calls that does nothing: what the kernel takes for calling one */
	PROCS,	 /* forks, starts and ends */
	CALLS,	 /* all calls that are about no socket */
	SOCKETS, /* all that are, and ends of connections */
	OPENS,
	EXITS,	/* these three */
	POLICY, /* policies of the network */
	SENSORS
};

/* Once; all are off then. What they tell is read by threads of their own. */
void sensors_open(void);
/* Those whose bits are set are on from now on, no others. */
void sensors_switch(unsigned int sensors);

#endif
