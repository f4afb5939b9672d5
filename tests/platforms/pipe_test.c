/* pipe_test.c: exeat-agent.exe answers for real sockets. Runs on Windows, or under wine (windows.sh): starts the agent, listens, has a
 * program of another process connect (this one again, as "client PORT FAMILY"), and asks over the pipe as a proxy does. Prints what the
 * answer says of the client's file, for windows.sh to compare.
 * A service of ours, made for the test and deleted again, connects, too.
 *   pipe_test.exe AGENT.exe */
#include <winsock2.h>
#include <ws2tcpip.h>
#include <windows.h>

#include <winsvc.h>

#include "base/json_read.h"
#include "wire/agent_message.h"

#include <stdio.h>
#include <stdlib.h>

enum { ANSWER_BYTES = 2 * AGENT_LINE_BYTES, VALUES_MAX = 4096, START_MS = 120000 };

static HANDLE pipe_handle;
static char answer[ANSWER_BYTES];
static struct json_value values[VALUES_MAX];
static struct json_text json;

#define check(e) ((e) ? (void)0 : fail(#e, __LINE__))

static void fail(const char *what, int line)
{
    printf("FAILED line %d: %s (error %lu)\n%s\n", line, what, GetLastError(), answer);
    fflush(stdout);
    exit(1);
}

/* ---- the client ---- */

static HANDLE start(char *command, bool inherits, DWORD *ret_pid)
{
    STARTUPINFOA info = {.cb = sizeof info};
    PROCESS_INFORMATION made;
    check(CreateProcessA(NULL, command, NULL, NULL, inherits, 0, NULL, NULL, &info, &made));
    CloseHandle(made.hThread);
    *ret_pid = made.dwProcessId;
    return made.hProcess;
}

/* Another program of ours holds it from here on, and this one ends. */
static void hand_over(SOCKET s)
{
    char self[MAX_PATH], command[MAX_PATH * 2];
    DWORD pid;
    check(GetModuleFileNameA(NULL, self, sizeof self) > 0);
    check(SetHandleInformation((HANDLE)s, HANDLE_FLAG_INHERIT, HANDLE_FLAG_INHERIT));
    snprintf(command, sizeof command, "\"%s\" holder %llu", self, (unsigned long long)s);
    CloseHandle(start(command, true, &pid));
}

static int run_client(const char *port, int family)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    char byte;
    v4.sin_port = v6.sin6_port = htons((u_short)atoi(port));
    v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    v6.sin6_addr = in6addr_loopback;
    LoadLibraryA("schannel.dll");
    SOCKET s = socket(family, SOCK_STREAM, 0);
    if (connect(s, family == AF_INET ? (void *)&v4 : (void *)&v6,
                family == AF_INET ? sizeof v4 : sizeof v6) != 0)
        return 1;
    send(s, "x", 1, 0);
    if (recv(s, &byte, 1, 0) == 1 && byte == 'h')
        hand_over(s);
    return 0;
}

/* Who got it: holds it until the other end closes. */
static int run_holder(const char *handle)
{
    SOCKET s = (SOCKET)_strtoui64(handle, NULL, 10);
    u_long waiting;
    char byte;
    ioctlsocket(s, FIONREAD,
                &waiting); /* wine knows whose a socket is once that process has used it itself */
    return recv(s, &byte, 1, 0) < 0;
}

/* ---- the client as a service ---- */

#define SERVICE "exeat_pipe_test"

static const char *service_port;
static SERVICE_STATUS service_status = {.dwServiceType = SERVICE_WIN32_OWN_PROCESS};

static void WINAPI on_control(DWORD what)
{
    (void)what;
}

static void WINAPI be_service(DWORD argc, char **argv)
{
    (void)argc, (void)argv;
    SERVICE_STATUS_HANDLE handle = RegisterServiceCtrlHandlerA(SERVICE, on_control);
    service_status.dwCurrentState = SERVICE_RUNNING;
    SetServiceStatus(handle, &service_status);
    run_client(service_port, AF_INET);
    service_status.dwCurrentState = SERVICE_STOPPED;
    SetServiceStatus(handle, &service_status);
}

