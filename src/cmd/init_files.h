/* init_files.h: the texts that `exeat init` writes. */
#ifndef EXEAT_CMD_INIT_FILES_H
#define EXEAT_CMD_INIT_FILES_H

#include <stddef.h>

/* The five analytics of policy/rules/attack/ and policy/actions.yaml, as the build found them; a row without a name ends the table. */
struct init_file {
    const char *name; /* in the state folder */
    const unsigned char *text;
    size_t len;
};
extern const struct init_file init_policy[];

/* A printf format: the listen list, the process' user line or nothing. */
#define INIT_CONFIG_FORMAT                                                                                   \
    "# The proxy's configuration, made by `exeat init`. `exeat config show` prints what is in effect,\n"     \
    "# `exeat config reference` every option. Paths are relative to this folder.\n"                          \
    "# After a change: `exeat config check`, then HUP to exeatd (or to `exeat run`).\n"                      \
    "listen:\n"                                                                                              \
    "  addresses: [%s]\n"                                                                                    \
    "  # TLS to the proxy itself, with the development certificate:\n"                                       \
    "  # tls_addresses: [\"127.0.0.1:3130\"]\n"                                                              \
    "  # tls_certificate: ca/proxy.pem\n"                                                                    \
    "  # tls_key: ca/proxy.key\n"                                                                            \
    "\n"                                                                                                     \
    "process:\n"                                                                                             \
    "%s"                                                                                                     \
    "  state_folder: data\n"                                                                                 \
    "\n"                                                                                                     \
    "agent:\n"                                                                                               \
    "  socket: agent/agent.sock\n"                                                                           \
    "\n"                                                                                                     \
    "policy:\n"                                                                                              \
    "  baseline: baseline.yaml\n"                                                                            \
    "  rules: [rules]        # Sigma rules, the five ATT&CK analytics to begin with\n"                       \
    "  actions: actions.yaml # what a match does: nothing but an alert, at first\n"                          \
    "  # handling: peek      # reads the servers' certificates, too; what it does: `exeat config "           \
    "reference`\n"                                                                                           \
    "\n"                                                                                                     \
    "findings:\n"                                                                                            \
    "  suppressions: suppressions.yaml # what `exeat findings suppress` writes\n"                            \
    "\n"                                                                                                     \
    "# Loopback, private and other special-purpose addresses are refused unless listed here:\n"              \
    "guard:\n"                                                                                               \
    "  allow_networks: []\n"                                                                                 \
    "  # allow_networks: [127.0.0.0/8, \"::1/128\", 10.0.0.0/8]\n"

static const char init_baseline_text[] =
    "# Which sender (process) may reach which destination, made by `exeat init`. What is not written\n"
    "# here is not let out. The first sender whose `match` holds decides. policy/baseline.yaml in the\n"
    "# source explains every selector.\n"
    "version: 1\n"
    "\n"
    "# open: let out and record; report: let out, and record what enforce would refuse; enforce: refuse.\n"
    "# On a host with users begin with report, read the records, then enforce.\n"
    "mode: enforce\n"
    "\n"
    "# narrow: curl, ssh, git and their like (transfer tools) need an exact host, and a script, unit or "
    "parent beside it.\n"
    "transfer_tools: as_written\n"
    "\n"
    "# Senders that cannot be determined:\n"
    "unknown_sender:\n"
    "  action: block\n"
    "\n"
    "senders:\n"
    "  - name: curl by hand\n"
    "    match: {executable: /usr/bin/curl}\n"
    "    allow:\n"
    "      - {domain: example.com}\n"
    "      - {host: localhost}\n"
    "\n"
    "  - name: updates\n"
    "    match: {executable: /usr/lib/apt/methods/http, user: _apt}\n"
    "    allow:\n"
    "      - {domain: debian.org, ports: [80, 443]}\n";

#endif
