/* trust.c: trust anchors, sorted by their subject's hash. See verify.h. Reads files when made; afterwards memory only. */
#include "tls/chain_private.h"

#include "base/buf.h"
#include "base/must.h"

#include <dirent.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { ANCHORS_MAX = 16384, PATH_BYTES = 1024 };

struct trust {
    struct trust_anchor *anchors; /* owned */
    size_t count, room;
};

/* Where an administrator puts roots of the house's own, for the system's tool to add to the bundle. */
static const char *const local_folders[] = {
    "/usr/local/share/ca-certificates", "/etc/pki/ca-trust/source/anchors", "/usr/share/pki/trust/anchors"};

/* By name (which hashes are of), then configured ones after public ones. */
static int compare(const void *a, const void *b)
{
    const struct trust_anchor *x = a, *y = b;
    return x->hash != y->hash             ? (x->hash < y->hash ? -1 : 1)
           : x->is_public != y->is_public ? y->is_public - x->is_public
                                          : 0;
}

/* Takes the certificate. 0 or -1. */
static int add_anchor(struct trust *t, X509 *take_x, bool is_public)
{
    if (t->count == t->room) {
        size_t room = t->room ? 2 * t->room : 256;
        struct trust_anchor *grown = room <= ANCHORS_MAX ? realloc(t->anchors, room * sizeof *grown) : NULL;
        if (!grown) {
            X509_free(take_x);
            return -1;
        }
        t->anchors = grown;
        t->room = room;
    }
    X509_check_purpose(take_x, -1, 0);
    t->anchors[t->count++] = (struct trust_anchor){
        take_x, X509_NAME_hash_ex(X509_get_subject_name(take_x), NULL, NULL, NULL), is_public};
    ERR_clear_error();
    return 0;
}

static void seal(struct trust *t)
{
    if (t->count)
        qsort(t->anchors, t->count, sizeof *t->anchors, compare);
}

/* How many certificates the PEM file had, or a negative number. Some distributions write "TRUSTED CERTIFICATE". */
static long add_file(struct trust *t, const char *file, bool is_public, struct err *reterr)
{
    BIO *bio = BIO_new_file(file, "re");
    long added = 0;
    X509 *x;
    if (!bio) {
        ERR_clear_error();
        return err_set(reterr, file, 0, 0, "cannot be read: %s", strerror(errno));
    }
    while (added >= 0 && (x = PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL)) != NULL)
        added = add_anchor(t, x, is_public) == 0 ? added + 1
                                                 : err_set(reterr, file, 0, 0, "too many certificates");
    unsigned long error = ERR_peek_last_error();
    ERR_clear_error();
    BIO_free(bio);
    if (added >= 0 && ERR_GET_REASON(error) != PEM_R_NO_START_LINE)
        return err_set(reterr, file, 0, 0, "certificate %ld can't be read: %s", added + 1,
                       ERR_reason_error_string(error));
    return added;
}

/* ---- the system's ---- */

static void mark_local(struct trust *t, const struct trust *local)
{
    for (size_t i = 0; i < t->count; i++)
        if (trust_find_exact(local, t->anchors[i].x509))
            t->anchors[i].is_public = false;
}

/* Files that can't be read are none of ours: the bundle was made without them, too. */
static void add_folder(struct trust *t, const char *folder)
{
    DIR *dir = opendir(folder);
    char path[PATH_BYTES];
    for (struct dirent *e; dir && (e = readdir(dir));)
        if (e->d_name[0] != '.' &&
            (size_t)snprintf(path, sizeof path, "%s/%s", folder, e->d_name) < sizeof path)
            add_file(t, path, false, NULL);
    if (dir)
        closedir(dir);
}

/* Where the system's bundle may be; NULL: nowhere else. */
static const char *bundle_at(size_t i)
{
    const char *const bundles[] = {X509_get_default_cert_file(), "/etc/ssl/certs/ca-certificates.crt",
                                   "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem",
                                   "/etc/ssl/cert.pem"};
    return i < ARRAY_LEN(bundles) ? bundles[i] : NULL;
}

