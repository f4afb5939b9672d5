/* agent_protocol.h: what a proxy and a host agent say to each other, version 1. Enough to write either side in any
 * language: an endpoint product can take the agent's place. exeatd and exeat-agent both include it; it has no
 * dependencies beside the C preprocessor.
 *
 * TRANSPORT
 *   A Unix stream socket (later: TLS over TCP for a gateway; nothing below depends on which). Messages are JSON
 *   objects (RFC 8259), UTF-8, one a line, ended by LF (RS and CR are not used; a CR before the LF is white space).
 *   A line is at most AGENT_LINE_BYTES bytes, its LF included; a longer one closes the link. So do more than
 *   AGENT_BAD_LINES_MAX lines that cannot be understood. Integers are within 0 .. 2^53-1 unless said otherwise.
 *   Unknown members are ignored. An unknown `type` is answered with an error. A member given twice is an error.
 *   Bytes of the host that are not UTF-8 (paths, arguments) are written with each such byte as U+FFFD; control
 *   characters are escaped. A path with U+FFFD in it therefore is not exact: never open it, never approve it.
 *   Both sides may close at any time. A side that does not read is disconnected once its peer's output queue is full.
 *
 * WHO MAY SPEAK
 *   The agent checks SO_PEERCRED: only root, the agent's own user and the users it was told to allow. Others see the
 *   connection close with nothing written. The proxy checks SO_PEERCRED likewise, hence: listen() only after the
 *   privileges were dropped, for the credentials are taken at that moment. The socket's folder is 0750.
 *
 * hello   the first message of each side, sent at once without waiting for the other's.
 *   {"v":1,"type":"hello","program":"exeat-agent","version":"0.1.0",
 *    "host":{"name":"ws-17","id":"32 hex digits of /etc/machine-id, or null"},
 *    "capabilities":{"owner":"proc","bpf":false,"degraded":["other users' processes: no CAP_SYS_PTRACE"]}}
 *   {"v":1,"type":"hello","program":"exeatd","version":"0.1.0","proxies":["127.0.0.1:3128","[::1]:3128"]}
 *   `v` is the highest version the side speaks; the lower of both is used. `proxies` (at most AGENT_PROXIES_MAX)
 *   are the proxy's listeners; "0.0.0.0:3128" or "[::]:3128" is any address of the host with that port. The agent answers
 *   only for connections whose proxy end is one of them AND is really listened on, in the agent's network
 *   namespace, by a socket whose owner is the link's peer user (or root's, where the proxy bound it before it dropped
 *   privileges). A second hello replaces the first: the list (a reload), what an agent says of itself. `degraded` is for people: one
 *   sentence each.
 *   `owner` says how connections are attributed: "proc" (who holds the socket now, by /proc), "bpf", or "snapshot" (the tables that
 *   Windows and macOS keep, as they are at the time of the answer).
 *   Two more capabilities are optional: "platform":"linux" (linux, macos or windows), and
 *   "not_observable":["public_key_outside_tls"], the kinds of history (below) that this agent will never see, all of them where it
 *   keeps none. Absent: it doesn't say, and each answer's history does.
 *   A third is "keep":64, how many lineages' histories it keeps at most when it is asked to (see keep). Absent or 0: it doesn't know "keep".
 *
 * ask     proxy -> agent, only after its hello.
 *   {"v":1,"type":"ask","id":7,"nonce":"0123456789abcdef","proto":"tcp","client":"127.0.0.1:40000",
 *    "proxy":"127.0.0.1:3128","want_hash":true,"hash_wait_ms":200,"full":false,"age_ms":3,
 *    "proxy_cookie":8209}
 *   `id` is the asker's and is echoed. `nonce` is 16 lower-case hex digits, fresh for each ask, and echoed: an answer whose
 *   pair is not outstanding is dropped. `client` is the client's own end as the proxy accepted it, `proxy` the
 *   accepted socket's own end (getsockname), never a wildcard. `hash_wait_ms` bounds how long the answer may wait for the
 *   hash of an executable not hashed yet (default 0, at most AGENT_HASH_WAIT_MAX_MS). `full` asks for the whole
 *   sender even if this link had it (the proxy forgot). `age_ms` (optional) says how long ago the proxy accepted the
 *   connection: addresses and ports come round, and an agent that remembers connections which are gone must not answer for
 *   a later or an earlier one of the same addresses. `proxy_cookie` (optional) is the accepted socket's SO_COOKIE, by
 *   which an agent inside the kernel finds the other end whatever lies in between. Answers may come in any order.
 *   `brief` (optional, true): the proxy remembers the history that came with each sender on this link; an answer may say
 *   "history":"same", see there.
 *   `watch` (optional, true): the agent goes on looking at the connection after the answer, see "changed". To be asked once
 *   a connection has lived a while, by another ask: most are over before anything could change.
 *
 * answer  agent -> proxy.
 *   {"v":1,"type":"answer","id":7,"nonce":"0123456789abcdef","host":"ws-17","confidence":"exact",
 *    "basis":"connect","reason":null,"exec_changed":false,"handed_over":false,"other_namespace":false,"holders":[],
 *    "sender_ref":"4242.918273.17","sender":{...}}
 *   confidence, and what `sender_ref` is then:
 *     exact      one process was found, by `basis`; sender_ref names it
 *     ambiguous  several processes hold the socket: `holders` lists their pids (at most AGENT_HOLDERS_MAX); no sender
 *     stale      the sender was right when it was recorded and cannot be confirmed now; sender_ref names it
 *     unknown    no sender
 *   basis: "holder_now" (who holds the socket at the time of the answer) or "connect" (who called connect()).
 *   With basis connect the sender is who called connect() as it was then, and four facts are told (all optional; null or
 *   absent: not known). Each of the first two makes the answer stale, not exact, for what is said on the connection
 *   from then on may be another program's:
 *     exec_changed     the process executes another program now
 *     handed_over      the process does not hold the socket any more, somebody else does. False does not mean that
 *                      it holds it alone: children may have inherited it
 *     other_namespace  the socket is (was) in another network namespace of this host than the proxy
 *     shared           others hold the socket, too: children that inherited it, or whom it was passed to. `holders` lists
 *                      those that were found, beside the sender. False: nothing but the sender's descriptor refers to it
 *   relaying_for (optional, in what is said of a watched connection): other processes that have a connection to the sender, which
 *   they opened, by a Unix socket or from this host, and that are neither of its session nor above or below it: whom it may speak for.
 *   At most AGENT_PEERS_MAX: [{"pid":17,"via":"unix","executable":"/usr/bin/python3.11"}]. What came and went between
 *   two looks is not seen. Absent: not looked for.
 *   watched (optional, true): the ask said `watch`, and the agent does; false or absent: it has too many already.
 *   reason: null when exact, else a name from AGENT_REASONS below. Treat names you don't know as "unknown".
 *   The whole `sender` goes over a link once; later answers carry its `sender_ref` ("pid.start_ticks.serial", opaque,
 *   unique for the agent's life) alone. It is sent again when it changed (a hash was completed; the ref may stay the
 *   same) or when the agent forgot having sent it. A proxy should remember AGENT_LINK_SENDERS refs a link, and forget
 *   the least recently answered first; when it does not know a ref it asks again with "full":true. Refs mean nothing
 *   on another link.
 *
 *   sender, every member always present, null where not known:
 *     pid, start_ticks (since boot, field 22 of /proc/PID/stat), start_ms (Unix time), name (comm),
 *     executable (absolute path as the kernel says it, in the process' own root), executable_deleted (bool),
 *     sha256 (64 hex digits of the bytes that run), hash_state ("done" | "pending" | "failed"),
 *     package {"name","version","verified"} or null: who owns the file by path; verified null: not checked,
 *     script: absolute path of the script an interpreter runs, or null; script_kind: null (not an interpreter) |
 *       "file" | "command" (-c, -e) | "module" (-m) | "stdin" | "interactive" | "unclear" (could not be told: treat as an
 *       unapproved script); script_sha256,
 *     arguments [..] (secrets replaced by "[redacted]"), arguments_truncated (bool), cwd,
 *     uid (real), user, login_uid (audit loginuid; null when unset), login_user,
 *     parents [{"pid","executable","name"}] nearest first, up to pid 1 or AGENT_PARENTS_MAX; the nearest may have
 *       writable_by_user (below, of its own executable),
 *     unit (systemd unit; one of a user's manager as "user@1000.service/name.service", so that it cannot pose as a
 *       unit of the system), container (id),
 *     writable_by_user (bool or null): a user other than root can replace the executable, by the file or a folder above
 *       it, or the path does not lead to this file in the agent's own view (mount namespace, chroot, deleted): the path
 *       is no identity then,
 *     script_writable_by_user (optional, bool or null): likewise for the script's file,
 *     borrowed (optional): what makes the program another's tool: a list of names from AGENT_BORROWED, empty when it was looked
 *       at and nothing was found. null or absent: this agent cannot look (and no approval is suspended). The sender is sent
 *       again when the list changed. borrowed_why: text for people, the first evidence found, or null,
 *     path_class, script_path_class (optional): where the executable (the script) lies: names from AGENT_PATH_CLASSES,
 *     first_seen_ms, first_seen_by_user_ms (optional, Unix time or null): when the agent first described this program (its
 *       executable's path and its script's) on this host, and of this user,
 *     browser (optional): null, or {"name":"chromium","genuine":bool,"why":[..]}: the executable is a browser's; not genuine
 *       when it is run as no person runs it, why: names from AGENT_NOT_BROWSER,
 *     job (optional): null, or what keeps starting it: {"kind","name","file","sha256","owner","owner_uid","changed_ms",
 *       "first_seen_ms","trigger","trigger_file"}; kind from AGENT_JOB_KINDS; file is the unit's, crontab's or desktop entry's
 *       own file, trigger says when (a timer's or crontab's words),
 *     signature (optional): null (not signed, or this agent cannot look), or {"signer":"EQHXZ8M8AV/com.google.Chrome","valid":true}:
 *       who signed the bytes that run and which program he says it is, as the system checked it. macOS: team and identifier, "apple/..." of
 *       the system's own; Windows: the certificate's subject and the original file name. valid false: it is signed and does not hold,
 *     responsible (optional, macOS): null, or {"pid","executable"}: the process that the system holds to answer for this one,
 *     provenance {"executable":"kernel", ...}: for executable, sha256, package, script, arguments, cwd, user, login_uid,
 *       parents, unit, writable_by_user, borrowed: "kernel" (the process cannot choose it) | "proc" (read from /proc; the
 *       process can influence it) | "cache" (derived earlier, checked to be still valid) | "denied" (no right to read it) |
 *       "unavailable" (not there).
 *
 *   history (optional, in an answer with a sender): what that process and its lineage did lately, as far as it is known at
 *   the moment of the answer, which never waits for it:
 *   {"window_s":3600,
 *    "seen":[{"kind":"archive_written","class":"gzip","count":1,"at_least":false,"first_s":12,"last_s":3,"pid":4240,
 *             "name":"tar","path":"/tmp/x.tgz","bytes":10240}],
 *    "losses":{"events":0,"files":0,"forgotten":0},"not_observable":["public_key_outside_tls"],
 *    "usage":{"executions":{"count":12,"first_ms":1790000000000,"last_ms":1790000900000},
 *             "connections":{"count":3,"first_ms":1790000000500,"last_ms":1790000900500},"connected_executions":2}}
 *     Lineage: the process, those that it started, and those above it that are still below the session's leader, with what they
 *     started, each up to the depth that the agent was told. The leader itself counts only where it is a service's first process.
 *     seen          at most AGENT_HISTORY_ROWS_MAX, one for each kind (AGENT_HISTORY_KINDS below) and class: how often within
 *                   window_s, how many seconds ago first and last, and of the latest: process, path, bytes (null: none).
 *                   at_least: there may have been more
 *     losses        what the agent missed or had to forget since it began, so that a count is a lower bound: process
 *                   events, file events, processes forgotten before their time
 *     not_observable  kinds that this agent does not see (why: a sentence in its hello), or not of this sender: whether its package links
 *                   a TLS library that it loaded is found out later, or never. Not seeing them means nothing
 *     usage         how often this program (the executable, and the script that an interpreter runs) was started on this
 *                   host, how often it connected to the proxy, and how many of those processes did: a program that
 *                   normally doesn't connect is a number. `recent` (optional) says the same of the last `days` alone (at most 30):
 *                   {"days":30,"executions":7,"connected_executions":0}; by it a proxy adds up what hosts tell
 *   All members are optional; kinds that are not known are ignored. Where the ask was brief, "history":"same" stands for the one that last
 *   came with this sender_ref on this link, not longer than AGENT_HISTORY_SAME_MS ago: no other kind or class was seen since;
 *   counts and ages may be that much older.
 *
 * changed agent -> proxy, unasked: what an answer to a watched connection would say now, when that is not what it said last:
 *   the members of an answer, with the ask's id and nonce. The owner executed another program or ended, the socket is held by
 *   others: seen at once where the kernel tells (basis connect), else by a look every few seconds. A socket that was closed
 *   is no change; that the lineage did something of another kind or class is one, and `history` says it. Confidence may rise again (who took the socket gave it back); what a proxy decided need not.
 * done    proxy -> agent: {"v":1,"type":"done","id":7}: the watched connection is over. So it is with the end of the link.
 *
 * keep    proxy -> agent, after both hellos, and only where the agent's hello has the capability "keep": a finding is about this sender, so
 *   what its lineage did is not to be forgotten as it ages. An agent without the capability need not know the message.
 *   {"v":1,"type":"keep","id":9,"nonce":"0123456789abcdef","sender_ref":"4242.918273.17","seconds":604800}
 *   `id` and `nonce` are fresh and echoed, as an ask's; the ids of asks and of keeps under way are different ones. `sender_ref` was said by
 *   this agent, on this link or, to a proxy of the same user, on another one. `seconds`: from now on, at most
 *   AGENT_KEEP_SECONDS_MAX; what is kept longer already is not shortened. 0: nothing is to be kept, the history is asked for.
 *   At most AGENT_KEEPS_MAX may be under way on a link. Nothing waits for the answer.
 * kept    agent -> proxy: what became of a keep.
 *   {"v":1,"type":"kept","id":9,"nonce":"0123456789abcdef","host":"ws-17","sender_ref":"4242.918273.17","outcome":"kept",
 *    "until_ms":1790000000000,"history":{...}}
 *   outcome: a name from AGENT_KEEP_OUTCOMES; one that isn't known counts as "unknown". `until_ms` (Unix time): with "kept", and
 *   only then; it may be less than was asked for. `history`: as in an answer, what is known of the lineage by now, what is kept and what was
 *   seen since; its window_s is then how far back it reaches. Always with "kept" and "not_kept" where there is any, never "same".
 *   Nothing outlives the agent.
 *
 * around  agent -> proxy, unasked, at most every few seconds: what goes around the proxy, when something new was counted or the lock
 *   changed; the same members as an object `around` in the agent's hello (optional there).
 *   {"v":1,"type":"around","lock":false,"observed":true,"why_not":null,"tcp":12,"udp":3,"senders":[{"name":"x",
 *    "executable":"/home/ann/x","pid":4711,"uid":1000,"transport":"tcp","count":2,"last_ms":1790000000000,
 *    "last":"203.0.113.5:443"}]}
 *     lock      whether programs of this host are kept from getting out without the proxy (null: not known), as the agent's own user
 *               finds when he tries
 *     observed  whether attempts are counted; else why_not says why not
 *     tcp, udp  attempts since the agent began to reach an address outside (no private, loopback or link-local one) from
 *               another process than a proxy's: connect() of TCP; UDP to ports 443, 53 and 853
 *     senders   the latest (at most 16), one a program, user and transport, with the last place; executable null: it was gone
 *
 * losses  agent -> proxy, unasked, at most once a second: what it missed or had to forget since it began, when that became more (and after
 *   the hello, where it is not nothing): a history's counts are lower bounds then. As `losses` in each history, for who asks nothing.
 *   {"v":1,"type":"losses","events":120000,"files":3,"forgotten":0}
 *
 * error   either way: {"v":1,"type":"error","id":7 or null,"code":"bad_ask","text":"client: not an endpoint"}
 *   codes: bad_json, bad_message, bad_hello, bad_ask, unknown_type, no_hello (ask before hello), version.
 *   An error never carries a sender; an ask that got one is unanswered and means confidence unknown. */
