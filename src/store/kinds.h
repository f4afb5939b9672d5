/* kinds.h: the numbers of those kinds of sightings that others than their source read: flow/ writes them, `exeat` shows them. A name's parts
 * are separated by line feeds. No code. */
#ifndef EXEAT_STORE_KINDS_H
#define EXEAT_STORE_KINDS_H

enum store_kind {
    STORE_KIND_CHAIN = 9,         /* host:port, hexadecimal SHA-256 of the leaf */
    STORE_KIND_CHAIN_SENDER = 16, /* the same, stable sender: who was shown it */
};

#endif
