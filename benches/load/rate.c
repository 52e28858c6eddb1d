/* Hits at a rate that does not depend on the server, and how long each took from the moment when it was due.
 *
 *     rate PORT PATH CONNECTIONS PER_SECOND SECONDS
 *
 * Requests are due at random moments (a Poisson process, the same moments in every run), as those of many users are. Each takes the connection that has
 * been idle longest; where none is idle it waits, and the wait counts: a server that stalls is charged for all that came due meanwhile. It spins instead
 * of sleeping, for a sleep ends late. `late`: how late it sent what was due though a connection was idle, which is its own fault.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS = 4096, EVENTS = 256, ROOM = 65536, PATIENCE = 10 };
struct connection {
    int file;
    int under_way; /* a request */
    double due;    /* when that was due */
    long have, size; /* bytes of the answer that are there; of all of it, once its head is */
    char *in;
};
static struct connection all[CONNECTIONS];
static struct connection *idle[CONNECTIONS]; /* a ring */
static long first_idle, last_idle;

static double now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * 1e6 + at.tv_nsec / 1e3;
}

static void fail(const char *why) {
    printf("failed: %s\n", why);
    exit(1);
}

static void *room(size_t bytes) {
    void *room = malloc(bytes);
    if (!room) fail("no memory");
    return room;
}

static void open_connection(struct connection *one, int port, int epoll) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = inet_addr("127.0.0.1")};
    int on = 1;
    one->file = socket(AF_INET, SOCK_STREAM, 0);
    if (one->file < 0 || connect(one->file, (void *)&at, sizeof at)) fail(strerror(errno));
    setsockopt(one->file, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    fcntl(one->file, F_SETFL, O_NONBLOCK);
    one->in = room(ROOM);
    struct epoll_event event = {EPOLLIN, {.ptr = one}};
    epoll_ctl(epoll, EPOLL_CTL_ADD, one->file, &event);
    idle[last_idle++ % CONNECTIONS] = one;
}

/* Whether the answer is complete. */
static int read_answer(struct connection *one) {
    long got = read(one->file, one->in + one->have, ROOM - 1 - one->have);
    if (got < 0 && errno == EAGAIN) return 0;
    if (got <= 0) fail("a connection ended");
    if (!one->under_way) fail("an answer that nobody asked for");
    one->have += got;
    one->in[one->have] = 0;
    if (!one->size) {
        char *end = strstr(one->in, "\r\n\r\n"), *length = strcasestr(one->in, "\r\ncontent-length:");
        if (!end) return 0;
        if (strncmp(one->in, "HTTP/1.1 200", 12)) fail("an answer that is not 200");
        if (!length || length > end) fail("an answer without Content-Length");
        long body = atol(length + 17);
        if (body < 0 || body > ROOM) fail("an answer that is too long");
        one->size = end + 4 - one->in + body;
        if (one->size >= ROOM) fail("an answer that is too long");
    }
    return one->have == one->size;
}

static double next_gap(void) {
    return -log(1 - drand48());
}

static int by_size(const void *a, const void *b) {
    return (*(float *)a > *(float *)b) - (*(float *)a < *(float *)b);
}

static double at(float *sorted, long count, double share) {
    return count ? sorted[(long)(share * (count - 1))] : 0;
}

int main(int count, char **words) {
    if (count != 6) return fprintf(stderr, "usage: rate PORT PATH CONNECTIONS PER_SECOND SECONDS\n"), 2;
    int port = atoi(words[1]), connections = atoi(words[3]), epoll = epoll_create1(0);
    double length = atof(words[5]) * 1e6, gaps = 0;
    long wanted = atof(words[4]) * atof(words[5]), sent = 0, done = 0, own = 0;
    if (connections < 1 || connections > CONNECTIONS) fail("no such number of connections");
    if (wanted < 1 || wanted > 100000000) fail("no such number of requests");
    char request[1024];
    int size = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n", words[2], port);
    if (size >= (int)sizeof request) fail("a path that is too long");
    float *took = room(wanted * sizeof *took), *late = room(wanted * sizeof *late);
    for (int i = 0; i < connections; i++) open_connection(&all[i], port, epoll);
    struct epoll_event events[EVENTS];
    srand48(42); /* a first time: how long they are together, so that the rate is exact */
    for (long i = 0; i < wanted; i++) gaps += next_gap();
    srand48(42);

    double start = now(), due = start, time = start;
    while (done < wanted) {
        if (time > start + length + PATIENCE * 1e6) fail("it does not keep up");
        int waited = first_idle == last_idle;
        int ready = epoll_wait(epoll, events, EVENTS, 0);
        for (int i = 0; i < ready; i++) {
            struct connection *one = events[i].data.ptr;
            if (!read_answer(one)) continue;
            took[done++] = now() - one->due;
            one->have = one->size = one->under_way = 0;
            idle[last_idle++ % CONNECTIONS] = one;
        }
        for (time = now(); sent < wanted && due <= time && first_idle < last_idle; time = now()) {
            struct connection *one = idle[first_idle++ % CONNECTIONS];
            if (!waited) late[own++] = time - due;
            one->due = due;
            one->under_way = 1;
            if (write(one->file, request, size) != size) fail("a request that does not go out");
            sent++;
            due += length / gaps * next_gap();
        }
    }
    double all_took = (now() - start) / 1e6;
    qsort(took, done, sizeof *took, by_size);
    qsort(late, own, sizeof *late, by_size);
    printf("requests: %ld\nseconds: %.3f\nper second: %.1f\n", done, all_took, done / all_took);
    printf("p50: %.1f us\np99: %.1f us\np99.9: %.1f us\nmax: %.1f us\n", at(took, done, .5), at(took, done, .99), at(took, done, .999), at(took, done, 1));
    printf("late p50: %.1f us\nlate p99: %.1f us\nlate p99.9: %.1f us\n", at(late, own, .5), at(late, own, .99), at(late, own, .999));
}
