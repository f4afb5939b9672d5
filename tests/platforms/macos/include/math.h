/* math.h: the part of macOS' math.h that the agent uses, for compiling where there is no Mac. */
#ifndef EXEAT_TESTS_MACOS_MATH_H
#define EXEAT_TESTS_MACOS_MATH_H

#define isfinite(x) __builtin_isfinite(x)

double fabs(double x);
long long llround(double x);

#endif