#ifndef EXEAT_AGENT_PROTOCOL_H
#define EXEAT_AGENT_PROTOCOL_H

#define AGENT_PROTOCOL_VERSION 1

#define AGENT_LINE_BYTES       65536 /* a line with its LF */
#define AGENT_BAD_LINES_MAX    16    /* not understood, in one link's life */
#define AGENT_PROXIES_MAX      64    /* endpoints in a hello */
#define AGENT_DEGRADED_MAX     16    /* sentences in a hello */
#define AGENT_HOLDERS_MAX      16    /* pids in an ambiguous answer */
#define AGENT_ARGUMENTS_MAX    128   /* arguments in a sender; arguments_truncated beyond */
#define AGENT_ARGUMENTS_BYTES  8192  /* all arguments of a sender together */
#define AGENT_PARENTS_MAX      16
#define AGENT_PATH_BYTES       4096 /* any one string of a sender, NUL included */
#define AGENT_HISTORY_SAME_MS  1000
#define AGENT_HASH_WAIT_MAX_MS 10000
#define AGENT_LINK_SENDERS     4096 /* refs that a proxy should remember on a link */

#define AGENT_PEERS_MAX        8   /* processes that a sender may speak for */
#define AGENT_PEER_PATH_BYTES  256 /* path of such a one, NUL included; longer ones are cut */
#define AGENT_HISTORY_ROWS_MAX 24  /* things seen, in one answer */

