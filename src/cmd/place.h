/* place.h: where a state folder is and what lies where in it, for all commands. */
#ifndef EXEAT_CMD_PLACE_H
#define EXEAT_CMD_PLACE_H

enum { PLACE_PATH_BYTES = 4096 };

/* The state folder when none is named: /var/lib/exeat for root, ./exeat-state for others. */
const char *place_default_state(void);

/* The configuration file: `config` when not NULL, else exeat.yaml in `state` or the default state folder; for commands that ask a
 * running proxy, /etc/exeat/exeat.yaml when the default folder has none. Returns ret. */
char *place_config(const char *config, const char *state, char ret[PLACE_PATH_BYTES]);

#endif
