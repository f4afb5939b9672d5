/* steps.h: the table of states: one row a step of a flow's life. Names, log text, deadlines, legal moves, what an EOF means,
 * the timeline in each record and the figure in src/README.md come from it. flow/flow.c is the only reader that acts.
 *
 * STATE(NAME, step, deadline, timeout, client_eof, server_eof, SUCCESSORS, doc)
 *   step        the function that advances a flow in this state
 *   deadline    ms, an expression over `c` (the flow's struct conf); 0 = the step sets its own, or ends at once.
 *   timeout     reason when it passes; in states marked IDLE a deadline counts from the last byte that moved
 *   client_eof, server_eof   reason when that side's FIN is met by this step; NONE = the step knows what to do
 *   SUCCESSORS  T(NAME)... where flow_goto() may go from here, beside the ends below
 * REFUSE, CUT and CLOSING can be reached from every state before them; DONE only from CUT and CLOSING. */

#ifndef EXEAT_FLOW_STEPS_H
#define EXEAT_FLOW_STEPS_H

#define FLOW_STATES(STATE, T)                                                                                \
    STATE(PREFACE, flow_preface, c->timeouts.keepalive_ms, REQUEST_TIMEOUT, CLIENT_CLOSED, NONE, T(REQUEST), \
          "PROXY header and TLS to the proxy itself, where configured; attribution is asked")                \
    STATE(REQUEST, flow_request, c->timeouts.keepalive_ms, REQUEST_TIMEOUT, REQUEST_INCOMPLETE, NONE,        \
          T(AUTHENTICATE), "one request head is read and judged")                                            \
    STATE(AUTHENTICATE, flow_authenticate, c->timeouts.head_ms, AUTH_BUSY, NONE, NONE, T(ATTRIBUTE),         \
          "the user's password is checked, where there are users")                                           \
    STATE(ATTRIBUTE, flow_attribute, 0, SENDER_UNKNOWN, NONE, NONE, T(DECIDE_CONNECT),                       \
          "the agent's answer is awaited: which process is the sender")                                      \
    STATE(DECIDE_CONNECT, flow_decide_connect, 0, INTERNAL, NONE, NONE,                                      \
          T(RESOLVE) T(DECIDE_ADDRESS) T(DIAL) T(INSPECT) T(ESTABLISHED) T(STREAMS),                         \
          "the baseline judges the name alone")                                                              \
    STATE(RESOLVE, flow_resolve, c->resolver.timeout_ms + 1000, DNS_TIMEOUT, NONE, NONE,                     \
          T(DECIDE_ADDRESS) T(RESOLVE) T(DIAL) T(STREAMS), "the name is resolved")                           \
    STATE(DECIDE_ADDRESS, flow_decide_address, 0, INTERNAL, NONE, NONE,                                      \
          T(RESOLVE) T(DIAL) T(INSPECT) T(ESTABLISHED) T(STREAMS),                                           \
          "the address guard and the baseline judge each address")                                           \
    STATE(DIAL, flow_dial, c->dial.timeout_ms + 1000, CONNECT_TIMEOUT, NONE, NONE,                           \
          T(RESOLVE) T(PARENT) T(SERVER_TLS) T(ESTABLISHED) T(DECIDE_HELLO) T(INSPECT) T(STREAMS),           \
          "a connection to the address that was checked, or to a parent")                                    \
    STATE(PARENT, flow_parent, c->dial.timeout_ms, CONNECT_TIMEOUT, NONE, PARENT_MALFORMED,                  \
          T(RESOLVE) T(SERVER_TLS) T(ESTABLISHED) T(DECIDE_HELLO) T(INSPECT) T(STREAMS),                     \
          "the parent proxy is asked for a tunnel")                                                          \
    STATE(SERVER_TLS, flow_server_tls, c->dial.timeout_ms, CONNECT_TIMEOUT, NONE, SERVER_TLS_FAILED,         \
          T(DIAL) T(INSPECT) T(MINT) T(STREAMS),                                                             \
          "TLS with the server of an https:// request, or of a tunnel that is terminated")                   \
    STATE(ESTABLISHED, flow_established, 0, INTERNAL, NONE, NONE, T(HELLO), "200 to a CONNECT")              \
    STATE(HELLO, flow_hello, c->timeouts.first_byte_ms, FIRST_BYTE_TIMEOUT, NONE, NONE,                      \
          T(ECH) T(DECIDE_HELLO),                                                                            \
          "whoever speaks first decides: a ClientHello, something else, or a server-first protocol")         \
    STATE(ECH, flow_ech, c->resolver.timeout_ms + 1000, DNS_TIMEOUT, NONE, NONE, T(DECIDE_HELLO),            \
          "a hidden name behind another one: is that the public name of the destination?")                   \
    STATE(DECIDE_HELLO, flow_decide_hello, 0, INTERNAL, NONE, NONE,                                          \
          T(PROBE) T(FORWARD) T(SERVER_TLS) T(MINT),                                                         \
          "what the hello shows is judged; the decision is recorded before a byte leaves")                   \
    STATE(MINT, flow_mint, c->timeouts.head_ms, SIGNER_UNAVAILABLE, NONE, NONE, T(DECIDE_CHAIN),             \
          "the server's chain is judged, and a certificate made for the client")                             \
    STATE(CLIENT_TLS, flow_client_tls, c->timeouts.head_ms, CLIENT_TLS_FAILED, CLIENT_TLS_FAILED, NONE,      \
          T(INSIDE) T(REQUEST) T(STREAMS), "TLS with the client of a terminated tunnel")                     \
    STATE(INSIDE, flow_inside, c->timeouts.first_byte_ms, FIRST_BYTE_TIMEOUT, NONE, NONE,                    \
          T(REQUEST) T(FORWARD), "whoever speaks first inside decides: HTTP, or bytes to be relayed")        \
    STATE(PROBE, flow_probe, c->peek.probe_timeout_ms + 1000, INTERNAL, NONE, NONE, T(DECIDE_CHAIN),         \
          "chain: wait: a probe of ours is shown the certificates before the hello leaves")                  \
    STATE(FORWARD, flow_forward, c->timeouts.response_ms, WRITE_TIMEOUT, NONE, NONE, T(CHAIN) T(RELAY),      \
          "the bytes that were read so far go out")                                                          \
    STATE(CHAIN, flow_chain, c->timeouts.hello_ms, INTERNAL, NONE, NONE, T(DECIDE_CHAIN),                    \
          "peek: the handshake is read as it passes")                                                        \
    STATE(DECIDE_CHAIN, flow_decide_chain, 5000, INTERNAL, NONE, NONE, T(FORWARD) T(RELAY) T(CLIENT_TLS),    \
          "the server's certificates are judged, where they are known by now")                               \
    STATE(RELAY, flow_relay, c->timeouts.tunnel_idle_ms, IDLE_TIMEOUT, NONE, NONE, ,                         \
          "bytes go both ways unread (IDLE)")                                                                \
    STATE(INSPECT, flow_inspect, c->timeouts.idle_ms, IDLE_TIMEOUT, REQUEST_INCOMPLETE, RESPONSE_INCOMPLETE, \
          T(REQUEST) T(DECIDE_CONNECT) T(FORWARD), "one HTTP exchange (IDLE)")                               \
    STATE(STREAMS, flow_streams, c->timeouts.keepalive_ms, IDLE_TIMEOUT, NONE, NONE, T(DECIDE_CONNECT),      \
          "HTTP/2: each stream is an exchange of its own (IDLE)")                                            \
    STATE(REFUSE, flow_refuse, c->timeouts.head_ms, WRITE_TIMEOUT, NONE, NONE, T(REQUEST),                   \
          "the answer that says why not")                                                                    \
    STATE(CUT, flow_cut, 0, INTERNAL, NONE, NONE, T(AWAIT_CHAIN) T(DONE),                                    \
          "both sides are reset: what was relayed must not look whole")                                      \
    STATE(CLOSING, flow_closing, c->timeouts.linger_ms + 1, COMPLETED, NONE, NONE, T(AWAIT_CHAIN) T(DONE),   \
          "the last bytes are written and the client's are read, so that it sees the answer")                \
    STATE(AWAIT_CHAIN, flow_await_chain, c->peek.probe_timeout_ms + 1000, COMPLETED, NONE, NONE, T(DONE),    \
          "both sides are closed; the last record waits for certificates that are on their way")             \
    STATE(DONE, flow_done, 0, INTERNAL, NONE, NONE, , "the last record is written, everything is given back")

enum flow_state {
#define T(name)
#define STATE(name, run, deadline, timeout, client_eof, server_eof, successors, doc) FLOW_##name,
    FLOW_STATES(STATE, T)
#undef STATE
#undef T
        FLOW_STATE_COUNT
};

#endif
