/*
 * The command table. Each command family is one file; cmd_main finds the row, parses the common options and runs it.
 * Exit status: what the command returns (sysexits; for check 0 to 7).
 */
#ifndef CMD_CMD_H
#define CMD_CMD_H

int cmd_main(int argc, char **argv);

#endif
