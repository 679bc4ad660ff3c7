/*
 * The program that tests of the gate start: ends with the number that stands behind the marker, which tests patch.
 * "hold" as argument: waits for its end on standard input first.
 */
#include <string.h>
#include <unistd.h>

static volatile char marker[] = "HOLDFAST-TEST-EXIT=0";

int main(int argc, char **argv)
{
	char c;

	if (argc > 1 && strcmp(argv[1], "hold") == 0)
		while (read(STDIN_FILENO, &c, 1) > 0)
			;
	return marker[sizeof(marker) - 2] - '0';
}
