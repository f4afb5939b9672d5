/* developers.c: what those do on a day who write software. See office.h. */
#include "office.h"

#include <stdio.h>

struct day {
    struct office *o;
    struct rng *r;
    unsigned host;
    double from_s, until_s;
};

static double sometime(const struct day *d)
{
    return d->from_s + rng_unit(d->r) * (d->until_s - d->from_s);
}

static struct visit *visit(const struct day *d, enum program program, const char *name, double out,
                           double out_sigma, double in, const char *why)
{
    struct visit *v = office_add(d->o, d->host, program, sometime(d), name, rng_bytes(d->r, out, out_sigma),
                                 rng_bytes(d->r, in, 1.2), why);
    /* what the same terminal did before */
    if (rng_chance(d->r, 0.06))
        v->archiver_age_s = (int16_t)rng_between(d->r, 5, 3000);
    if (rng_chance(d->r, 0.03))
        visit_add_archive(v, rng_between(d->r, 5, 3000), 0, d->r);
    return v;
}

static void use_git(const struct day *d)
{
    for (unsigned n = rng_count(d->r, 6); n > 0; n--)
        visit(d, PROGRAM_GIT, rng_chance(d->r, 0.4) ? "github.com" : "git.corp.example", 2500, 0.5, 90000,
              "git fetch");
    for (unsigned n = rng_count(d->r, 3); n > 0; n--)
        visit(d, PROGRAM_GIT, rng_chance(d->r, 0.4) ? "github.com" : "git.corp.example", 25000, 2, 4000,
              "git push");
    if (rng_chance(d->r, 0.05)) { /* by ssh, where only 443 is let out */
        struct visit *v = visit(d, PROGRAM_CURL, "ssh.github.com", 9000, 1, 90000, "git over ssh");
        v->kind = VISIT_SSH;
        v->sensitive_age_s = 1;
        v->sensitive = "ssh_key";
    }
}

static void install_packages(const struct day *d)
{
    static const char *const crates[] = {"index.crates.io", "static.crates.io"};
    static const char *const images[] = {"registry-1.docker.io", "production.cloudflare.docker.com",
                                         "ghcr.io", "registry.corp.example"};
    for (unsigned n = rng_count(d->r, 5); n > 0; n--)
        visit_add_archive(visit(d, PROGRAM_NPM, "registry.npmjs.org", 6000, 1, 3e6, "npm install"), 20, 0,
                          d->r);
    for (unsigned n = rng_count(d->r, 3); n > 0; n--)
        visit(d, PROGRAM_PIP, rng_chance(d->r, 0.5) ? "pypi.org" : "files.pythonhosted.org", 3000, 0.6, 2e6,
              "pip install");
    for (unsigned n = rng_count(d->r, 3); n > 0; n--)
        visit(d, PROGRAM_CARGO, crates[rng_below(d->r, 2)], 5000, 0.8, 4e6, "cargo build");
    for (unsigned n = rng_count(d->r, 4); n > 0; n--)
        visit(d, PROGRAM_GO, rng_chance(d->r, 0.7) ? "proxy.golang.org" : "sum.golang.org", 2000, 0.5, 900000,
              "go build");
    for (unsigned n = rng_count(d->r, 3); n > 0; n--)
        visit(d, PROGRAM_DOCKER, images[rng_zipf(d->r, 4)], 3000, 0.6, 5e7, "docker pull");
    if (rng_chance(d->r, 0.3))
        visit(d, PROGRAM_DOCKER, "registry.corp.example", 5e7, 1.2, 9000, "docker push");
}

static void edit(const struct day *d)
{
    static const char *const home[] = {"mobile.events.data.microsoft.com", "marketplace.visualstudio.com",
                                       "update.code.visualstudio.com", "api.github.com"};
    char name[NAME_BYTES];
    for (unsigned n = rng_count(d->r, 8); n > 0; n--)
        visit(d, PROGRAM_EDITOR, home[rng_zipf(d->r, 4)], 9000, 0.9, 20000, "an editor");
    if (rng_chance(d->r, 0.01)) { /* an extension that calls its maker */
        snprintf(name, sizeof name, "telemetry.ext%u.dev", rng_zipf(d->r, 3000));
        visit(d, PROGRAM_EDITOR, name, 3000, 0.7, 9000, "an editor's extension");
    }
}

