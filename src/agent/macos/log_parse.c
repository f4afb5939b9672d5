/* log_parse.c: see log_parse.h. Pure. */
#include "agent/macos/log_parse.h"

#include "base/must.h"

enum { MESSAGE_BYTES = 512 };

/* The beginning of an activity's name; "...WithParameters" and the like may follow. */
static const struct {
    const char *function;
    enum log_use use;
} functions[] = {
    {"SecKeyCreateSignature", LOG_SIGN},           {"SecKeyRawSign", LOG_SIGN},
    {"SecKeyVerifySignature", LOG_VERIFY},         {"SecKeyRawVerify", LOG_VERIFY},
    {"SecKeyCreateEncryptedData", LOG_ENCRYPT},    {"SecKeyEncrypt", LOG_ENCRYPT},
    {"SecKeyCreateDecryptedData", LOG_DECRYPT},    {"SecKeyDecrypt", LOG_DECRYPT},
    {"SecKeyCopyKeyExchangeResult", LOG_EXCHANGE}, {"SecKeyCreateRandomKey", LOG_GENERATE},
    {"SecKeyGeneratePair", LOG_GENERATE},          {"SecTrustEvaluate", LOG_TRUST},
};

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* The framework's own activities alone: any program can log any text. */
static bool is_securitys(struct json_text *t)
{
    char type[32], sender[LOG_PATH_BYTES];
    static const char framework[] = "/System/Library/Frameworks/Security.framework/";
    return json_read_str(t, json_member(t, t->values, "eventType"), type, sizeof type) &&
           strcmp(type, "activityCreateEvent") == 0 &&
           json_read_str(t, json_member(t, t->values, "senderImagePath"), sender, sizeof sender) &&
           begins(sender, framework);
}

enum parse log_parse(struct span line, struct log_event *ret)
{
    struct json_value values[LOG_VALUES_MAX];
    struct json_text t;
    char message[MESSAGE_BYTES];
    struct log_event e = {.pid = -1};
    if (!json_read(line, values, LOG_VALUES_MAX, &t) || values[0].type != JSON_MAP)
        return PARSE_BAD;
    if (!is_securitys(&t) ||
        !json_read_str(&t, json_member(&t, t.values, "eventMessage"), message, sizeof message) ||
        !json_read_int(&t, json_member(&t, t.values, "processID"), &e.pid) || e.pid <= 0)
        return PARSE_MORE;
    if (!json_read_str(&t, json_member(&t, t.values, "processImagePath"), e.executable, sizeof e.executable))
        e.executable[0] = '\0';
    for (size_t i = 0; i < ARRAY_LEN(functions) && !e.function; i++) {
        if (!begins(message, functions[i].function))
            continue;
        e.function = functions[i].function;
        e.use = functions[i].use;
    }
    if (!e.function || t.twice)
        return PARSE_MORE;
    *ret = e;
    return PARSE_OK;
}
