/* The load generator of the benchmarks: one thread, epoll, OpenSSL, TLS 1.3.
 *
 * Rules: it must not be the limit, so it keeps no object a message and reports its own CPU time beside the
 * server's; every message, notification and item has its own body and ID, and the ID in its 273 must be that one; any
 * reply of 4xx or 7xx, and an operation that is never answered, ends the run with an error, so a number is only ever
 * printed for work that was done; what is measured lies between two instants of steady load; what was acknowledged in
 * all, before and after them too, is told as finished, and what came to who watches must be as much.
 *
 *     load --port 1026 --domain bench.test --h HEX [--pid SERVER] [--warmup S] [--seconds S] --group ROLE[,key=value]...
 *
 * A group is a number of connections that do the same. Keys: conns, depth (operations outstanding on each
 * connection), user (local part; %d is the connection's number), size (octets of a body), to (how many mailboxes
 * u0, u1, ... it delivers to), count (operations after which the group is done), args (what follows the command), rate
 * (operations a second that are begun by the clock, whether or not those before are answered; their time runs from when
 * they were due; for deliver).
 *
 *     deliver   DELIVER with its octets behind it, or with parts=1 DELIVER, DATA, DONE in one write; with depth > 1 in
 *               pipelines of their own, or, with chained=1, all in one
 *     noop      NOOP
 *     fetch     MBOX FETCH of one message, chosen at random among those of the user's INBOX
 *     range     MBOX FETCH of the whole INBOX, over and over; items are messages
 *     unread    the same without -READ; before each, MBOX FLAG takes READ away, which is not measured
 *     index     MBOX INDEX of the whole INBOX; items are rows
 *     login     a fresh TLS session, SCRAM-SHA-256-PLUS, close, over and over
 *     idle      logs in, then does nothing; args=WATCH: watches. Says READY, and ends with its standard input
 *     push      PUSH of size octets to u0, with the time in its title; depth: how many of them stand and are not dismissed yet
 *     notified  watches and dismisses each notification, in depth pipelines; operations are those that came, timed from
 *               their PUSH
 *     publish   PUBLISH args (a node) with the time in its title; with paced=N the next when all have the N-th last
 *     watch     subscribes to args (a node) and watches; operations are items that came, timed from their publishing
 *     count     logs in, asks MBOX CHECK of INBOX, closes, once; items are the messages that lie there
 *     big       one message to itself, then the same message back; items are octets
 *
 * --bare: the peer is bench/yardstick.py: no greeting, no log-in. Result: one JSON object on standard output.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { POOL = 1 << 20, READ = 256 << 10, CHUNK = 128 << 10, LINE = 32 << 10, MAX_DEPTH = 4096, READS = 16, BUCKETS = 64 * 40 };
enum role { DELIVER, NOOP, FETCH, RANGE, UNREAD, INDEX, LOGIN, IDLE, PUBLISH, WATCH, PUSH, NOTIFIED, COUNT, BIG };
static const char *const ROLES[] = {"deliver", "noop", "fetch", "range", "unread", "index", "login", "idle", "publish", "watch",
                                    "push", "notified", "count", "big"};
enum phase { WAITING, SHAKING, GREETED, CHALLENGED, COLLECTING, SETTLING, READY, RUNNING, CLOSED };

struct group {
    enum role role;
    int conns, depth, to, chained, parts, paced, finished;
    long size, count, issued, ops, items, busy_us, rate;
    int64_t due_ns;     /* the next operation, where there is a rate */
    struct slot *free;  /* a ring of those that may begin one */
    long freed, taken;
    char user[64], args[256];
    long in_us, out_us; /* big */
    char (*ids)[37];
    int n_ids;
    uint32_t histogram[BUCKETS];
    long max_us;
};

struct slot {
    struct conn *conn;
    int number;
};

struct conn {
    struct group *group;
    SSL *ssl;
    int fd, number;
    enum phase phase;
    uint32_t armed;
    char *out;
    size_t out_at, out_len, out_room;
    char *line; /* the beginning of a line whose end has not come */
    size_t line_len;
    long skip;   /* octets of a block, and the LF behind them */
    long stream; /* octets of a big body still to be said */
    int resetting, outstanding, first, again;
    int64_t *began;   /* by slot (pipelines), or a ring where replies come in order */
    char (*id)[37];   /* of what was sent, likewise */
    char nonce[33], bare[160];
};

static const char *domain = "bench.test";
static int port, bare, server_pid, limit_opening = 64;
static double warmup = 0.5, seconds = 2;
static unsigned char h[32], client_key[32], stored_key[32], server_key[32];
static char pool[POOL + (1 << 20)];
static SSL_CTX *context;
static int poller, opening;
static struct group groups[8];
static int n_groups;
static struct conn *conns;
static int n_conns, n_ready, next_waiting;
static struct conn **again; /* with octets that OpenSSL has and epoll does not know of */
static int n_again;
static int started, measuring, stopping;
static long standing; /* pushed and not dismissed yet */
static long pushed, shown; /* notifications, and those that came to who watches */
static int showing;
static long owed, delivered, watchers; /* items to those who watch */
static uint64_t seed_a, seed_b;

