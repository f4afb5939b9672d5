/* signer.c: see signer.h. */
#include "agent/windows/signer.h"

#include "base/buf.h"

#include <stdlib.h>
#include <wchar.h>

/* clang-format off: their order matters */
#include <wincrypt.h>
#include <wintrust.h>
#include <softpub.h>
/* clang-format on */

enum { NAME_CHARS = 256, SIGNER_BYTES = 1024 };

/* The name that the program was built with; false without. */
static bool original_name(const wchar_t *path, wchar_t out[NAME_CHARS])
{
    struct {
        WORD language, page;
    } * translation;
    wchar_t key[64], *value;
    UINT len = 0;
    DWORD ignored, size = GetFileVersionInfoSizeW(path, &ignored);
    void *info = size ? malloc(size) : NULL;
    bool found = info && GetFileVersionInfoW(path, 0, size, info) &&
                 VerQueryValueW(info, L"\\VarFileInfo\\Translation", (void **)&translation, &len) &&
                 len >= sizeof *translation;
    if (found) {
        swprintf(key, sizeof key / sizeof *key, L"\\StringFileInfo\\%04x%04x\\OriginalFilename",
                 translation->language, translation->page);
        found = VerQueryValueW(info, key, (void **)&value, &len) && len > 0 && len < NAME_CHARS;
    }
    if (found)
        wcsncpy(out, value, len), out[len] = 0;
    free(info);
    return found;
}

/* A slash parts signer and program, so neither may have one. */
static void add_part(struct buf *out, const wchar_t *text, struct arena *arena)
{
    char *part = system_text(arena, text);
    for (char *c = part; c && *c; c++)
        if (*c == '/')
            *c = '_';
    buf_append_str(out, part ? part : "?");
}

static bool subject_of(HANDLE state, wchar_t out[NAME_CHARS])
{
    CRYPT_PROVIDER_DATA *data = WTHelperProvDataFromStateData(state);
    CRYPT_PROVIDER_SGNR *signer = data ? WTHelperGetProvSignerFromChain(data, 0, FALSE, 0) : NULL;
    CRYPT_PROVIDER_CERT *leaf = signer ? WTHelperGetProvCertFromChain(signer, 0) : NULL;
    return leaf &&
           CertGetNameStringW(leaf->pCert, CERT_NAME_SIMPLE_DISPLAY_TYPE, 0, NULL, out, NAME_CHARS) > 1;
}

static void name_signer(HANDLE state, const wchar_t *path, struct arena *arena, struct sender_who *who)
{
    wchar_t subject[NAME_CHARS], original[NAME_CHARS];
    struct buf text;
    if (!subject_of(state, subject))
        return;
    buf_init(&text, SIGNER_BYTES);
    add_part(&text, subject, arena);
    buf_append_str(&text, "/");
    add_part(&text, original_name(path, original) ? original : L"-", arena);
    if (!text.failed)
        who->signer = arena_strndup(arena, (const char *)buf_span(&text).data, buf_len(&text));
    buf_free(&text);
}

void signer_find(const wchar_t *path, HANDLE file, struct arena *arena, struct sender_who *who)
{
    GUID action = WINTRUST_ACTION_GENERIC_VERIFY_V2;
    WINTRUST_FILE_INFO info = {.cbStruct = sizeof info, .pcwszFilePath = path, .hFile = file};
    WINTRUST_DATA data = {.cbStruct = sizeof data,
                          .dwUIChoice = WTD_UI_NONE,
                          .fdwRevocationChecks = WTD_REVOKE_NONE,
                          .dwUnionChoice = WTD_CHOICE_FILE,
                          .pFile = &info,
                          .dwStateAction = WTD_STATEACTION_VERIFY,
                          .dwProvFlags = WTD_CACHE_ONLY_URL_RETRIEVAL | WTD_REVOCATION_CHECK_NONE};
    LONG result = WinVerifyTrust((HWND)INVALID_HANDLE_VALUE, &action, &data);
    name_signer(data.hWVTStateData, path, arena, who);
    who->signature_valid = who->signer && result == ERROR_SUCCESS;
    data.dwStateAction = WTD_STATEACTION_CLOSE;
    WinVerifyTrust((HWND)INVALID_HANDLE_VALUE, &action, &data);
}
