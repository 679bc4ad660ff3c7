/* holdfast: runs the command named on the command line, or is one of the monitor's roles. */
#include "cmd/cmd.h"
#include "daemon/role.h"

int main(int argc, char **argv)
{
	int status;

	return role_main(argc, argv, &status) ? status : cmd_main(argc, argv);
}