static _Noreturn void die(const char *format, ...) {
    va_list args;
    va_start(args, format);
    fputs("load: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    exit(2);
}

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t now_us(void) { return now_ns() / 1000; }

static uint64_t rnd(void) { /* xorshift128+ */
    uint64_t a = seed_a, b = seed_b;
    seed_a = b;
    a ^= a << 23;
    seed_b = a ^ b ^ (a >> 17) ^ (b >> 26);
    return seed_b + b;
}

static void uuid7(char *to) {
    static const char digits[] = "0123456789abcdef";
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    uint64_t high = ((uint64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000) << 16 | 0x7000 | (rnd() & 0xfff);
    uint64_t low = (rnd() & ~(3ull << 62)) | 2ull << 62;
    int at = 0;
    for (int i = 0; i < 32; i++) {
        if (i == 8 || i == 12 || i == 16 || i == 20) to[at++] = '-';
        to[at++] = digits[(i < 16 ? high >> (60 - 4 * i) : low >> (60 - 4 * (i - 16))) & 15];
    }
    to[at] = 0;
}

/* --- latencies: 64 steps in each power of two, in microseconds */

static void took(struct group *g, int64_t us) {
    if (us < 0) us = 0;
    if (us > g->max_us) g->max_us = us;
    int power = 63 - __builtin_clzll((uint64_t)us | 63);
    int at = (power - 5) * 64 + (int)((us >> (power - 5)) & 63);
    g->histogram[at < BUCKETS ? at : BUCKETS - 1]++;
}

static double percentile(const struct group *g, double share) {
    uint64_t all = 0, seen = 0;
    for (int i = 0; i < BUCKETS; i++) all += g->histogram[i];
    for (int i = 0; i < BUCKETS; i++) {
        seen += g->histogram[i];
        if (all && seen >= share * (double)all) return (double)((int64_t)(i % 64) << (i / 64));
    }
    return 0;
}

/* --- saying */

static void room(struct conn *c, size_t more) {
    if (c->out_at == c->out_len) c->out_at = c->out_len = 0;
    if (c->out_len + more <= c->out_room) return;
    memmove(c->out, c->out + c->out_at, c->out_len - c->out_at);
    c->out_len -= c->out_at;
    c->out_at = 0;
    if (c->out_len + more > c->out_room) {
        c->out_room = (c->out_len + more) * 2;
        if (!(c->out = realloc(c->out, c->out_room))) die("out of memory");
    }
}

static void say_octets(struct conn *c, const char *octets, size_t length) {
    room(c, length);
    memcpy(c->out + c->out_len, octets, length);
    c->out_len += length;
}

static void say(struct conn *c, const char *format, ...) {
    char text[4096];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    say_octets(c, text, (size_t)length);
}

static void arm(struct conn *c, uint32_t events) {
    if (c->armed == events) return;
    struct epoll_event event = {.events = events, .data.ptr = c};
    epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &event);
    c->armed = events;
}

static void lost(struct conn *c) {
    unsigned long error = ERR_get_error();
    die("%s: the server closed connection %d in phase %d (%s)", ROLES[c->group->role], c->number, c->phase,
        error ? ERR_error_string(error, NULL) : strerror(errno));
}

static void flush(struct conn *c) {
    for (;;) {
        if (c->out_at == c->out_len && c->stream) {
            long more = c->stream < CHUNK ? c->stream : CHUNK;
            say_octets(c, pool + rnd() % POOL, (size_t)more);
            if (!(c->stream -= more)) say(c, "DONE\n");
        }
        if (c->out_at == c->out_len) break;
        int done = SSL_write(c->ssl, c->out + c->out_at, (int)(c->out_len - c->out_at));
        if (done <= 0) {
            int why = SSL_get_error(c->ssl, done);
            if (why != SSL_ERROR_WANT_WRITE && why != SSL_ERROR_WANT_READ) lost(c);
            arm(c, EPOLLIN | EPOLLOUT);
            return;
        }
        c->out_at += (size_t)done;
    }
    arm(c, EPOLLIN);
}

/* --- operations */

static void say_own(struct conn *c, const char *id) { /* a body that no other message has */
    size_t size = (size_t)c->group->size;
    room(c, size);
    char *body = c->out + c->out_len;
    memcpy(body, pool + rnd() % POOL, size);
    memcpy(body, id, size < 36 ? size : 36);
    c->out_len += size;
}

static void issue_deliver(struct conn *c, int slot) {
    struct group *g = c->group;
    char as[16] = "", *id = c->id[slot];
    uuid7(id);
    if (g->depth > 1 && !g->chained) snprintf(as, sizeof as, "AS p%d ", slot);
    say(c, "%sDELIVER TO u%d@%s SUBJECT \"Minutes %ld\" ID %s", as, (int)(rnd() % (uint64_t)g->to), domain, g->issued, id);
    if (g->parts) say(c, "\n%sDATA body", as);
    say(c, " LENGTH %ld%s\n", g->size, g->parts ? " +CONTENT" : "");
    say_own(c, id);
    if (g->parts) say(c, "%sDONE\n", as);
}

static void issue_push(struct conn *c, int slot) {
    struct group *g = c->group;
    char as[16] = "";
    if (g->depth > 1) snprintf(as, sizeof as, "AS p%d ", slot);
    uuid7(c->id[slot]);
    say(c, "%sPUSH TO u0@%s TITLE t%lld ID %s LENGTH %ld\n", as, domain, (long long)now_us(), c->id[slot], g->size);
    say_own(c, c->id[slot]);
    standing++;
    pushed++;
}

static void issue_publish(struct conn *c, int slot) {
    struct group *g = c->group;
    char as[16] = "";
    if (g->depth > 1) snprintf(as, sizeof as, "AS p%d ", slot);
    uuid7(c->id[slot]);
    say(c, "%sPUBLISH %s TITLE t%lld ID %s LENGTH %ld\n", as, g->args, (long long)now_us(), c->id[slot], g->size);
    say_own(c, c->id[slot]);
    owed += watchers;
}

static void issue(struct conn *c, int slot) {
    struct group *g = c->group;
    if (stopping || (g->count && g->issued >= g->count)) return;
    g->issued++;
    c->outstanding++;
    c->began[slot] = now_us();
    switch (g->role) {
    case DELIVER: issue_deliver(c, slot); break;
    case PUSH: issue_push(c, slot); break;
    case NOOP: say_octets(c, "NOOP\n", 5); break;
    case PUBLISH: issue_publish(c, slot); break;
    case FETCH: say(c, "FETCH /INBOX#%s %s\n", g->ids[rnd() % (uint64_t)g->n_ids], g->args); break;
    case RANGE:
    case UNREAD: say(c, "FETCH /INBOX::* %s\n", g->args); break;
    case INDEX: say(c, "MBOX INDEX /INBOX %s\n", g->args); break;
    case BIG:
        say(c, "DELIVER TO %s@%s\nDATA body TYPE application/octet-stream LENGTH %ld +CONTENT\n", g->user, domain, g->size);
        c->stream = g->size;
        break;
    default: break;
    }
}

static void fill(struct conn *c) { /* the first operations of a connection */
    c->phase = RUNNING;
    if (c->group->role == PUSH) c->began[0] = 0; /* each slot is free */
    switch (c->group->role) {
    case IDLE: case LOGIN: case WATCH: case PUSH: case NOTIFIED: return;
    default: break;
    }
    for (int slot = 0; slot < c->group->depth; slot++) {
        if (c->group->rate) c->group->free[c->group->freed++] = (struct slot){c, slot};
        else issue(c, slot);
    }
    flush(c);
}

static void keep_rate(struct group *g, int64_t now_ns) { /* begin what is due, as far as there is a slot for it */
    long slots = (long)g->conns * g->depth;
    if (!g->due_ns) g->due_ns = now_ns;
    for (; !stopping && g->due_ns <= now_ns && g->taken < g->freed; g->due_ns += 1000000000L / g->rate) {
        struct slot *slot = &g->free[g->taken++ % slots];
        issue(slot->conn, slot->number);
        slot->conn->began[slot->number] = g->due_ns / 1000;
        flush(slot->conn);
    }
}

static void answered(struct conn *c, int slot) { /* one operation is done: the next */
    struct group *g = c->group;
    int ring = slot < 0;
    if (ring) {
        slot = c->first;
        c->first = (c->first + 1) % g->depth;
    }
    c->outstanding--;
    int64_t us = now_us() - c->began[slot];
    g->finished++;
    if (measuring) {
        g->ops++;
        g->busy_us += us;
        took(g, us);
    }
    if (g->role == PUSH) c->began[slot] = 0;
    else if (g->rate) g->free[g->freed++ % ((long)g->conns * g->depth)] = (struct slot){c, slot};
    else if (!g->paced) issue(c, slot);
}

static void acknowledged(struct conn *c, int slot, const char *line, size_t length) { /* 273: of what was sent */
    const char *id = c->id[slot < 0 ? c->first : slot];
    if (length < 40 || memcmp(line + 4, id, 36)) die("%s: sent %s, and the server said: %.*s", ROLES[c->group->role], id, (int)length, line);
    answered(c, slot);
}

static void came(struct group *g, const char *line, size_t length) { /* an item, to one who watches */
    const char *at = memmem(line, length, "\"title\":\"t", 10);
    if (!at) return;
    delivered++;
    if (measuring) {
        g->ops++;
        took(g, now_us() - atoll(at + 10));
    }
}

static void push_more(struct conn *c) { /* as many as may stand */
    struct group *g = c->group;
    if (g->role != PUSH || c->phase != RUNNING) return;
    for (int slot = 0; slot < g->depth && standing < g->depth; slot++)
        if (!c->began[slot]) issue(c, slot);
    flush(c);
}

static void notified(struct conn *c, const char *line, size_t length) { /* time it, and make room */
    struct group *g = c->group;
    const char *at = memmem(line, length, "\"title\":\"t", 10), *id = memmem(line, length, "\"id\":\"", 6);
    if (!at || !id) return;
    shown++;
    if (measuring) {
        g->ops++;
        took(g, now_us() - atoll(at + 10));
    }
    if (g->depth > 1) say(c, "AS p%ld ", g->issued++ % g->depth);
    say(c, "PUSH DISMISS %.36s\n", id + 6);
}

/* --- log-in: RFC 5802, RFC 7677, tls-server-end-point */

static void hmac(const unsigned char *key, const void *text, size_t length, unsigned char *to) {
    HMAC(EVP_sha256(), key, 32, text, length, to, NULL);
}

static void base64(const void *octets, size_t length, char *to) { EVP_EncodeBlock((unsigned char *)to, octets, (int)length); }

static void unbase64(const char *text, size_t length, char *to, size_t *size) {
    int got = EVP_DecodeBlock((unsigned char *)to, (const unsigned char *)text, (int)length);
    if (got < 0) die("bad base64 in a SCRAM message");
    while (length && text[length - 1] == '=') length--, got--;
    *size = (size_t)got;
    to[got] = 0;
}

static void user_of(struct conn *c, char *to, size_t size) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(to, size, c->group->user, c->number);
#pragma GCC diagnostic pop
}