#define AGENT_KEEPS_MAX        16               /* keeps under way on a link */
#define AGENT_KEEP_SECONDS_MAX (90 * 24 * 3600) /* and no longer */

#define AGENT_SOCKET_DEFAULT   "/run/exeat/agent/agent.sock"

/* X(NAME, "name on the wire", "what it means, for people") */
#define AGENT_REASONS(X)                                                                                     \
    X(NONE, "none", "")                                                                                      \
    X(NO_SUCH_SOCKET, "no_such_socket", "this host has no such connection")                                  \
    X(VANISHED, "vanished", "the client's socket was closed before its owner was found")                     \
    X(ORPHAN, "orphan", "no process holds the client's socket any more")                                     \
    X(SEVERAL_HOLDERS, "several_holders", "several processes hold the client's socket")                      \
    X(NOT_PERMITTED, "not_permitted", "the agent may not look into all processes, and found none")           \
    X(NOT_OURS, "not_ours", "the connection does not end at a listener of the asking proxy")                 \
    X(SEVERAL_SOCKETS, "several_sockets", "several connections had the same addresses at that time")         \
    X(EXEC_CHANGED, "exec_changed", "the process that connected executes another program now")               \
    X(HANDED_OVER, "handed_over", "the process that connected gave the socket to another one")               \
    X(KERNEL, "kernel", "the kernel made the connection, no process")                                        \
    X(CHANGED, "changed", "the process or the socket changed while it was looked at")                        \
    X(BUSY, "busy", "the agent has too many questions waiting")                                              \
    X(REMOTE, "remote", "the client is not on a host with an agent")                                         \
    X(TIMEOUT, "timeout", "the agent did not answer in time")                                                \
    X(NO_AGENT, "no_agent", "no agent is connected")                                                         \
    X(FAILED, "failed", "the agent could not look: a system call failed")                                    \
    X(UNKNOWN, "unknown", "a reason this program does not know")

