/* rawecho: every byte of every connection back as it came. rawecho PORT
 *
 * One thread, one epoll, loopback only, no protocol: the floor that any echo pays for its two
 * system calls a message and its share of epoll, and so the load generator's own ceiling.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static char buffer[256 * 1024];

static void die(const char *what) { perror(what); exit(1); }

/* Write all bytes. While the socket is full only it is waited for: the peer reads all the time. */
static int send_all(int fd, const char *at, ssize_t left) {
  while (left) {
    ssize_t sent = send(fd, at, left, MSG_NOSIGNAL);
    if (sent < 0 && errno == EAGAIN) {
      struct pollfd writable = {.fd = fd, .events = POLLOUT};
      poll(&writable, 1, -1);
    } else if (sent < 0) {
      return -1;
    } else {
      at += sent;
      left -= sent;
    }
  }
  return 0;
}

int main(int argc, char **argv) {
  if (argc != 2) { fprintf(stderr, "usage: rawecho PORT\n"); return 2; }
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1])),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), epoll = epoll_create1(0);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(listener, (void *)&address, sizeof address) || listen(listener, 1024)) die("listen");
  struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[1024];
  epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
  for (;;) {
    int ready = epoll_wait(epoll, events, 1024, -1);
    if (ready < 0 && errno != EINTR) die("epoll_wait");
    for (int i = 0; i < ready; i++) {
      int fd = events[i].data.fd;
      if (fd == listener) {
        event.data.fd = accept4(listener, 0, 0, SOCK_NONBLOCK);
        if (event.data.fd < 0) continue;
        setsockopt(event.data.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        epoll_ctl(epoll, EPOLL_CTL_ADD, event.data.fd, &event);
        continue;
      }
      ssize_t got = recv(fd, buffer, sizeof buffer, 0);
      if (got < 0 && errno == EAGAIN) continue;
      if (got <= 0 || send_all(fd, buffer, got) < 0) close(fd);
    }
  }
}
