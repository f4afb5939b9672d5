/* scts.c: see scts.h. */
#include "tls/scts.h"

#include <openssl/ct.h>
#include <openssl/err.h>

static int accept_any(const CT_POLICY_EVAL_CTX *policy, const STACK_OF(SCT) * scts, void *unused)
{
    (void)policy, (void)scts, (void)unused;
    return 1;
}

void scts_ask(SSL_CTX *ctx)
{
    SSL_CTX_set_ct_validation_callback(ctx, accept_any, NULL);
    ERR_clear_error(); /* an OpenSSL without CT: then none are asked for */
}

/* OpenSSL puts those of all sources into one list. */
struct span scts_received(SSL *ssl)
{
    const STACK_OF(SCT) *all = SSL_get0_peer_scts(ssl);
    STACK_OF(SCT) *sent = sk_SCT_new_null();
    unsigned char *list = NULL;
    for (int i = 0; sent && all && i < sk_SCT_num(all); i++)
        if (SCT_get_source(sk_SCT_value(all, i)) == SCT_SOURCE_TLS_EXTENSION)
            sk_SCT_push(sent, sk_SCT_value(all, i));
    int len = sent && sk_SCT_num(sent) > 0 ? i2o_SCT_LIST(sent, &list) : 0;
    sk_SCT_free(sent);
    ERR_clear_error();
    return span_of(list, len > 0 ? (size_t)len : 0);
}
