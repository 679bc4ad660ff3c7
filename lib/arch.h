/* The architecture of this machine as container images call it: "amd64", not "x86_64". No state; any thread. */
#ifndef LIB_ARCH_H
#define LIB_ARCH_H

#define ARCH_MAX 65

/* The kernel's own name where images have no other. */
void arch_of_node(char ret[ARCH_MAX]);

#endif
