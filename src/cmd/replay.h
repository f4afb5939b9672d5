/* replay.h: the past, decided again: shared by `exeat replay` and `exeat baseline shadow`. */
#ifndef EXEAT_CMD_REPLAY_H
#define EXEAT_CMD_REPLAY_H

#include "base/span.h"

/* Puts each decision of the records at `audit` (a file or folder) to the baseline in `text`, read with the kinds of destinations in that file (NULL:
 * the built-in ones), and prints what would be different. Returns the exit
 * code: 0 nothing, 1 something, 2 an error that was printed. */
int replay_baseline(struct span text, const char *name, const char *destinations, const char *audit,
                    bool json);

#endif
