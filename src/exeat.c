/* exeat.c: the command for people. Everything is in cmd/. */
#include "cmd/cmd.h"
#include "run/rules_child.h"

int main(int argc, char **argv)
{
    int child = rules_child_main(argc, argv);
    return child >= 0 ? child : cmd_main(argc, argv);
}
