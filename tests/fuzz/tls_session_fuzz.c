/* tls_session_fuzz.c: hostile wire bytes into a server's and a client's session. The input is a list of operations: byte 0 of
 * each says what (its low 2 bits: receive, read, write, carry from the honest peer) and its high bits how many bytes. */
#include "tls/devca.h"
#include "tls/session.h"

#include <stdio.h>
#include <stdlib.h>

static struct tls_context *server_context, *client_context;

static void set_up(void)
{
    char folder[] = "/tmp/exeat-tls-fuzz-XXXXXX", ca[64], ca_key[64], cert[64], key[64];
    if (!mkdtemp(folder))
        abort();
    snprintf(ca, sizeof ca, "%s/ca.pem", folder);
    snprintf(ca_key, sizeof ca_key, "%s/ca.key", folder);
    snprintf(cert, sizeof cert, "%s/c.pem", folder);
    snprintf(key, sizeof key, "%s/c.key", folder);
    struct devca_leaf leaf = {.common_name = "a.test", .alt_names = "DNS:a.test", .not_after_days = 30};
    struct devca *made = devca_create("fuzz CA", ca, ca_key, NULL);
    if (!made || devca_issue(made, &leaf, cert, key, NULL) != 0)
        abort();
    devca_free(made);
    server_context = tls_context_new_server(cert, key, NULL);
    client_context = tls_context_new_client(ca, NULL);
    if (!server_context || !client_context)
        abort();
    remove(ca), remove(ca_key), remove(cert), remove(key), remove(folder);
}

static void carry(struct tls_session *from, struct tls_session *to, size_t most)
{
    struct span out = tls_session_outgoing(from);
    out.len = out.len < most ? out.len : most;
    tls_session_receive(to, out);
    tls_session_sent(from, out.len);
}

static void drive(struct tls_session *subject, struct tls_session *peer, struct span input)
{
    uint8_t data[512] = {0};
    tls_session_handshake(subject);
    tls_session_handshake(peer);
    while (input.len > 0) {
        size_t n = (size_t)(input.data[0] >> 2) * 8 + 1;
        unsigned what = input.data[0] & 3;
        input = span_from(input, 1);
        if (what == 0) {
            size_t len = n < input.len ? n : input.len;
            tls_session_receive(subject, span_of(input.data, len));
            input = span_from(input, len);
        } else if (what == 1) {
            tls_session_read(subject, data, n < sizeof data ? n : sizeof data);
        } else if (what == 2) {
            tls_session_write(subject, data, n < sizeof data ? n : sizeof data);
        } else {
            carry(peer, subject, n * 8);
            carry(subject, peer, n * 8);
        }
    }
    tls_session_finish(subject);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!server_context)
        set_up();
    if (size < 1)
        return 0;
    struct tls_session *server = tls_session_accept(server_context);
    struct tls_session *client = tls_session_connect(client_context, "a.test", false);
    if (!server || !client)
        abort();
    if (data[0] & 1)
        drive(server, client, span_of(data + 1, size - 1));
    else
        drive(client, server, span_of(data + 1, size - 1));
    tls_session_free(server);
    tls_session_free(client);
    return 0;
}
