/* The limit: one thread, one epoll set, one read and one write per request, a ready-made answer, no look at what was asked.
 *
 *     limit PORT BODY_BYTES [ANSWERS]
 *
 * With ANSWERS there are so many of them in memory, and the number at the end of the path says which one goes out: what it costs that the
 * processor's caches do not hold them, with a look-up that costs nothing.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static const char HEAD[] = "HTTP/1.1 200 OK\r\nserver: limit\r\ncontent-type: application/json\r\nlast-modified: Fri, 20 Nov 2026 09:16:00 GMT\r\n"
                           "etag: \"6500-400\"\r\ncache-control: public, max-age=3600\r\nage: 3\r\ncontent-length: %ld\r\n"
                           "date: Fri, 20 Nov 2026 09:23:32 GMT\r\n\r\n";
enum { FILES = 65536, EVENTS = 256 };
static long sent[FILES];    /* of the answer under way, by connection */
static char *answer[FILES]; /* the one that is under way; null: none */

static unsigned long number_at_end(const char *path, const char *end) {
    unsigned long number = 0;
    for (; path < end && *path != ' '; path++) number = *path >= '0' && *path <= '9' ? number * 10 + *path - '0' : 0;
    return number;
}

int main(int count, char **words) {
    if (count != 3 && count != 4) return fprintf(stderr, "usage: limit PORT BODY_BYTES [ANSWERS]\n"), 2;
    long body = atol(words[2]), answers = count == 4 ? atol(words[3]) : 1, on = 1;
    if (body < 0 || answers < 1 || body > 1L << 30 || answers > 1L << 30) return fprintf(stderr, "limit: no such size\n"), 2;
    char headers[sizeof HEAD + 32], in[16384];
    long head = sprintf(headers, HEAD, body), size = head + body;
    char *ready_made = calloc(answers, size);
    if (!ready_made) return perror("limit"), 1;
    for (long i = 0; i < answers; i++) memset(memcpy(ready_made + i * size, headers, head) + head, 'a', body);
    signal(SIGPIPE, SIG_IGN);

    int listener = socket(AF_INET, SOCK_STREAM, 0), epoll = epoll_create1(0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(atoi(words[1])), .sin_addr.s_addr = inet_addr("127.0.0.1")};
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(int));
    if (bind(listener, (void *)&at, sizeof at) || listen(listener, 4096)) return perror("limit"), 1;
    struct epoll_event event = {EPOLLIN, {.fd = listener}}, events[EVENTS];
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);

    for (;;) {
        int ready = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            int file = events[i].data.fd;
            if (file == listener) {
                file = accept4(listener, 0, 0, SOCK_NONBLOCK);
                if (file < 0) continue;
                if (file >= FILES) { close(file); continue; }
                answer[file] = 0;
                setsockopt(file, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(int));
                event = (struct epoll_event){EPOLLIN, {.fd = file}};
                epoll_ctl(epoll, EPOLL_CTL_ADD, file, &event);
                continue;
            }
            int waiting = answer[file] != 0;
            if (!waiting) {
                long came = read(file, in, sizeof in);
                if (came < 0 && errno == EAGAIN) continue;
                if (came <= 0) { close(file); continue; }
                answer[file] = ready_made + (answers > 1 ? number_at_end(in + 4, in + came) % answers * size : 0);
                sent[file] = 0;
            }
            long went = write(file, answer[file] + sent[file], size - sent[file]);
            if (went < 0 && errno != EAGAIN) { answer[file] = 0; close(file); continue; }
            sent[file] += went > 0 ? went : 0;
            if (sent[file] == size) answer[file] = 0;
            if ((answer[file] != 0) != waiting) {
                event = (struct epoll_event){waiting ? EPOLLIN : EPOLLOUT, {.fd = file}};
                epoll_ctl(epoll, EPOLL_CTL_MOD, file, &event);
            }
        }
    }
}