/* X(NAME, "name on the wire") */
#define AGENT_CONFIDENCES(X)                                                                                 \
    X(UNKNOWN, "unknown")                                                                                    \
    X(AMBIGUOUS, "ambiguous")                                                                                \
    X(STALE, "stale")                                                                                        \
    X(EXACT, "exact")

#define AGENT_PROVENANCES(X)                                                                                 \
    X(UNAVAILABLE, "unavailable")                                                                            \
    X(KERNEL, "kernel")                                                                                      \
    X(PROC, "proc")                                                                                          \
    X(CACHE, "cache")                                                                                        \
    X(DENIED, "denied")

#define AGENT_HASH_STATES(X)                                                                                 \
    X(PENDING, "pending")                                                                                    \
    X(DONE, "done")                                                                                          \
    X(FAILED, "failed")

/* The fields whose provenance is told. */
#define AGENT_FIELDS(X)                                                                                      \
    X(EXECUTABLE, "executable")                                                                              \
    X(SHA256, "sha256")                                                                                      \
    X(PACKAGE, "package")                                                                                    \
    X(SCRIPT, "script")                                                                                      \
    X(ARGUMENTS, "arguments")                                                                                \
    X(CWD, "cwd")                                                                                            \
    X(USER, "user")                                                                                          \
    X(LOGIN_UID, "login_uid")                                                                                \
    X(PARENTS, "parents")                                                                                    \
    X(UNIT, "unit")                                                                                          \
    X(WRITABLE_BY_USER, "writable_by_user")                                                                  \
    X(BORROWED, "borrowed")