static void begin_login(struct conn *c) {
    char user[80], first[256], encoded[400];
    unsigned char octets[16];
    user_of(c, user, sizeof user);
    for (int i = 0; i < 2; i++) {
        uint64_t half = rnd();
        memcpy(octets + 8 * i, &half, 8);
    }
    base64(octets, 16, c->nonce);
    snprintf(c->bare, sizeof c->bare, "n=%s@%s,r=%s", user, domain, c->nonce);
    int length = snprintf(first, sizeof first, "p=tls-server-end-point,,%s", c->bare);
    base64(first, (size_t)length, encoded);
    say(c, "AUTH SCRAM-SHA-256-PLUS %s bench\n", encoded);
    c->phase = GREETED;
}

static void answer_challenge(struct conn *c, const char *text, size_t length) {
    char server_first[1024], binding[128], bound[200], message[2048], final[2400], encoded[3400], proof64[64];
    unsigned char signature[32], digest[EVP_MAX_MD_SIZE];
    unsigned int digest_length = 0;
    size_t size;
    if (length > 1200) die("a challenge of %zu octets", length);
    unbase64(text, length, server_first, &size);
    char *end = strchr(server_first, ',');
    if (strncmp(server_first, "r=", 2) || !end || strncmp(server_first + 2, c->nonce, strlen(c->nonce))) die("a foreign nonce");
    X509 *certificate = SSL_get1_peer_certificate(c->ssl);
    X509_digest(certificate, EVP_sha256(), digest, &digest_length);
    X509_free(certificate);
    int at = snprintf(binding, sizeof binding, "p=tls-server-end-point,,");
    memcpy(binding + at, digest, digest_length);
    base64(binding, (size_t)at + digest_length, bound);
    at = snprintf(final, sizeof final, "c=%s,%.*s", bound, (int)(end - server_first), server_first);
    int all = snprintf(message, sizeof message, "%s,%s,%s", c->bare, server_first, final);
    hmac(stored_key, message, (size_t)all, signature);
    for (int i = 0; i < 32; i++) signature[i] ^= client_key[i];
    base64(signature, 32, proof64);
    at += snprintf(final + at, sizeof final - (size_t)at, ",p=%s", proof64);
    base64(final, (size_t)at, encoded);
    say(c, "AUTH RESPONSE %s\n", encoded);
    hmac(server_key, message, (size_t)all, signature);
    base64(signature, 32, c->bare); /* what the server has to prove */
    c->phase = CHALLENGED;
}