const char *trust_system_file(void)
{
    const char *file = secure_getenv(X509_get_default_cert_file_env());
    for (size_t i = 0; !file && bundle_at(i); i++)
        file = access(bundle_at(i), R_OK) == 0 ? bundle_at(i) : NULL;
    return file;
}

static int add_system(struct trust *t, struct err *reterr)
{
    const char *given = secure_getenv(X509_get_default_cert_file_env()), *file;
    long added = given ? add_file(t, given, true, reterr) : 0;
    for (size_t i = 0; !given && added <= 0 && (file = bundle_at(i)); i++)
        added = add_file(t, file, true, NULL);
    if (added <= 0)
        return err_set(reterr, given, 0, 0, "the system's root certificates are not to be found");
    struct trust local = {0};
    for (size_t i = 0; i < ARRAY_LEN(local_folders); i++)
        add_folder(&local, local_folders[i]);
    seal(&local);
    mark_local(t, &local);
    for (size_t i = 0; i < local.count; i++)
        X509_free(local.anchors[i].x509);
    free(local.anchors);
    return 0;
}

struct trust *trust_new(bool with_system, const char *const *files, size_t count, struct err *reterr)
{
    struct trust *t = calloc(1, sizeof *t);
    bool good = t != NULL;
    if (good && with_system)
        good = add_system(t, reterr) == 0;
    for (size_t i = 0; good && i < count; i++) {
        long added = add_file(t, files[i], false, reterr);
        good = added > 0;
        if (added == 0)
            err_set(reterr, files[i], 0, 0, "there is no PEM certificate in it");
    }
    if (good) {
        seal(t);
        return t;
    }
    err_set(reterr, NULL, 0, 0, "no memory for the root certificates");
    trust_free(t);
    return NULL;
}

static int add_chain(struct trust *t, const struct chain *c, bool is_public)
{
    for (size_t i = 0; c && i < c->count; i++) {
        X509 *x = c->items[i].x509;
        if (x && (X509_up_ref(x) != 1 || add_anchor(t, x, is_public) != 0))
            return -1;
    }
    return 0;
}

struct trust *trust_new_from(const struct chain *public_roots, const struct chain *configured,
                             struct err *reterr)
{
    struct trust *t = calloc(1, sizeof *t);
    if (t && add_chain(t, public_roots, true) == 0 && add_chain(t, configured, false) == 0) {
        seal(t);
        return t;
    }
    err_set(reterr, NULL, 0, 0, "no memory for the root certificates");
    trust_free(t);
    return NULL;
}

void trust_free(struct trust *take_t)
{
    if (!take_t)
        return;
    for (size_t i = 0; i < take_t->count; i++)
        X509_free(take_t->anchors[i].x509);
    free(take_t->anchors);
    free(take_t);
}

size_t trust_count(const struct trust *t)
{
    return t->count;
}

const struct trust_anchor *trust_at(const struct trust *t, size_t i)
{
    return &t->anchors[i];
}

size_t trust_find(const struct trust *t, const X509_NAME *name, size_t *ret_count)
{
    unsigned long hash = X509_NAME_hash_ex(name, NULL, NULL, NULL);
    size_t low = 0, high = t->count, first;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (t->anchors[middle].hash < hash)
            low = middle + 1;
        else
            high = middle;
    }
    for (first = low; high < t->count && t->anchors[high].hash == hash;)
        high++;
    *ret_count = high - first;
    return first;
}

const struct trust_anchor *trust_find_exact(const struct trust *t, X509 *x)
{
    size_t count, first = trust_find(t, X509_get_subject_name(x), &count);
    for (size_t i = first; i < first + count; i++)
        if (X509_cmp(t->anchors[i].x509, x) == 0)
            return &t->anchors[i];
    return NULL;
}
