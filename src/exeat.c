/* exeat.c: the command for people. Everything is in cmd/. */
#include "cmd/cmd.h"

int main(int argc, char **argv)
{
    return cmd_main(argc, argv);
}