static void check_proof(struct conn *c, const char *line, size_t length) {
    char text[256], expected[200];
    size_t size;
    const char *at = memmem(line, length, " v=", 3);
    if (!at) die("no proof of the server in: %.*s", (int)length, line);
    at += 3;
    const char *end = memchr(at, ' ', (size_t)(line + length - at));
    size_t word = (size_t)((end ? end : line + length) - at);
    if (*at == '"') at++, word -= 2;
    if (word > 200) die("a proof of %zu octets", word);
    unbase64(at, word, text, &size);
    snprintf(expected, sizeof expected, "v=%s", c->bare);
    if (strcmp(text, expected)) die("the server did not prove itself");
}

/* --- connections */

static void mark_ready(struct conn *c) {
    c->phase = READY;
    n_ready++;
    if (started) fill(c);
}

static void logged_in(struct conn *c) {
    struct group *g = c->group;
    opening--;
    if (g->role == FETCH && !g->ids) {
        if (!(g->ids = calloc(100000, 37))) die("out of memory");
        if (bare) {
            for (g->n_ids = 0; g->n_ids < 10000; g->n_ids++) uuid7(g->ids[g->n_ids]);
        } else {
            say(c, "MBOX INDEX /INBOX +JSON\n");
            c->phase = COLLECTING;
            return;
        }
    }
    if (g->role == WATCH) {
        say(c, "SUBSCRIBE TO %s\n", g->args);
        c->phase = SETTLING;
        return;
    }
    if (g->role == COUNT) {
        say(c, "MBOX CHECK /INBOX\n");
        c->phase = SETTLING;
        return;
    }
    if (g->role == NOTIFIED) snprintf(g->args, sizeof g->args, "WATCH");
    if ((g->role == IDLE || g->role == NOTIFIED) && *g->args) {
        say(c, "AS w %s\n", g->args);
        c->phase = SETTLING;
        return;
    }
    mark_ready(c);
}

