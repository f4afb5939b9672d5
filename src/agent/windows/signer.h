/* signer.h: who signed a program's file, as Windows checks it. describe.c calls in. */
#ifndef EXEAT_AGENT_WINDOWS_SIGNER_H
#define EXEAT_AGENT_WINDOWS_SIGNER_H

#include "agent/windows/system.h"

#include "wire/sender_who.h"

/* Fills signer ("SUBJECT/ORIGINALFILENAME", the latter from the version resource, which the signature covers) and signature_valid; leaves
 * them for a file that carries no signature. Signatures in catalogs, as many of Windows' own programs have them, are not looked for.
 * Revocation is not asked: nothing may wait for a network here. */
void signer_find(const wchar_t *path, HANDLE file, struct arena *arena, struct sender_who *who);

#endif
