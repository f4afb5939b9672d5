/* bench_client.c: both ends of the benchmarks: a client that works through a proxy with threads of blocking sockets, and the
 * origin it goes to. Built and driven by run.py, which reads the proxies' CPU from /proc; nothing here measures.
 *
 *   bench_client serve PORT TLS_PORT CERT KEY        the origin; "ready" when it listens
 *   bench_client MODE PROXY_PORT PORT COUNT BYTES    16 threads, COUNT operations in all
 *     get        CONNECT, GET of BYTES, close         getls      the same with TLS in the tunnel
 *     put        CONNECT, POST of BYTES, close        puttls
 *     plain      GET in absolute form on kept connections; plain1: on one connection each
 *     requests   GETs on one open tunnel a thread
 *     idle       opens COUNT tunnels, prints "ready", holds them until EOF of stdin */
#define _GNU_SOURCE
#include <openssl/ssl.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { THREADS = 16, BLOCK_BYTES = 1 << 16, HEAD_BYTES = 4096, STACK_BYTES = 256 << 10 };

static char block[BLOCK_BYTES];

static void die(const char *what)
{
    fprintf(stderr, "bench_client: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* ---- one end of a connection, plain or TLS ---- */

struct end {
    int fd;
    SSL *ssl; /* owned; NULL: plain */
};

static ssize_t end_read(struct end *e, void *data, size_t size)
{
    if (!e->ssl)
        return recv(e->fd, data, size, 0);
    int n = SSL_read(e->ssl, data, (int)size);
    return n > 0 ? n : 0;
}

static bool end_write(struct end *e, const void *data, size_t len)
{
    for (const char *at = data; len > 0;) {
        ssize_t n = e->ssl ? SSL_write(e->ssl, at, (int)len) : send(e->fd, at, len, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        at += n;
        len -= (size_t)n;
    }
    return true;
}

static void end_close(struct end *e)
{
    if (e->ssl) {
        SSL_shutdown(e->ssl);
        SSL_free(e->ssl);
    }
    close(e->fd);
}

static bool end_write_bytes(struct end *e, size_t count)
{
    while (count > 0) {
        size_t n = count < sizeof block ? count : sizeof block;
        if (!end_write(e, block, n))
            return false;
        count -= n;
    }
    return true;
}

/* A head and what came behind it: *ret_extra bytes of a body. False at EOF. */
static bool end_read_head(struct end *e, char *head, size_t *ret_extra)
{
    size_t len = 0;
    for (;;) {
        ssize_t n = end_read(e, head + len, HEAD_BYTES - 1 - len);
        if (n <= 0)
            return false;
        len += (size_t)n;
        head[len] = '\0';
        char *end = strstr(head, "\r\n\r\n");
        if (end) {
            *ret_extra = len - (size_t)(end + 4 - head);
            return true;
        }
    }
}

static bool end_skip(struct end *e, size_t count)
{
    static __thread char sink[BLOCK_BYTES];
    while (count > 0) {
        ssize_t n = end_read(e, sink, count < sizeof sink ? count : sizeof sink);
        if (n <= 0)
            return false;
        count -= (size_t)n;
    }
    return true;
}

/* ---- the origin ---- */

static void serve_requests(struct end *e)
{
    char head[HEAD_BYTES], answer[256];
    size_t extra;
    while (end_read_head(e, head, &extra)) {
        size_t count = 0;
        const char *length = strcasestr(head, "\r\nContent-Length:");
        if (length && !end_skip(e, strtoul(length + 17, NULL, 10) - extra))
            return;
        if (strncmp(head, "GET /", 5) == 0)
            count = strtoul(head + 5, NULL, 10);
        bool close_it = strcasestr(head, "\r\nConnection: close") != NULL;
        int n = snprintf(answer, sizeof answer, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n%s\r\n", count,
                         close_it ? "Connection: close\r\n" : "");
        if (!end_write(e, answer, (size_t)n) || !end_write_bytes(e, count) || close_it)
            return;
    }
}

struct accepted {
    struct end end;
    SSL_CTX *tls; /* borrowed for the process' life */
};

static void *serve_one(void *take_accepted)
{
    struct accepted *a = take_accepted;
    if (a->tls) {
        a->end.ssl = SSL_new(a->tls);
        SSL_set_fd(a->end.ssl, a->end.fd);
    }
    if (!a->tls || SSL_accept(a->end.ssl) == 1)
        serve_requests(&a->end);
    end_close(&a->end);
    free(a);
    return NULL;
}

struct port {
    int fd;
    SSL_CTX *tls;
};

static void *serve_port(void *port)
{
    const struct port *p = port;
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    for (;;) {
        struct accepted *a = calloc(1, sizeof *a);
        if (!a)
            die("memory");
        a->end.fd = accept4(p->fd, NULL, NULL, SOCK_CLOEXEC);
        a->tls = p->tls;
        if (a->end.fd < 0)
            die("accept");
        setsockopt(a->end.fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        pthread_t thread;
        if (pthread_create(&thread, &attr, serve_one, a) != 0)
            die("thread");
    }
    return NULL;
}

static struct sockaddr_in loopback(const char *port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)atoi(port)),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int listen_on(const char *port)
{
    struct sockaddr_in at = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (bind(fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(fd, 4096) != 0)
        die("listen");
    return fd;
}

static int serve(char **argv)
{
    static struct port plain, tls;
    tls.tls = SSL_CTX_new(TLS_server_method());
    if (SSL_CTX_use_certificate_chain_file(tls.tls, argv[2]) != 1 ||
        SSL_CTX_use_PrivateKey_file(tls.tls, argv[3], SSL_FILETYPE_PEM) != 1)
        die("certificate");
    plain.fd = listen_on(argv[0]);
    tls.fd = listen_on(argv[1]);
    pthread_t thread;
    pthread_create(&thread, NULL, serve_port, &plain);
    puts("ready");
    fflush(stdout);
    serve_port(&tls);
    return 0;
}

/* ---- the client ---- */

static struct {
    const char *mode, *proxy, *port;
    long count;
    size_t bytes;
    bool tls;
    SSL_CTX *context;
    pthread_mutex_t lock;
} job = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool take_one(void)
{
    pthread_mutex_lock(&job.lock);
    bool more = job.count > 0;
    job.count--;
    pthread_mutex_unlock(&job.lock);
    return more;
}

static struct end connect_to_proxy(void)
{
    struct sockaddr_in at = loopback(job.proxy);
    struct end e = {.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (connect(e.fd, (struct sockaddr *)&at, sizeof at) != 0)
        die("connect");
    setsockopt(e.fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    return e;
}

static struct end open_tunnel(void)
{
    char head[HEAD_BYTES];
    size_t extra;
    struct end e = connect_to_proxy();
    int n = snprintf(head, sizeof head, "CONNECT 127.0.0.1:%s HTTP/1.1\r\nHost: 127.0.0.1:%s\r\n\r\n",
                     job.port, job.port);
    if (!end_write(&e, head, (size_t)n) || !end_read_head(&e, head, &extra) || !strstr(head, " 200 ")) {
        fprintf(stderr, "%s", head);
        die("CONNECT");
    }
    if (job.tls) {
        e.ssl = SSL_new(job.context);
        SSL_set_fd(e.ssl, e.fd);
        SSL_set_tlsext_host_name(e.ssl, "bench.exeat.test");
        if (SSL_connect(e.ssl) != 1)
            die("TLS");
    }
    return e;
}

/* One request and its whole answer. True: the connection serves another. */
static bool exchange(struct end *e, const char *prefix, bool put, bool last)
{
    char head[HEAD_BYTES];
    size_t extra = 0;
    int n = snprintf(head, sizeof head, "%s %s/%zu HTTP/1.1\r\nHost: 127.0.0.1:%s\r\n", put ? "POST" : "GET",
                     prefix, put ? 0 : job.bytes, job.port);
    if (put)
        n += snprintf(head + n, sizeof head - (size_t)n, "Content-Length: %zu\r\n", job.bytes);
    n += snprintf(head + n, sizeof head - (size_t)n, "%s\r\n", last ? "Connection: close\r\n" : "");
    if (!end_write(e, head, (size_t)n) || (put && !end_write_bytes(e, job.bytes)) ||
        !end_read_head(e, head, &extra) || !strstr(head, " 200 ") ||
        (!put && !end_skip(e, job.bytes - extra)))
        die("exchange");
    return !last && !strcasestr(head, "\r\nConnection: close") && !strstr(head, "HTTP/1.0");
}

static void *work(void *unused)
{
    (void)unused;
    char prefix[64] = "";
    bool put = strncmp(job.mode, "put", 3) == 0, plain = strncmp(job.mode, "plain", 5) == 0;
    bool kept = strcmp(job.mode, "plain") == 0 || strcmp(job.mode, "requests") == 0;
    struct end e = {.fd = -1};
    if (plain)
        snprintf(prefix, sizeof prefix, "http://127.0.0.1:%s", job.port);
    while (take_one()) {
        if (e.fd < 0)
            e = plain ? connect_to_proxy() : open_tunnel();
        if (!exchange(&e, prefix, put, !kept)) {
            end_close(&e);
            e = (struct end){.fd = -1};
        }
    }
    if (e.fd >= 0)
        end_close(&e);
    return NULL;
}

static int hold_idle(void)
{
    char byte;
    while (take_one()) {
        struct end e = open_tunnel();
        exchange(&e, "", false, false);
    }
    puts("ready");
    fflush(stdout);
    while (read(0, &byte, 1) > 0)
        ;
    return 0;
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    if (argc == 6 && strcmp(argv[1], "serve") == 0)
        return serve(argv + 2);
    if (argc != 6) {
        fputs("usage: see the top of bench_client.c\n", stderr);
        return 2;
    }
    job.mode = argv[1];
    job.proxy = argv[2];
    job.port = argv[3];
    job.count = atol(argv[4]);
    job.bytes = strtoul(argv[5], NULL, 10);
    job.tls = strcmp(job.mode, "getls") == 0 || strcmp(job.mode, "puttls") == 0;
    job.context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_session_cache_mode(job.context, SSL_SESS_CACHE_OFF);
    if (strcmp(job.mode, "idle") == 0)
        return hold_idle();
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, work, NULL);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    return 0;
}