static void open_connection(struct conn *c) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int yes = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) die("socket: %s", strerror(errno));
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (connect(c->fd, (struct sockaddr *)&address, sizeof address) && errno != EINPROGRESS) die("connect: %s", strerror(errno));
    c->ssl = SSL_new(context);
    SSL_set_fd(c->ssl, c->fd);
    SSL_set_tlsext_host_name(c->ssl, domain);
    SSL_set_connect_state(c->ssl);
    c->phase = SHAKING;
    c->began[0] = now_us();
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
    c->armed = event.events;
    epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &event);
    opening++;
}

static void hang_up(struct conn *c) {
    SSL_shutdown(c->ssl);
    SSL_free(c->ssl);
    close(c->fd);
    c->ssl = NULL;
    c->phase = CLOSED;
    c->line_len = 0;
    c->skip = 0;
    c->out_at = c->out_len = 0;
}

static void open_more(void) {
    while (next_waiting < n_conns && opening < limit_opening) open_connection(&conns[next_waiting++]);
}

/* --- hearing */

static void collect(struct group *g, const char *line, size_t length) {
    const char *at = memmem(line, length, "\"id\":\"", 6);
    if (at && g->ids && g->n_ids < 100000) memcpy(g->ids[g->n_ids++], at + 6, 36);
}

static void big_line(struct conn *c, int code, int dash, const char *line, size_t length) {
    struct group *g = c->group;
    int64_t now = now_us();
    if (code == 273 && !dash) {
        g->in_us = now - c->began[0];
        if (!g->ids) g->ids = calloc(100000, 37);
        g->n_ids = 0;
        say(c, "MBOX INDEX /INBOX LIMIT 1 +JSON\n");
    } else if (code == 250 && dash) {
        collect(g, line, length);
    } else if (code == 250 && c->resetting) {
        g->out_us = now - c->began[0];
        c->resetting = 0;
        measuring = 1; /* one operation is the whole measurement */
        answered(c, -1);
    } else if (code == 250) {
        if (!g->n_ids) die("the big message is not in the index");
        c->began[0] = now_us();
        c->resetting = 1;
        say(c, "FETCH /INBOX#%s +RAW -READ\n", g->ids[0]);
    }
}

static void counted(struct conn *c, const char *line, size_t length) { /* how much lies in INBOX; no more is asked of it */
    const char *at = memmem(line, length, " t=", 3);
    if (!at) die("no total in: %.*s", (int)length, line);
    c->group->items += atol(at + 3);
    c->phase = CLOSED;
    n_ready++;
}

