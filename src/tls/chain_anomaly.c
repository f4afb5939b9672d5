/* chain_anomaly.c: see chain_anomaly.h. Pure. */
#include "tls/chain_anomaly.h"

const struct chain_anomaly_row chain_anomaly_table[CHAIN_ANOMALY_COUNT] = {
#define CHAIN_ANOMALY(id, name, severity, doc) [CHAIN_##id] = {#id, name, doc, CHAIN_SEVERITY_##severity},
#include "tls/chain_anomalies.def"
#undef CHAIN_ANOMALY
};
