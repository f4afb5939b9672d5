/* fnmatch.h: the part of macOS' fnmatch.h that the agent uses, for compiling where there is no Mac. */
#ifndef EXEAT_TESTS_MACOS_FNMATCH_H
#define EXEAT_TESTS_MACOS_FNMATCH_H

#define FNM_PATHNAME    2
#define FNM_LEADING_DIR 8

int fnmatch(const char *pattern, const char *text, int flags);

#endif