static void heard(struct conn *c, const char *line, size_t length) {
    struct group *g = c->group;
    int slot = -1;
    if (length && (line[0] == 'p' || line[0] == 'w')) {
        const char *colon = memchr(line, ':', length);
        if (line[0] == 'p') slot = atoi(line + 1);
        if (!colon || slot >= g->depth) die("what is: %.*s", (int)length, line);
        length -= (size_t)(colon + 2 - line);
        line = colon + 2;
    }
    if (length < 4) die("what is: %.*s", (int)length, line);
    int code = (line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0');
    int dash = line[3] == '-';
    if (line[0] == '4' || line[0] == '7') die("%s: the server said: %.*s", ROLES[g->role], (int)length, line);
    if (code == 255) {
        const char *at = memchr(line + 5, ' ', length - 5);
        at = at ? memchr(at + 1, ' ', (size_t)(line + length - at - 1)) : NULL;
        if (!at) die("what is: %.*s", (int)length, line);
        c->skip = atol(at + 1) + 1;
        if (measuring || g->role == BIG) g->items += g->role == BIG ? c->skip - 1 : !memmem(at, (size_t)(line + length - at), "more=1", 6);
        return;
    }
    switch (c->phase) {
    case SHAKING:
        if (code == 101) begin_login(c);
        return;
    case GREETED:
        if (code == 304) answer_challenge(c, line + 4, length - 4);
        return;
    case CHALLENGED:
        if (code == 210) {
            check_proof(c, line, length);
            if (g->role == LOGIN && started) {
                g->finished++;
                if (measuring) {
                    g->ops++;
                    took(g, now_us() - c->began[0]);
                }
                opening--;
                c->phase = CLOSED;
                return;
            }
            logged_in(c);
        }
        return;
    case COLLECTING:
        if (code == 250 && dash) collect(g, line, length);
        if (code == 250 && !dash) {
            if (!g->n_ids) die("there is nothing in INBOX to fetch");
            mark_ready(c);
        }
        return;
    case SETTLING:
        if (code == 280) say(c, "AS w WATCH\n");
        if (code == 260) mark_ready(c);
        if (code == 240) counted(c, line, length);
        return;
    default: break;
    }
    switch (g->role) {
    case DELIVER:
        if (code == 273 && !dash) acknowledged(c, slot, line, length);
        break;
    case PUBLISH:
        if (code == 273 && !dash) acknowledged(c, g->depth > 1 ? slot : -1, line, length);
        break;
    case WATCH:
        if (code == 260) came(g, line, length);
        break;
    case NOOP:
        if (code == 200) answered(c, -1);
        break;
    case PUSH:
        if (code == 273 && !dash) acknowledged(c, slot, line, length);
        break;
    case NOTIFIED:
        if (code == 260) notified(c, line, length);
        if (code == 200) standing--;
        break;
    case FETCH:
    case RANGE:
        if (code == 250 && !dash) answered(c, -1);
        break;
    case UNREAD: /* FETCH, then FLAG, whose time does not count */
        if (c->resetting && code == 200) {
            c->resetting = 0;
            issue(c, 0);
        } else if (code == 250 && !dash) {
            int64_t us = now_us() - c->began[0];
            c->outstanding--;
            g->finished++;
            if (measuring) {
                g->ops++;
                g->busy_us += us;
                took(g, us);
            }
            c->resetting = 1;
            say(c, bare ? "NOOP\n" : "MBOX FLAG /INBOX::* -READ\n");
        }
        break;
    case INDEX:
        if (code == 250 && dash && measuring) g->items++;
        if (code == 250 && !dash) answered(c, -1);
        break;
    case BIG: big_line(c, code, dash, line, length); break;
    default: break;
    }
}

static void take(struct conn *c, const char *octets, size_t length) {
    while (length) {
        if (c->skip) {
            size_t now = (size_t)c->skip < length ? (size_t)c->skip : length;
            c->skip -= (long)now;
            octets += now;
            length -= now;
            continue;
        }
        const char *end = memchr(octets, '\n', length);
        size_t piece = end ? (size_t)(end - octets) : length;
        if (c->line_len || !end) {
            if (!c->line && !(c->line = malloc(LINE))) die("out of memory");
            if (c->line_len + piece > LINE) die("a line of more than %d octets", LINE);
            memcpy(c->line + c->line_len, octets, piece);
            c->line_len += piece;
            if (!end) return;
            size_t whole = c->line_len;
            c->line_len = 0;
            heard(c, c->line, whole);
        } else {
            heard(c, octets, piece);
        }
        octets += piece + 1;
        length -= piece + 1;
    }
}

static void ready_for(struct conn *c) {
    static char buffer[READ];
    if (c->phase == SHAKING && !SSL_is_init_finished(c->ssl)) {
        int done = SSL_do_handshake(c->ssl);
        if (done != 1) {
            int why = SSL_get_error(c->ssl, done);
            if (why == SSL_ERROR_WANT_READ) arm(c, EPOLLIN);
            else if (why == SSL_ERROR_WANT_WRITE) arm(c, EPOLLIN | EPOLLOUT);
            else lost(c);
            return;
        }
        arm(c, EPOLLIN);
        if (bare && c->group->role == LOGIN) say(c, "NOOP\n"), c->phase = CHALLENGED;
        else if (bare) logged_in(c);
    }
    for (int reads = 0;;) {
        if (reads++ == READS) { /* the others have their turn */
            if (!c->again) again[n_again++] = c;
            c->again = 1;
            break;
        }
        int got = SSL_read(c->ssl, buffer, sizeof buffer);
        if (got <= 0) {
            int why = SSL_get_error(c->ssl, got);
            if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) lost(c);
            break;
        }
        if (bare && c->group->role == LOGIN) {
            if (started) {
                c->group->finished++;
                if (measuring) c->group->ops++, took(c->group, now_us() - c->began[0]);
                opening--;
                c->phase = CLOSED;
            } else {
                logged_in(c);
            }
        } else {
            take(c, buffer, (size_t)got);
        }
        if (c->phase == CLOSED) { /* a log-in is done: a fresh one */
            hang_up(c);
            if (c->group->role == LOGIN && !stopping) open_connection(c);
            return;
        }
    }
    flush(c);
}

/* --- measuring */

