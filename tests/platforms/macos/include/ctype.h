/* ctype.h: the part of macOS' ctype.h that the agent uses, for compiling where there is no Mac. */
#ifndef EXEAT_TESTS_MACOS_CTYPE_H
#define EXEAT_TESTS_MACOS_CTYPE_H

int isalnum(int c);
int isalpha(int c);
int isdigit(int c);
int isspace(int c);
int isupper(int c);
int islower(int c);
int toupper(int c);
int tolower(int c);

#endif