static int run_service(const char *port)
{
    char name[] = SERVICE;
    const SERVICE_TABLE_ENTRYA table[] = {{name, be_service}, {NULL, NULL}};
    service_port = port;
    return !StartServiceCtrlDispatcherA(table);
}

/* ---- the proxy's end ---- */

static struct endpoint endpoint_of(const struct sockaddr_storage *a)
{
    const struct sockaddr_in *v4 = (const void *)a;
    const struct sockaddr_in6 *v6 = (const void *)a;
    if (a->ss_family == AF_INET)
        return (struct endpoint){ip_from_bytes((const uint8_t *)&v4->sin_addr, 4), ntohs(v4->sin_port)};
    return (struct endpoint){ip_from_bytes((const uint8_t *)&v6->sin6_addr, 16), ntohs(v6->sin6_port)};
}

static SOCKET listen_somewhere(int family, struct endpoint *ret)
{
    struct sockaddr_storage a = {.ss_family = (short)family};
    struct sockaddr_in *v4 = (void *)&a;
    struct sockaddr_in6 *v6 = (void *)&a;
    int len = family == AF_INET ? (int)sizeof *v4 : (int)sizeof *v6;
    if (family == AF_INET)
        v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    else
        v6->sin6_addr = in6addr_loopback;
    u_long waiting;
    SOCKET s = socket(family, SOCK_STREAM, 0);
    if (s == INVALID_SOCKET || bind(s, (struct sockaddr *)&a, len) != 0)
        return INVALID_SOCKET; /* a host without IPv6 */
    check(listen(s, 4) == 0);
    ioctlsocket(s, FIONREAD,
                &waiting); /* wine knows whose a socket is once that process has used it itself */
    check(getsockname(s, (struct sockaddr *)&a, &len) == 0);
    *ret = endpoint_of(&a);
    return s;
}

/* A line from the agent, as JSON. */
static void read_line(void)
{
    size_t len = 0;
    DWORD n;
    do {
        check(len + 1 < sizeof answer && ReadFile(pipe_handle, answer + len, 1, &n, NULL) && n == 1);
    } while (answer[len++] != '\n');
    answer[len] = '\0';
    check(json_read(span_of(answer, len), values, VALUES_MAX, &json));
}

static void write_out(struct buf *text)
{
    DWORD n;
    check(WriteFile(pipe_handle, buf_span(text).data, (DWORD)buf_len(text), &n, NULL) && n == buf_len(text));
    buf_clear(text);
}

static void connect_to_agent(const char *name, const struct endpoint *proxy)
{
    static struct agent_hello hello = {.program = "exeatd", .proxy_count = 1};
    struct buf text;
    ULONGLONG begun_ms = GetTickCount64();
    if (!pipe_handle) {
        while ((pipe_handle = CreateFileA(name, GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_EXISTING, 0,
                                          NULL)) == INVALID_HANDLE_VALUE) {
            check(GetTickCount64() - begun_ms < START_MS);
            Sleep(20);
        }
        read_line();
        check(strstr(answer, "\"owner\":\"snapshot\"") && strstr(answer, "\"platform\":\"windows\""));
        check(strstr(answer, "\"not_observable\":[\"exec_archiver\""));
    }
    buf_init(&text, AGENT_LINE_BYTES);
    hello.proxies[0] = *proxy;
    check(agent_hello_write(&text, &hello) == 0);
    write_out(&text);
    buf_free(&text);
}

static uint64_t last_id;
static bool watch; /* goes along with asks */

static const char *text_of(const struct json_value *of, const char *key)
{
    static char text[AGENT_PATH_BYTES];
    return json_read_str(&json, json_member(&json, of, key), text, sizeof text) ? text : "";
}

static void ask(const struct endpoint *client, const struct endpoint *proxy)
{
    struct buf text;
    struct agent_ask a = {.id = ++last_id,
                          .watch = watch,
                          .nonce = "0123456789abcdef",
                          .client = *client,
                          .proxy = *proxy,
                          .want_hash = true,
                          .hash_wait_ms = AGENT_HASH_WAIT_MAX_MS,
                          .age_ms = -1};
    buf_init(&text, AGENT_LINE_BYTES);
    check(agent_ask_write(&text, &a) == 0);
    write_out(&text);
    buf_free(&text);
    do
        read_line();
    while (strcmp(text_of(values, "type"), "changed") == 0); /* of one that is watched */
}