/* NONE: the executable is no interpreter; null on the wire. */
#define AGENT_SCRIPT_KINDS(X)                                                                                \
    X(NONE, "none")                                                                                          \
    X(FILE, "file")                                                                                          \
    X(COMMAND, "command")                                                                                    \
    X(MODULE, "module")                                                                                      \
    X(STDIN, "stdin")                                                                                        \
    X(INTERACTIVE, "interactive")                                                                            \
    X(UNCLEAR, "unclear")

/* X(NAME, "name on the wire", "what it means, for people"): what can make a program another's tool. Names that a proxy does not
 * know count as UNOBSERVED. */
#define AGENT_BORROWED(X)                                                                                    \
    X(UNOBSERVED, "unobserved", "it was gone, or denied, before it could be looked at")                      \
    X(LOADER, "loader", "started through the dynamic loader: the file that runs is another")                 \
    X(PRELOAD, "preload", "its environment names a library to be loaded first")                              \
    X(AUDIT, "audit", "its environment names an auditing library of the loader")                             \
    X(LIBRARY_PATH, "library_path", "its environment has libraries looked for where users can write")        \
    X(NODE_OPTIONS, "node_options", "its environment gives node other code to run")                          \
    X(PYTHON_PATH, "python_path", "its environment has Python modules looked for where users can write")     \
    X(PERL_OPTIONS, "perl_options", "its environment gives perl other code to run")                          \
    X(RUBY_OPTIONS, "ruby_options", "its environment gives ruby other code to run")                          \
    X(JAVA_OPTIONS, "java_options", "its environment gives the Java machine other code to run")              \
    X(SHELL_STARTUP, "shell_startup", "its environment names a file for the shell to run first")             \
    X(GIT_COMMAND, "git_command", "its environment gives git a command to run")                              \
    X(ENVIRONMENT, "environment", "its environment is too long to be read whole")                            \
    X(OPTION_FILE, "option_file", "an argument has it take its orders from a file or a command")             \
    X(AUTOMATED, "automated", "a browser that is driven by a program")                                       \
    X(TRACER, "tracer", "another process traces it")                                                         \
    X(ANONYMOUS_EXEC, "anonymous_exec", "it runs code that is in no file")                                   \
    X(MEMFD, "memfd", "it runs code from a file in memory")                                                  \
    X(DELETED_EXEC, "deleted_exec", "it runs code from a file that was deleted")                             \
    X(WRITABLE_EXEC, "writable_exec", "it runs code from a file that users can write")

