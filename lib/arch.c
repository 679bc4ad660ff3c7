/* Names of architectures: the kernel's and Go's. */
#include "lib/arch.h"

#include <stdio.h>
#include <sys/utsname.h>

#include "lib/util.h"

void arch_of_node(char ret[ARCH_MAX])
{
	static const struct {
		const char *machine, *arch;
	} table[] = {
		{ "x86_64", "amd64" }, { "aarch64", "arm64" }, { "armv7l", "arm" },	     { "armv6l", "arm" },
		{ "i686", "386" },     { "i586", "386" },      { "loongarch64", "loong64" },
	};
	struct utsname u;
	const char *arch;

	arch = uname(&u) < 0 ? "amd64" : u.machine;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (streq(arch, table[i].machine))
			arch = table[i].arch;
	snprintf(ret, ARCH_MAX, "%s", arch);
}
