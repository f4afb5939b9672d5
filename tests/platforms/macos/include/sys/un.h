/* un.h: the part of macOS' sys/un.h that the agent uses, for compiling where there is no Mac. */
#ifndef EXEAT_TESTS_MACOS_SYS_UN_H
#define EXEAT_TESTS_MACOS_SYS_UN_H

#include <stdint.h>

struct sockaddr_un {
    uint8_t sun_len, sun_family;
    char sun_path[104];
};

#endif
