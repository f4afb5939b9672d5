/* agent_packet_test.c: packets between the agent's two processes: what is written is read back, what is none is refused; and what the
 * answerer may ask of the kernel once it is confined. */
#include "agent/linux/confine.h"
#include "agent/packet.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static struct buf bytes;
static struct packet read_back;

static const struct packet asked = {.kind = PACKET_ASK,
                                    .link = 0x100000007,
                                    .u.ask = {.id = 7,
                                              .nonce = "0123456789abcdef",
                                              .client = {{4, {127, 0, 0, 1}}, 40000},
                                              .proxy = {{6, {[15] = 1}}, 3128},
                                              .full = true,
                                              .brief = true,
                                              .hash_wait_ms = 200,
                                              .age_ms = -1,
                                              .proxy_cookie = 8209}};

static void write_packet(const struct packet *p)
{
    buf_clear(&bytes);
    assert_int_equal(packet_write(&bytes, p), 0);
}

static void test_an_ask(void **state)
{
    (void)state;
    write_packet(&asked);
    assert_true(packet_read(buf_span(&bytes), &read_back));
    const struct agent_ask *a = &asked.u.ask, *b = &read_back.u.ask;
    assert_true(read_back.link == asked.link && b->id == 7 && b->full && b->brief && !b->watch);
    assert_string_equal(b->nonce, a->nonce);
    assert_true(ip_equal(&a->client.ip, &b->client.ip) && b->client.port == 40000);
    assert_true(ip_equal(&a->proxy.ip, &b->proxy.ip) && b->proxy.port == 3128);
    assert_true(b->hash_wait_ms == 200 && b->age_ms == -1 && b->proxy_cookie == 8209);
}

/* A proxy may say any number; reckoning with it must not overflow. */
static void test_an_age_is_bounded(void **state)
{
    (void)state;
    struct packet p = asked;
    p.u.ask.age_ms = INT64_MAX;
    write_packet(&p);
    assert_true(packet_read(buf_span(&bytes), &read_back));
    assert_true(read_back.u.ask.age_ms == INT32_MAX);
}

static void test_a_keep(void **state)
{
    (void)state;
    struct packet p = {.kind = PACKET_KEEP, .link = 7, .u.keep = {9, "0123456789abcdef", "4242.9.17", 3600}};
    write_packet(&p);
    assert_true(packet_read(buf_span(&bytes), &read_back));
    assert_true(read_back.u.keep.id == 9 && read_back.u.keep.seconds == 3600);
    assert_string_equal(read_back.u.keep.sender_ref, "4242.9.17");
    p.u.keep.seconds = AGENT_KEEP_SECONDS_MAX + 1;
    write_packet(&p);
    assert_false(packet_read(buf_span(&bytes), &read_back));
    p.u.keep.seconds = 1;
    memset(p.u.keep.sender_ref, 'x', sizeof p.u.keep.sender_ref); /* no end */
    write_packet(&p);
    assert_false(packet_read(buf_span(&bytes), &read_back));
}

static void test_what_is_no_packet(void **state)
{
    (void)state;
    write_packet(&asked);
    struct span whole = buf_span(&bytes);
    for (size_t len = 0; len < whole.len; len++)
        assert_false(packet_read(span_of(whole.data, len), &read_back));
    struct packet p = asked;
    memcpy(p.u.ask.nonce, "0123456789abcdeX", AGENT_NONCE_BYTES);
    write_packet(&p);
    assert_false(packet_read(buf_span(&bytes), &read_back));
    p = asked;
    p.u.ask.client.ip.version = 5;
    write_packet(&p);
    assert_false(packet_read(buf_span(&bytes), &read_back));
    p = (struct packet){.kind = PACKET_KINDS};
    write_packet(&p);
    assert_false(packet_read(buf_span(&bytes), &read_back));
    p = (struct packet){.kind = PACKET_LINES};
    write_packet(&p);
    assert_false(packet_read(buf_span(&bytes), &read_back));
}

/* The answerer may say any number: no more than there are places is taken. */
static void test_what_was_counted(void **state)
{
    struct packet p = {.kind = PACKET_COUNTED, .link = 3};
    (void)state;
    for (p.u.counted.count = 0; p.u.counted.count < PACKET_COUNTED_MAX; p.u.counted.count++)
        p.u.counted.items[p.u.counted.count] = (struct packet_count){p.u.counted.count, 8209};
    write_packet(&p);
    assert_true(packet_read(buf_span(&bytes), &read_back));
    assert_int_equal(read_back.u.counted.count, PACKET_COUNTED_MAX);
    assert_true(read_back.u.counted.items[PACKET_COUNTED_MAX - 1].serial == PACKET_COUNTED_MAX - 1);
    assert_true(read_back.u.counted.items[0].proxy_cookie == 8209);
    uint8_t more[PACKET_HEAD_BYTES + sizeof(uint64_t) + sizeof p.u.counted.items];
    assert_int_equal(buf_len(&bytes), sizeof more);
    memcpy(more, buf_span(&bytes).data, sizeof more);
    more[PACKET_HEAD_BYTES]++; /* the low byte on the machines we have */
    assert_false(packet_read(span_of(more, sizeof more), &read_back));
}

/* ---- confined ---- */

static void use_what_is_allowed(void)
{
    int ends[2];
    char byte = 'x';
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        confine_answerer() != 0)
        _exit(2);
    if (write(ends[0], &byte, 1) != 1 || read(ends[1], &byte, 1) != 1 || byte != 'x')
        _exit(3);
    if (open("/etc/passwd", O_RDONLY) >= 0)
        _exit(4);
    void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    _exit(memory == MAP_FAILED ? 5 : 0);
}

static void confine(void)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || confine_answerer() != 0)
        _exit(2);
}

static void make_socket(void)
{
    confine();
    socket(AF_INET, SOCK_STREAM, 0);
}

static void run_program(void)
{
    confine();
    execl("/bin/true", "true", (char *)NULL);
}

static void make_process(void)
{
    confine();
    fork();
}

static void make_executable_memory(void)
{
    confine();
    (void)mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static int end_of(void (*run)(void))
{
    int status = -1;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        run();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void test_confined(void **state)
{
    static void (*const forbidden[])(void) = {make_socket, run_program, make_process, make_executable_memory};
    (void)state;
    int fine = end_of(use_what_is_allowed);
    assert_true(WIFEXITED(fine));
    if (WEXITSTATUS(fine) == 2)
        skip(); /* this kernel has no filters */
    assert_int_equal(WEXITSTATUS(fine), 0);
    for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++) {
        int status = end_of(forbidden[i]);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGSYS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_ask),
        cmocka_unit_test(test_an_age_is_bounded),
        cmocka_unit_test(test_what_is_no_packet),
        cmocka_unit_test(test_what_was_counted),
        cmocka_unit_test(test_a_keep),
        cmocka_unit_test(test_confined),
    };
    buf_init(&bytes, PACKET_BYTES_MAX);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_free(&bytes);
    return failed;
}