/* Most of what is fetched by hand was read about in the browser a moment ago. */
static void fetch(const struct day *d)
{
    static const char *const known[] = {"github.com",
                                        "objects.githubusercontent.com",
                                        "raw.githubusercontent.com",
                                        "artifacts.corp.example",
                                        "download.docker.com",
                                        "get.helm.sh"};
    char name[NAME_BYTES];
    for (unsigned n = rng_count(d->r, 3); n > 0; n--)
        visit(d, PROGRAM_CURL, known[rng_zipf(d->r, 6)], 1200, 0.4, 3e6, "a download by hand");
    if (!rng_chance(d->r, 0.08))
        return;
    site_name(rng_chance(d->r, 0.5) ? rng_zipf(d->r, 20000) : 1000 + rng_below(d->r, 19000), name);
    struct visit *v = visit(d, PROGRAM_CURL, name, 1200, 0.4, 2e6, "a developer's download from a new place");
    double at_s = (double)v->at_ms / 1000;
    if (rng_chance(d->r, 0.8))
        browse(d->o, d->host, at_s - 120, name, rng_bytes(d->r, 4000, 1), rng_bytes(d->r, 80000, 1),
               "browsing", d->r);
}

static void use_cloud(const struct day *d)
{
    char name[NAME_BYTES];
    static const char *const control[] = {"sts.amazonaws.com", "ec2.eu-central-1.amazonaws.com",
                                          "s3.eu-central-1.amazonaws.com"};
    for (unsigned n = rng_count(d->r, 5); n > 0; n--) {
        struct visit *v =
            visit(d, PROGRAM_AWS, control[rng_below(d->r, 3)], 4000, 0.8, 9000, "a cloud's tool");
        v->sensitive_age_s = 0;
        v->sensitive = "cloud_credentials";
    }
    for (unsigned n = rng_count(d->r, 4); n > 0; n--) {
        struct visit *v = visit(d, PROGRAM_KUBECTL, "k8s.corp.example", 3000, 0.8, 30000, "kubectl");
        v->sensitive_age_s = 0;
        v->sensitive = "cloud_credentials";
    }
    if (rng_chance(d->r, 0.2)) {
        bool fresh = rng_chance(d->r, 0.02);
        snprintf(name, sizeof name, "acme-%u.s3.eu-central-1.amazonaws.com",
                 fresh ? 100 + rng_below(d->r, 900) : rng_zipf(d->r, 6));
        struct visit *v = visit(d, PROGRAM_AWS, name, 2e6, 1.6, 9000,
                                fresh ? "an upload into a new bucket" : "an upload into a bucket");
        v->sensitive_age_s = 0;
        v->sensitive = "cloud_credentials";
    }
}

static void try_out(const struct day *d)
{
    char name[NAME_BYTES];
    if (rng_chance(d->r, 0.01)) { /* a staging server that made its own certificate */
        bool named = rng_chance(d->r, 0.5);
        snprintf(name, sizeof name, named ? "test%u.staging-cloud.com" : "localhost%u.staging-cloud.com",
                 rng_below(d->r, 2000));
        browse(d->o, d->host, sometime(d), name, 4000, 50000,
               "a test server with a certificate of its own making", d->r);
        d->o->visits[d->o->count - 1].kind = VISIT_SELF_SIGNED;
    }
    if (rng_chance(d->r, 0.03)) { /* tests that use the network */
        struct visit *v =
            visit(d, PROGRAM_GO_TEST, "httpbin.org", 1500, 0.5, 3000, "a test that was just built");
        v->variant = (uint16_t)rng_below(d->r, 60000);
    }
}

void developer_make_day(struct office *o, unsigned host, struct rng *r, double from_s, double until_s)
{
    const struct day d = {o, r, host, from_s, until_s};
    use_git(&d);
    install_packages(&d);
    edit(&d);
    fetch(&d);
    use_cloud(&d);
    try_out(&d);
}