/* X(NAME, "name on the wire"): a path may be in several. */
#define AGENT_PATH_CLASSES(X)                                                                                \
    X(SYSTEM, "system")       /* /usr, /bin, /lib, ... */                                                    \
    X(OPTIONAL, "optional")   /* /opt, /usr/local, /snap, /srv */                                            \
    X(HOME, "home")           /* of a user */                                                                \
    X(TEMPORARY, "temporary") /* /tmp, /var/tmp, /dev/shm, /run/user */                                      \
    X(DOWNLOADS, "downloads") /* a folder that browsers save to */                                           \
    X(HIDDEN, "hidden")       /* a part of it begins with a dot */                                           \
    X(REMOVABLE, "removable") /* /media, /mnt, /run/media */                                                 \
    X(MEMORY, "memory")       /* a file in memory only */                                                    \
    X(OTHER, "other")

/* X(NAME, "name on the wire", "what it means, for people") */
#define AGENT_NOT_BROWSER(X)                                                                                 \
    X(HEADLESS, "headless", "it shows no window")                                                            \
    X(DEBUGGING, "debugging", "it has a debugging port or pipe")                                             \
    X(TEMPORARY_PROFILE, "temporary_profile", "its profile is in a temporary folder")                        \
    X(EXTENSION, "extension", "it loads an unpacked extension")

