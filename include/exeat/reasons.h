/* reasons.h: every reason for which Exeat refuses, cuts or ends a flow or an exchange. Peer misbehaviour is always
 * one of these, never an error code. Records, answers, counters and documentation are generated from this table.
 *
 * R(ID, name, http_status, proxy_status_error, text)
 *   name                what stands in records and counters
 *   http_status         the answer while an HTTP answer can still be given; 0 = close without one
 *   proxy_status_error  RFC 9209 section 2.3 error type; "" = none registered that fits
 *   text                one sentence for people
 * The order is the wire order of nothing: only names are stable. */
#ifndef EXEAT_REASONS_H
#define EXEAT_REASONS_H

#define EXEAT_REASONS(R)                                                                                     \
    /* no fault */                                                                                           \
    R(NONE, "none", 0, "", "No reason: still going")                                                         \
    R(COMPLETED, "completed", 0, "", "Both sides finished")                                                  \
    R(CLIENT_CLOSED, "client_closed", 0, "", "The client closed the connection")                             \
    /* what the client sent */                                                                               \
    R(REQUEST_MALFORMED, "request_malformed", 400, "http_request_error", "The request is malformed")         \
    R(REQUEST_TOO_LARGE, "request_too_large", 431, "http_request_error", "The request head is too large")    \
    R(REQUEST_TIMEOUT, "request_timeout", 408, "http_request_error", "The request did not arrive in time")   \
    R(REQUEST_INCOMPLETE, "request_incomplete", 0, "http_request_error",                                     \
      "The client closed inside a request")                                                                  \
    R(NOT_A_PROXY_REQUEST, "not_a_proxy_request", 400, "http_request_error",                                 \
      "This is a forward proxy: the request names no host to go to")                                         \
    R(SCHEME_UNSUPPORTED, "scheme_unsupported", 400, "http_request_error",                                   \
      "Only http and https are proxied")                                                                     \
    R(METHOD_UNSUPPORTED, "method_unsupported", 405, "http_request_error", "This method is not proxied")     \
    R(TARGET_INVALID, "target_invalid", 400, "http_request_error",                                           \
      "The destination is not a valid host and port")                                                        \
    R(HOST_MISDIRECTED, "host_misdirected", 421, "http_request_error", "Host and request target disagree")   \
    R(PORT_NOT_ALLOWED, "port_not_allowed", 403, "http_request_denied",                                      \
      "The proxy does not connect to this port")                                                             \
    R(PROXY_HEADER_MALFORMED, "proxy_header_malformed", 0, "", "The PROXY protocol header is malformed")     \
    R(PROXY_TLS_FAILED, "proxy_tls_failed", 0, "", "TLS between the client and the proxy failed")            \
    R(CLIENT_ROLE, "client_role", 403, "http_request_denied",                                                \
      "The client's own certificate is missing, or is not accepted")                                         \
    R(AUTH_REQUIRED, "auth_required", 407, "", "The proxy wants a user name and password")                   \
    R(AUTH_FAILED, "auth_failed", 407, "", "The user name or password is wrong")                             \
    R(AUTH_BUSY, "auth_busy", 503, "proxy_internal_response",                                                \
      "Too many passwords are being checked at once")                                                        \
    R(LOOP, "loop", 502, "proxy_loop_detected", "The request already went through this proxy")               \
    R(HELLO_TIMEOUT, "hello_timeout", 0, "", "The TLS ClientHello did not arrive in time")                   \
    R(HELLO_MALFORMED, "hello_malformed", 0, "", "The TLS ClientHello cannot be read")                       \
    R(SNI_MISMATCH, "sni_mismatch", 0, "", "The TLS server name is not the host that was asked for")         \
    /* policy */                                                                                             \
    R(BASELINE_SENDER, "baseline_sender", 403, "http_request_denied",                                        \
      "The baseline does not know this sender")                                                              \
    R(BASELINE_DESTINATION, "baseline_destination", 403, "http_request_denied",                              \
      "The baseline does not let this sender reach this destination")                                        \
    R(MANY_TENANTS, "many_tenants", 403, "http_request_denied",                                              \
      "Anybody can have a place there: the baseline approves one tenant's host or a path of it, not all of " \
      "it")                                                                                                  \
    R(RULE, "rule", 403, "http_request_denied", "A rule does not let this out")                              \
    R(SENDER_UNKNOWN, "sender_unknown", 403, "http_request_denied", "The sender could not be determined")    \
    R(SENDER_BORROWED, "sender_borrowed", 403, "http_request_denied",                                        \
      "The sender is approved, but something makes it another's tool")                                       \
    R(EXCEPTION_EXPIRED, "exception_expired", 403, "http_request_denied",                                    \
      "An exception in the baseline would have let this out, but it has ended")                              \
    R(HASH_CHANGED, "hash_changed", 403, "http_request_denied",                                              \
      "The sender's file is not the one that the baseline approves")                                         \
    R(HASH_PENDING, "hash_pending", 403, "http_request_denied",                                              \
      "The sender's file is still being hashed: try again")                                                  \
    R(CHAIN_UNTRUSTED, "chain_untrusted", 0, "", "The server's certificates are not to be trusted")          \
    R(ADDRESS_PROHIBITED, "address_prohibited", 403, "destination_ip_prohibited",                            \
      "The destination's address is in a range that is not let out")                                         \
    R(POLICY_CHANGED, "policy_changed", 403, "http_request_denied",                                          \
      "A new policy no longer allows this flow")                                                             \
    R(SENDER_CHANGED, "sender_changed", 403, "http_request_denied",                                          \
      "The sender is not what it was, and is not allowed this flow any more")                                \
    R(CLIENT_LIMIT, "client_limit", 429, "connection_limit_reached", "This client has too many connections") \
    R(SENDER_LIMIT, "sender_limit", 429, "connection_limit_reached",                                         \
      "This sender has too many requests under way")                                                         \
    R(CLIENT_RATE, "client_rate", 429, "connection_limit_reached",                                           \
      "This client sends too many requests a minute")                                                        \
    /* reaching the server */                                                                                \
    R(DNS_NOT_FOUND, "dns_not_found", 502, "destination_not_found", "The name does not exist")               \
    R(DNS_FAILED, "dns_failed", 502, "dns_error", "The name could not be resolved")                          \
    R(DNS_TIMEOUT, "dns_timeout", 504, "dns_timeout", "The DNS servers did not answer in time")              \
    R(CONNECT_REFUSED, "connect_refused", 502, "connection_refused", "The server refused the connection")    \
    R(CONNECT_UNREACHABLE, "connect_unreachable", 502, "destination_ip_unroutable",                          \
      "The server cannot be reached")                                                                        \
    R(CONNECT_TIMEOUT, "connect_timeout", 504, "connection_timeout", "The server did not accept in time")    \
    R(CONNECT_FAILED, "connect_failed", 502, "destination_unavailable",                                      \
      "The connection to the server failed")                                                                 \
    R(PARENT_REFUSED, "parent_refused", 502, "http_request_denied", "The parent proxy refused")              \
    R(PARENT_AUTH, "parent_auth", 502, "proxy_configuration_error",                                          \
      "The parent proxy wants other credentials")                                                            \
    R(PARENT_MALFORMED, "parent_malformed", 502, "http_protocol_error",                                      \
      "The parent proxy's answer is malformed")                                                              \
    R(SERVER_TLS_FAILED, "server_tls_failed", 502, "tls_protocol_error", "TLS with the server failed")       \
    R(SERVER_CERTIFICATE, "server_certificate", 502, "tls_certificate_error",                                \
      "The server's certificate does not verify")                                                            \
    /* inspection */                                                                                         \
    R(HANDLING_DOWNGRADE, "handling_downgrade", 403, "http_request_denied",                                  \
      "Policy wants to see inside, and this cannot be decrypted")                                            \
    R(CLIENT_CERTIFICATE, "client_certificate", 502, "tls_certificate_error",                                \
      "The server asks for a client certificate, which inspection does not have")                            \
    R(SIGNER_UNAVAILABLE, "signer_unavailable", 503, "proxy_internal_error",                                 \
      "The inspection CA's signing process does not answer")                                                 \
    R(MINT_FAILED, "mint_failed", 502, "proxy_configuration_error",                                          \
      "No certificate could be made for the client")                                                         \
    R(CLIENT_REJECTED, "client_rejected", 0, "",                                                             \
      "The client does not accept the inspection CA's certificate")                                          \
    R(CLIENT_TLS_FAILED, "client_tls_failed", 0, "", "TLS with the client of an inspected tunnel failed")    \
    /* what the server sent */                                                                               \
    R(RESPONSE_MALFORMED, "response_malformed", 502, "http_protocol_error",                                  \
      "The server's response is malformed")                                                                  \
    R(RESPONSE_TOO_LARGE, "response_too_large", 502, "http_response_header_section_size",                    \
      "The server's response head is too large")                                                             \
    R(RESPONSE_INCOMPLETE, "response_incomplete", 502, "http_response_incomplete",                           \
      "The server closed inside its response")                                                               \
    R(RESPONSE_TIMEOUT, "response_timeout", 504, "http_response_timeout",                                    \
      "The server did not respond in time")                                                                  \
    /* connections */                                                                                        \
    R(CLIENT_RESET, "client_reset", 0, "", "The client reset the connection")                                \
    R(SERVER_RESET, "server_reset", 502, "connection_terminated", "The server reset the connection")         \
    R(FIRST_BYTE_TIMEOUT, "first_byte_timeout", 0, "", "Nobody said anything in the tunnel")                 \
    R(IDLE_TIMEOUT, "idle_timeout", 0, "", "Nothing moved for too long")                                     \
    R(WRITE_TIMEOUT, "write_timeout", 0, "connection_write_timeout", "The peer stopped reading")             \
    /* ourselves */                                                                                          \
    R(OVERLOADED, "overloaded", 503, "connection_limit_reached", "The proxy is at its limit of connections") \
    R(STOPPING, "stopping", 503, "proxy_internal_response", "The proxy is stopping")                         \
    R(LEDGER_FULL, "ledger_full", 503, "proxy_internal_error", "The audit log cannot take another record")   \
    R(FLOOD, "flood", 0, "", "The peer floods the connection with frames that carry nothing")                \
    R(NO_MEMORY, "no_memory", 503, "proxy_internal_error", "The flow's memory budget is spent")              \
    R(INTERNAL, "internal", 500, "proxy_internal_error", "An expectation about this flow was broken")

enum reason {
#define R(id, name, status, error, text) REASON_##id,
    EXEAT_REASONS(R)
#undef R
        REASON_COUNT
};

struct reason_row {
    const char *name, *proxy_status_error, *text;
    int http_status;
};

/* Indexed by enum reason; base/reasons.c. */
extern const struct reason_row reason_table[REASON_COUNT];

#endif