static double cpu_self(void) {
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) + (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

static double cpu_of(int pid) {
    char path[64], text[1024];
    if (!pid) return 0;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    int fd = open(path, O_RDONLY);
    if (fd < 0) die("the server (process %d) is gone", pid);
    ssize_t got = read(fd, text, sizeof text - 1);
    close(fd);
    text[got > 0 ? got : 0] = 0;
    char *at = strrchr(text, ')');
    long user = 0, system = 0;
    if (at) sscanf(at + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld %ld", &user, &system);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static double cpu_all(void) { /* of the whole machine */
    long user = 0, nice = 0, system = 0, irq = 0, soft = 0;
    FILE *file = fopen("/proc/stat", "r");
    if (!file) return 0;
    if (fscanf(file, "cpu %ld %ld %ld %*d %*d %ld %ld", &user, &nice, &system, &irq, &soft) != 5) user = 0;
    fclose(file);
    return (double)(user + nice + system + irq + soft) / (double)sysconf(_SC_CLK_TCK);
}

static void step(int timeout) {
    struct epoll_event events[256];
    int old = n_again;
    int count = epoll_wait(poller, events, 256, old ? 0 : timeout);
    for (int i = 0; i < count; i++) {
        struct conn *c = events[i].data.ptr;
        if (c && c->ssl) ready_for(c);
    }
    for (int i = 0; i < old; i++) {
        again[i]->again = 0;
        if (again[i]->ssl) ready_for(again[i]);
    }
    for (int i = 0; started && i < n_conns; i++) push_more(&conns[i]);
    for (int i = 0; started && i < n_groups; i++)
        if (groups[i].rate) keep_rate(&groups[i], now_ns());
    for (int i = 0; started && i < n_conns; i++) {
        struct conn *c = &conns[i];
        if (!c->group->paced) continue;
        if (c->phase == RUNNING && !c->outstanding && delivered + (c->group->paced - 1) * watchers >= owed) issue(c, 0), flush(c);
    }
    memmove(again, again + old, (size_t)(n_again - old) * sizeof *again);
    n_again -= old;
}

static void wake_for(const struct group *g) { /* often enough for its rate; epoll itself counts in milliseconds */
    if (!g->rate) return;
    long ns = 1000000000L / g->rate;
    if (ns < 100000) ns = 100000;
    struct itimerspec each = {.it_interval = {.tv_sec = ns / 1000000000L, .tv_nsec = ns % 1000000000L}};
    each.it_value = each.it_interval;
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = NULL};
    if (timer < 0 || timerfd_settime(timer, 0, &each, NULL) || epoll_ctl(poller, EPOLL_CTL_ADD, timer, &event)) die("no timer: %s", strerror(errno));
}

static int counted_all(void) {
    for (int i = 0; i < n_groups; i++)
        if (!groups[i].count || groups[i].finished < groups[i].count) return 0;
    return 1;
}

static int outstanding(void) {
    int all = 0;
    for (int i = 0; i < n_conns; i++)
        if (conns[i].ssl) all += conns[i].outstanding + conns[i].resetting;
    return all;
}

static int missing(void) { return outstanding() || delivered != owed || (showing && shown != pushed); }

static void parse_group(char *text) {
    if (n_groups == 8) die("at most 8 groups");
    struct group *g = &groups[n_groups++];
    *g = (struct group){.conns = 1, .depth = 1, .to = 1, .size = 2048};
    snprintf(g->user, sizeof g->user, "s%%d");
    char *word = strsep(&text, ",");
    int role = 0;
    while (role <= BIG && strcmp(word, ROLES[role])) role++;
    if (role > BIG) die("no role %s", word);
    g->role = (enum role)role;
    while ((word = strsep(&text, ","))) {
        char *value = strchr(word, '=');
        if (!value) die("what is %s", word);
        *value++ = 0;
        if (!strcmp(word, "conns")) g->conns = atoi(value);
        else if (!strcmp(word, "depth")) g->depth = atoi(value);
        else if (!strcmp(word, "to")) g->to = atoi(value);
        else if (!strcmp(word, "size")) g->size = atol(value);
        else if (!strcmp(word, "paced")) g->paced = atoi(value);
        else if (!strcmp(word, "rate")) g->rate = atol(value);
        else if (!strcmp(word, "parts")) g->parts = atoi(value);
        else if (!strcmp(word, "chained")) g->chained = atoi(value);
        else if (!strcmp(word, "count")) g->count = atol(value);
        else if (!strcmp(word, "user")) snprintf(g->user, sizeof g->user, "%s", value);
        else if (!strcmp(word, "args")) snprintf(g->args, sizeof g->args, "%s", value);
        else die("no key %s", word);
    }
    if (g->depth < 1 || g->depth > MAX_DEPTH || g->conns < 1 || g->size < 1 || (g->role != BIG && g->size > POOL))
        die("conns, depth or size out of bounds");
    if (g->role == WATCH) watchers += g->conns;
    if (g->role == NOTIFIED) showing = 1;
    if (g->rate && (g->rate < 1 || g->rate > 1000000 || g->role != DELIVER || g->chained)) die("rate is for deliver, in pipelines");
    if (g->rate && !(g->free = calloc((size_t)(g->conns * g->depth), sizeof *g->free))) die("out of memory");
    n_conns += g->conns;
}

int main(int count, char **words) {
    for (int i = 1; i < count; i++) {
        if (!strcmp(words[i], "--bare")) { bare = 1; continue; }
        if (i + 1 >= count) die("%s needs a value", words[i]);
        char *value = words[++i];
        if (!strcmp(words[i - 1], "--port")) port = atoi(value);
        else if (!strcmp(words[i - 1], "--domain")) domain = value;
        else if (!strcmp(words[i - 1], "--pid")) server_pid = atoi(value);
        else if (!strcmp(words[i - 1], "--warmup")) warmup = atof(value);
        else if (!strcmp(words[i - 1], "--seconds")) seconds = atof(value);
        else if (!strcmp(words[i - 1], "--group")) parse_group(value);
        else if (!strcmp(words[i - 1], "--h")) {
            for (int k = 0; k < 32; k++)
                if (sscanf(value + 2 * k, "%2hhx", &h[k]) != 1) die("--h takes 64 hexadecimal digits");
        } else die("no option %s", words[i - 1]);
    }
    if (!port || !n_groups) die("--port and --group are needed");
    hmac(h, "Client Key", 10, client_key);
    EVP_Digest(client_key, 32, stored_key, NULL, EVP_sha256(), NULL);
    hmac(h, "Server Key", 10, server_key);
    RAND_bytes((unsigned char *)&seed_a, 8);
    RAND_bytes((unsigned char *)&seed_b, 8);
    for (size_t i = 0; i < sizeof pool; i++) pool[i] = i % 72 == 71 ? '\n' : (char)(' ' + rnd() % 95);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    if ((rlim_t)n_conns + 20 > files.rlim_cur) die("%d connections need more open files than %ld (ulimit -n)", n_conns, (long)files.rlim_cur);

    context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
    SSL_CTX_set_alpn_protos(context, (const unsigned char *)"\6immp/1", 7);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    poller = epoll_create1(EPOLL_CLOEXEC);
    conns = calloc((size_t)n_conns, sizeof *conns);
    again = calloc((size_t)n_conns * 2, sizeof *again);
    if (!conns || !again) die("out of memory");
    int at = 0;
    for (int i = 0; i < n_groups; i++)
        for (int k = 0; k < groups[i].conns; k++, at++) {
            conns[at] = (struct conn){.group = &groups[i], .number = k, .fd = -1};
            conns[at].began = calloc((size_t)groups[i].depth, sizeof(int64_t));
            conns[at].id = calloc((size_t)groups[i].depth, sizeof *conns[at].id);
            if (!conns[at].began || !conns[at].id) die("out of memory");
        }
    int64_t limit = now_us() + 120 * 1000000LL;
    while (n_ready < n_conns) {
        open_more();
        step(100);
        if (now_us() > limit) die("only %d of %d connections are ready after 120 s", n_ready, n_conns);
    }
    if (groups[0].role == COUNT) {
        printf("{\"groups\":[{\"role\":\"count\",\"items\":%ld}]}\n", groups[0].items);
        return 0;
    }
    const char *suite = SSL_get_cipher(conns[0].ssl);
    if (groups[0].role == IDLE) {
        char byte;
        printf("READY\n");
        fflush(stdout);
        fcntl(0, F_SETFL, O_NONBLOCK);
        ssize_t got;
        while ((got = read(0, &byte, 1)) != 0) {
            if (got < 0 && errno != EAGAIN) break;
            step(50);
        }
        return 0;
    }

    started = 1;
    for (int i = 0; i < n_conns; i++) {
        if (groups[0].role == LOGIN && conns[i].group->role == LOGIN) {
            hang_up(&conns[i]);
            open_connection(&conns[i]);
        } else {
            fill(&conns[i]);
        }
    }
    for (int i = 0; i < n_groups; i++) wake_for(&groups[i]);
    int64_t t0 = now_us(), warm = t0 + (int64_t)(warmup * 1e6), end = INT64_MAX;
    double self = 0, server = 0, all = 0;
    int counting = groups[0].count != 0;
    if (counting) warm = t0, end = t0 + 600 * 1000000LL;
    while (!(counting && counted_all())) {
        int64_t now = now_us();
        if (!measuring && now >= warm && groups[0].role != BIG) {
            measuring = 1;
            self = cpu_self();
            server = cpu_of(server_pid);
            all = cpu_all();
            t0 = now;
            end = counting ? end : now + (int64_t)(seconds * 1e6);
        }
        if (now >= end) break;
        step(groups[0].role == BIG ? 100 : 1);
    }
    measuring = 0;
    int64_t t1 = now_us();
    double span = (double)(t1 - t0) / 1e6;
    self = cpu_self() - self;
    server = cpu_of(server_pid) - server;
    all = cpu_all() - all;
    stopping = 1;
    int64_t patience = now_us() + 30 * 1000000LL;
    while (missing() && now_us() < patience) step(10);
    if (missing()) die("%d operations were never answered, %ld items and %ld notifications never came", outstanding(), owed - delivered, showing ? pushed - shown : 0);
    printf("{\"suite\":\"%s\",\"seconds\":%.3f,\"generator_cpu\":%.3f,\"server_cpu\":%.3f,\"all_cpu\":%.3f,\"groups\":[", suite, span,
           self / span, server / span, all / span);
    for (int i = 0; i < n_groups; i++) {
        struct group *g = &groups[i];
        double busy = g->role == UNREAD ? (double)g->busy_us / 1e6 / g->conns : span;
        printf("%s{\"role\":\"%s\",\"ops\":%ld,\"per_second\":%.1f,\"items_per_second\":%.1f,\"p50_ms\":%.3f,\"p99_ms\":%.3f,"
               "\"max_ms\":%.3f,\"finished\":%d,\"in_s\":%.3f,\"out_s\":%.3f,\"octets\":%ld}",
               i ? "," : "", ROLES[g->role], g->ops, busy > 0 ? (double)g->ops / busy : 0, busy > 0 ? (double)g->items / busy : 0,
               percentile(g, .5) / 1e3, percentile(g, .99) / 1e3, (double)g->max_us / 1e3, g->finished, (double)g->in_us / 1e6,
               (double)g->out_us / 1e6, g->role == BIG ? g->items : 0);
    }
    printf("]}\n");
    fflush(stdout);
    return 0;
}