/* X(NAME, "name on the wire") */
#define AGENT_JOB_KINDS(X)                                                                                   \
    X(NONE, "none")                                                                                          \
    X(UNIT, "unit")           /* a systemd unit */                                                           \
    X(TIMER, "timer")         /* likewise, triggered by a timer */                                           \
    X(CRON, "cron")           /* a line of a crontab, or a file in /etc/cron.daily and the like */           \
    X(AUTOSTART, "autostart") /* a desktop entry that the session starts */

#define AGENT_BASES(X)                                                                                       \
    X(HOLDER_NOW, "holder_now")                                                                              \
    X(CONNECT, "connect")

/* X(NAME, "name on the wire", "what it means, for people") */
#define AGENT_HISTORY_KINDS(X)                                                                               \
    X(EXEC_ARCHIVER, "exec_archiver", "an archiver or compressor was started")                               \
    X(ARCHIVE_WRITTEN, "archive_written", "a file was written that begins like an archive")                  \
    X(SENSITIVE_ACCESS, "sensitive_access", "a file in a watched place was opened")                          \
    X(TLS_LIBRARY, "tls_library", "a TLS library was loaded, or is in the executable")                       \
    X(TLS_LIBRARY_UNEXPECTED, "tls_library_unexpected",                                                      \
      "a TLS library was loaded that the program's package doesn't link")                                    \
    X(CRYPTO_LIBRARY, "crypto_library", "a library of ciphers was loaded, or is in the executable")          \
    X(SYMMETRIC_OUTSIDE_TLS, "symmetric_outside_tls", "a cipher was begun, not by a TLS library")            \
    X(PUBLIC_KEY_OUTSIDE_TLS, "public_key_outside_tls", "a key pair was used, not by a TLS library")

/* X(NAME, "name on the wire", "what it means, for people") */
#define AGENT_KEEP_OUTCOMES(X)                                                                               \
    X(UNKNOWN, "unknown", "the agent knows nothing of that process any more")                                \
    X(KEPT, "kept", "the agent keeps it")                                                                    \
    X(NOT_KEPT, "not_kept", "the agent was not asked to keep it, and knows it still")                        \
    X(FULL, "full", "the agent keeps as much as it may: this is forgotten as it ages")

#define AGENT_PEER_VIAS(X)                                                                                   \
    X(UNIX, "unix")                                                                                          \
    X(LOOPBACK, "loopback")

#define AGENT_ERROR_CODES(X)                                                                                 \
    X(BAD_JSON, "bad_json")                                                                                  \
    X(BAD_MESSAGE, "bad_message")                                                                            \
    X(BAD_HELLO, "bad_hello")                                                                                \
    X(BAD_ASK, "bad_ask")                                                                                    \
    X(BAD_ANSWER, "bad_answer")                                                                              \
    X(UNKNOWN_TYPE, "unknown_type")                                                                          \
    X(NO_HELLO, "no_hello")                                                                                  \
    X(VERSION, "version")

#endif