/* Until the hash of a sender is there: a slow host may need more than one ask's wait. */
static void ask_until_hashed(const struct endpoint *client, const struct endpoint *proxy)
{
    ULONGLONG begun_ms = GetTickCount64();
    do {
        ask(client, proxy);
        check(GetTickCount64() - begun_ms < START_MS);
    } while (strcmp(text_of(values, "confidence"), "exact") == 0 &&
             !strstr(answer, "\"hash_state\":\"done\""));
}

static int64_t number_of(const struct json_value *of, const char *key)
{
    int64_t n = -1;
    json_read_int(&json, json_member(&json, of, key), &n);
    return n;
}

static void check_sender(DWORD pid, bool is_first)
{
    check(strcmp(text_of(values, "confidence"), "exact") == 0);
    check(strcmp(text_of(values, "basis"), "connect") == 0);
    const struct json_value *s = json_member(&json, values, "sender");
    if (!s && !is_first)
        return;
    check(number_of(s, "pid") == (int64_t)pid);
    check(strcmp(text_of(s, "name"), "pipe_test.exe") == 0);
    check(strchr(text_of(s, "user"), '\\'));
    const struct json_value *parent = json_first(&json, json_member(&json, s, "parents"));
    check(number_of(parent, "pid") == (int64_t)GetCurrentProcessId());
    check(strstr(answer, "\"client\""));   /* an argument */
    check(strstr(answer, "\"schannel\"")); /* a library that it loaded */
    check(strstr(answer, "\"not_observable\":[\"exec_archiver\""));
    check(strcmp(text_of(s, "hash_state"), "done") == 0);
    check(strstr(answer, "\"signature\":null")); /* nobody signed it */
    check(strstr(answer, "\"unit\":null"));      /* no service */
    printf("executable %s\n", text_of(s, "executable"));
    printf("sha256 %s\n", text_of(s, "sha256"));
}

/* Its owner gives it to another process and ends: told unasked. `pid`: the owner's. */
static void try_watch(SOCKET s, const struct endpoint *client, const struct endpoint *proxy, DWORD pid)
{
    struct buf text;
    watch = true;
    ask(client, proxy);
    watch = false;
    check(json_is_yes(json_member(&json, values, "watched")));
    check(send(s, "h", 1, 0) == 1);
    bool another, handed;
    do { /* what else changed is said, too */
        read_line();
        check(strcmp(text_of(values, "type"), "changed") == 0);
        another = strcmp(text_of(values, "confidence"), "exact") == 0 &&
                  atoi(text_of(values, "sender_ref")) != (int)pid;
        handed = strcmp(text_of(values, "reason"), "handed_over") == 0;
    } while (!another && !handed);
    printf("watched: %s\n", handed ? "its maker ended, and it lives" : "another process has it now");
    buf_init(&text, AGENT_LINE_BYTES);
    check(agent_done_write(&text, last_id) == 0);
    write_out(&text);
    buf_free(&text);
}

/* One real connection: attributed while the client lives, not once it has gone. */
static bool try_family(const char *self, const char *pipe_name, int family)
{
    struct endpoint proxy, elsewhere, client;
    struct sockaddr_storage from;
    int len = sizeof from;
    char command[MAX_PATH * 2], byte;
    DWORD pid;
    SOCKET listener = listen_somewhere(family, &proxy);
    if (listener == INVALID_SOCKET)
        return false;
    SOCKET other = listen_somewhere(family, &elsewhere);
    snprintf(command, sizeof command, "\"%s\" client %u %d", self, proxy.port, family);
    HANDLE process = start(command, false, &pid);
    SOCKET s = accept(listener, (struct sockaddr *)&from, &len);
    check(s != INVALID_SOCKET && recv(s, &byte, 1, 0) == 1);
    client = endpoint_of(&from);
    connect_to_agent(pipe_name, &proxy);
    ask_until_hashed(&client, &proxy);
    bool known = family == AF_INET || strcmp(text_of(values, "confidence"), "unknown") != 0;
    if (known)
        check_sender(pid, true);
    ask(&client, &proxy);
    if (known)
        check_sender(pid, false);
    else
        puts("IPv6: the table has no owners here, as wine's"); /* and the answer says so */
    ask(&client, &elsewhere);
    check(strcmp(text_of(values, "confidence"), "unknown") == 0);
    check(strcmp(text_of(values, "reason"), "not_ours") == 0);
    struct endpoint nobody = client;
    nobody.port = elsewhere.port;
    ask(&nobody, &proxy);
    check(strcmp(text_of(values, "reason"), known ? "no_such_socket" : "not_ours") == 0);
    if (known)
        try_watch(s, &client, &proxy, pid);
    closesocket(s);
    check(WaitForSingleObject(process, START_MS) == WAIT_OBJECT_0);
    CloseHandle(process);
    ask(&client, &proxy);
    check(strcmp(text_of(values, "confidence"), "unknown") == 0);
    closesocket(listener);
    closesocket(other);
    return true;
}

/* A service's connection says which service that is. */
static void try_service(const char *self, const char *pipe_name)
{
    struct endpoint proxy, client;
    struct sockaddr_storage from;
    int len = sizeof from;
    char command[MAX_PATH * 2], byte;
    SOCKET listener = listen_somewhere(AF_INET, &proxy);
    snprintf(command, sizeof command, "\"%s\" service %u", self, proxy.port);
    SC_HANDLE manager = OpenSCManagerA(NULL, NULL, SC_MANAGER_CREATE_SERVICE);
    SC_HANDLE service =
        CreateServiceA(manager, SERVICE, SERVICE, SERVICE_ALL_ACCESS, SERVICE_WIN32_OWN_PROCESS,
                       SERVICE_DEMAND_START, SERVICE_ERROR_IGNORE, command, NULL, NULL, NULL, NULL, NULL);
    check(service && StartServiceA(service, 0, NULL));
    SOCKET s = accept(listener, (struct sockaddr *)&from, &len);
    check(s != INVALID_SOCKET && recv(s, &byte, 1, 0) == 1);
    client = endpoint_of(&from);
    connect_to_agent(pipe_name, &proxy);
    ask_until_hashed(&client, &proxy);
    check(strcmp(text_of(json_member(&json, values, "sender"), "unit"), "windows/" SERVICE) == 0);
    puts("a service: windows/" SERVICE);
    closesocket(s);
    closesocket(listener);
    check(DeleteService(service));
    CloseServiceHandle(service);
    CloseServiceHandle(manager);
}

int main(int argc, char **argv)
{
    WSADATA ignored;
    char pipe_name[64], command[MAX_PATH * 2];
    DWORD pid;
    setvbuf(stdout, NULL, _IONBF, 0);
    if (WSAStartup(MAKEWORD(2, 2), &ignored) != 0)
        return 1;
    if (argc == 4 && strcmp(argv[1], "client") == 0)
        return run_client(argv[2], atoi(argv[3]));
    if (argc == 3 && strcmp(argv[1], "service") == 0)
        return run_service(argv[2]);
    if (argc == 3 && strcmp(argv[1], "holder") == 0)
        return run_holder(argv[2]);
    if (argc != 2)
        return 2;
    snprintf(pipe_name, sizeof pipe_name, "\\\\.\\pipe\\exeat-test-%lu", GetCurrentProcessId());
    snprintf(command, sizeof command, "\"%s\" --pipe %s", argv[1], pipe_name);
    HANDLE agent = start(command, false, &pid);
    check(try_family(argv[0], pipe_name, AF_INET));
    if (!try_family(argv[0], pipe_name, AF_INET6))
        puts("no IPv6 here");
    char self[MAX_PATH];
    check(GetModuleFileNameA(NULL, self, sizeof self) > 0);
    try_service(self, pipe_name);
    TerminateProcess(agent, 0);
    puts("passed");
    return 0;
}
