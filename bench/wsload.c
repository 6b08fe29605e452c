/* wsload: a WebSocket load generator. One thread, one epoll, loopback only.
 *
 *   wsload [options] PORT          for example: taskset -c 1 ./wsload -c 64 -d 1 -s 64 -t 2 -p PID 8000
 *
 *   -u PATH      of the WebSocket                                               /ws/echo
 *   -c N         connections                                                    64
 *   -d N         messages in flight on each connection                          1
 *   -s BYTES     of a message's payload                                         64
 *   -k KIND      binary, text (ASCII), text2 (two-byte characters) or raw       binary
 *   -r RATE      instead of -d: messages a second on each connection, sent when they are due,
 *                whether or not the ones before came back
 *   -D N         beside these, one more connection with N messages in flight
 *   -S BYTES     the payload of that neighbour's messages                       64
 *   -t SECONDS   of a measurement; a fifth of it goes before, unmeasured        2
 *   -n N         measurements in a row, one line each                           1
 *   -p PID       the server's process, to measure its processor time and memory
 *
 * Every byte that comes back is compared. No two connections send the same, and neither do two
 * consecutive messages of a connection. 'raw' leaves out the handshake and the frame header: the
 * same payload against a plain TCP echo, the floor that any protocol pays.
 *
 * Prints one line of JSON for each measurement:
 *   messages, rate (a second), mb_s (megabytes of payload a second, one way),
 *   p50_us, p99_us (microseconds from send, or with -r from when the message was due, to the echo),
 *   busy (share of one processor that this program used: near 1.0 it is itself the limit),
 *   server_us (the server's user + system microseconds per message), rss_kib (its memory),
 *   unanswered (with -r: messages without an echo 10 seconds after the last was sent),
 *   neighbour_mb_s (megabytes of the neighbour's payload a second, one way).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000ull
#define DRAIN (10 * SECOND)    /* how long paced messages may be late at the end */
#define CHUNK (256u * 1024)    /* bytes read or written before others have their turn */

typedef struct {               /* what a group of connections sends */
  int depth;                   /* messages in flight on each */
  size_t size, out_len, in_len; /* bytes of a payload, a masked frame, an echoed frame */
  unsigned stamps;             /* send times to remember per connection */
  uint64_t done;               /* messages echoed since the measurement began */
} group;

typedef struct {
  int fd, waits_to_write;
  group *group;
  uint8_t *out, *want;         /* depth + 1 different frames in a ring, and their echoes */
  size_t out_at, out_left;     /* position in the ring, bytes owed to the socket */
  size_t in_at;                /* position in the ring of echoes */
  uint64_t *stamp;             /* when each message in flight was sent */
  unsigned head, tail;
  uint8_t ping[127];           /* a ping frame, as much of it as has come */
  unsigned ping_at;
  int owes_pong;               /* the answer to it goes out between two messages */
} connection;

static const char *path = "/ws/echo", *kind = "binary";
static int port, epoll, sending = 1, is_raw;
static double rate;
static long server;            /* process id, 0 for none */
static group main_group = {.depth = 1, .size = 64}, neighbour_group = {.size = 64};
static uint8_t received[CHUNK];

static void die(const char *what) { perror(what); exit(1); }
static void fail(const char *what) { fprintf(stderr, "wsload: %s\n", what); exit(1); }

static uint64_t clock_ns(clockid_t id) {
  struct timespec t;
  if (clock_gettime(id, &t)) die("clock_gettime");
  return t.tv_sec * SECOND + t.tv_nsec;
}
static uint64_t now(void) { return clock_ns(CLOCK_MONOTONIC); }

/* User + system time of the server with all its threads, in nanoseconds: what /proc/PID/stat says
 * as utime + stime, without its rounding to clock ticks. */
static uint64_t server_ns(void) {
  clockid_t id;
  if (!server) return 0;
  if (clock_getcpuclockid(server, &id)) fail("no such server process");
  return clock_ns(id);
}

static long server_rss_kib(void) {
  char line[256];
  long kib = 0;
  if (!server) return 0;
  snprintf(line, sizeof line, "/proc/%ld/status", server);
  FILE *file = fopen(line, "r");
  if (!file) die(line);
  while (fgets(line, sizeof line, file)) if (sscanf(line, "VmRSS: %ld", &kib) == 1) break;
  fclose(file);
  return kib;
}

/* Latencies in buckets: exact below 256 us, then 128 for each doubling (less than 1 % wide). */
#define BUCKETS 8192
static uint32_t histogram[BUCKETS];

static unsigned bucket(uint64_t us) {
  if (us < 256) return us;
  unsigned shift = 63 - __builtin_clzll(us) - 7;
  return shift * 128 + (us >> shift);
}
static uint64_t percentile(double share) {
  uint64_t total = 0, seen = 0;
  for (int i = 0; i < BUCKETS; i++) total += histogram[i];
  if (!total) return 0;
  for (unsigned i = 0; i < BUCKETS; i++) {
    seen += histogram[i];
    if (seen >= total * share) {
      unsigned shift = i < 256 ? 0 : i / 128 - 1;
      return (uint64_t)(i - shift * 128) << shift;
    }
  }
  return 0;
}

static size_t header(uint8_t *at, size_t size, int masked) {
  size_t length = 2;
  at[0] = 0x80 | (!strncmp(kind, "text", 4) ? 1 : 2);
  at[1] = masked ? 0x80 : 0;
  if (size < 126) {
    at[1] |= size;
  } else {
    int bytes = size < 65536 ? 2 : 8;
    at[1] |= bytes == 2 ? 126 : 127;
    for (int i = 0; i < bytes; i++) at[2 + i] = (uint64_t)size >> 8 * (bytes - 1 - i);
    length += bytes;
  }
  return length;
}

static void fill(uint8_t *payload, size_t size, uint64_t seed) {
  int text = !strcmp(kind, "text"), text2 = !strcmp(kind, "text2");
  uint64_t x = (seed + 1) * 0x9e3779b97f4a7c15ull;
  for (size_t i = 0; i < size; i++) {
    x ^= x << 13; x ^= x >> 7; x ^= x << 17;
    payload[i] = text ? 'a' + (x >> 32) % 26 : x >> 32;
    if (text2) payload[i] = i % 2 ? 0x80 | (x >> 32 & 0x3f) : i + 1 < size ? 0xc3 : 'a';
  }
}

/* The ring of frames that a connection sends, and the ring of what comes back. */
static void make_frames(connection *c, uint64_t seed) {
  group *g = c->group;
  c->out = malloc((g->depth + 1) * (g->size + 14));
  c->want = malloc((g->depth + 1) * (g->size + 14));
  c->stamp = malloc(g->stamps * sizeof *c->stamp);
  if (!c->out || !c->want || !c->stamp) die("malloc");
  uint8_t *out = c->out, *want = c->want;
  for (int i = 0; i <= g->depth; i++) {
    uint8_t *out0 = out, *want0 = want, mask[4] = {0x37, 0xfa, 0x21 + i, 0x3d + seed};
    if (is_raw) {
      memset(mask, 0, 4);
    } else {
      want += header(want, g->size, 0);
      out += header(out, g->size, 1);
      memcpy(out, mask, 4);
      out += 4;
    }
    fill(want, g->size, seed * 1000003 + i);
    for (size_t k = 0; k < g->size; k++) out[k] = want[k] ^ mask[k & 3];
    out += g->size;
    want += g->size;
    g->out_len = out - out0;
    g->in_len = want - want0;
  }
}

static void handshake(int fd) {
  char request[1024], reply[4096];
  size_t got = 0;
  int length = snprintf(request, sizeof request,
      "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\nSec-WebSocket-Version: 13\r\n\r\n", path, port);
  if (write(fd, request, length) != length) die("handshake: write");
  do {
    ssize_t r = read(fd, reply + got, sizeof reply - 1 - got);
    if (r < 0) die("handshake: read");
    if (r == 0) fail("handshake: no answer");
    got += r;
    reply[got] = 0;
  } while (got < 4 || memcmp(reply + got - 4, "\r\n\r\n", 4));
  if (!strstr(reply, " 101 ") || !strstr(reply, "HSmrc0sMlYUkAGmm5OPpG2HaGWk=")) fail(reply);
}

static void open_connection(connection *c, group *g, uint64_t seed) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int one = 1;
  c->group = g;
  c->fd = socket(AF_INET, SOCK_STREAM, 0);
  if (c->fd < 0) die("socket");
  if (connect(c->fd, (void *)&address, sizeof address)) die("connect");
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (!is_raw) handshake(c->fd);
  fcntl(c->fd, F_SETFL, O_NONBLOCK);
  make_frames(c, seed);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event)) die("epoll_ctl");
}

/* Owe the socket one more message, sent or due at t. */
static void queue_message(connection *c, uint64_t t) {
  c->stamp[c->head++ % c->group->stamps] = t;
  c->out_left += c->group->out_len;
}

/* Answer the ping (with a mask of zeros); whether the socket took the answer. */
static int send_pong(connection *c) {
  uint8_t pong[131] = {0x8a, 0x80 | c->ping[1]};
  int length = c->ping[1];
  memcpy(pong + 6, c->ping + 2, length);
  ssize_t sent = send(c->fd, pong, 6 + length, MSG_NOSIGNAL);
  if (sent < 0 && errno == EAGAIN) return 0;
  if (sent != 6 + length) die("send a pong");
  c->owes_pong = 0;
  return 1;
}

/* Write what is owed, at most CHUNK bytes; for the rest wait until the socket takes more. */
static void flush(connection *c) {
  size_t frame = c->group->out_len, ring = frame * (c->group->depth + 1), budget = CHUNK;
  while ((c->out_left || c->owes_pong) && budget) {
    if (c->owes_pong && c->out_at % frame == 0) {
      if (!send_pong(c)) break;
      continue;
    }
    size_t k = (c->owes_pong ? (c->out_at / frame + 1) * frame : ring) - c->out_at;
    if (k > c->out_left) k = c->out_left;
    if (k > budget) k = budget;
    ssize_t sent = send(c->fd, c->out + c->out_at, k, MSG_NOSIGNAL);
    if (sent < 0 && errno == EAGAIN) break;
    if (sent < 0) die("send");
    c->out_left -= sent;
    budget -= sent;
    c->out_at = (c->out_at + sent) % ring;
  }
  int waits = c->out_left || c->owes_pong;
  if (waits != c->waits_to_write) {
    struct epoll_event event = {.events = EPOLLIN | (waits ? EPOLLOUT : 0), .data.ptr = c};
    c->waits_to_write = waits;
    if (epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &event)) die("epoll_ctl");
  }
}

static void message_came(connection *c, uint64_t t) {
  if (c->tail == c->head) fail("more came back than was sent");
  uint64_t sent = c->stamp[c->tail++ % c->group->stamps];
  c->group->done++;
  int is_main = c->group == &main_group;
  if (is_main) histogram[bucket(t > sent ? (t - sent) / 1000 : 0)]++;
  if (sending && !(is_main && rate)) queue_message(c, t);
}

/* Take a ping frame's next byte. */
static void ping_came(connection *c, uint8_t byte) {
  c->ping[c->ping_at++] = byte;
  if (c->ping_at < 2 || c->ping_at < 2u + c->ping[1]) return;
  c->ping_at = 0;
  c->owes_pong = 1;
}

/* Read at most CHUNK bytes and compare them with what should come: the echoes, pings between. */
static void take(connection *c) {
  ssize_t r = recv(c->fd, received, CHUNK, 0);
  if (r < 0 && errno == EAGAIN) return;
  if (r < 0) die("recv");
  if (r == 0) fail("the server closed a connection");
  uint64_t t = now();
  size_t length = c->group->in_len, ring = length * (c->group->depth + 1);
  for (size_t at = 0; at < (size_t)r;) {
    if (c->ping_at || (received[at] == 0x89 && c->in_at % length == 0 && !is_raw)) {
      if (c->ping_at == 1 && received[at] > 125) fail("a malformed ping");
      ping_came(c, received[at++]);
      continue;
    }
    size_t k = length - c->in_at % length;
    if (k > r - at) k = r - at;
    if (memcmp(received + at, c->want + c->in_at, k)) fail("an echo differs");
    at += k;
    c->in_at = (c->in_at + k) % ring;
    if (c->in_at % length == 0) message_came(c, t);
  }
}

static struct { uint64_t t, server, own; } start;

static void start_measurement(void) {
  memset(histogram, 0, sizeof histogram);
  main_group.done = neighbour_group.done = 0;
  start.server = server_ns();
  start.own = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
  start.t = now();
}

static uint64_t unanswered(const connection *connections, int count) {
  uint64_t messages = 0;
  for (int i = 0; i < count; i++) messages += connections[i].head - connections[i].tail;
  return messages;
}

static void report(const connection *connections, int count) {
  uint64_t cpu = server_ns() - start.server, own = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - start.own;
  double seconds = (now() - start.t) / 1e9, messages = main_group.done;
  printf("{\"messages\": %.0f, \"rate\": %.1f, \"mb_s\": %.2f, \"p50_us\": %lu, \"p99_us\": %lu, \"busy\": %.3f",
         messages, messages / seconds, messages * main_group.size / seconds / 1e6,
         percentile(0.5), percentile(0.99), own / 1e9 / seconds);
  if (server && messages) printf(", \"server_us\": %.3f, \"rss_kib\": %ld", cpu / messages / 1e3, server_rss_kib());
  if (rate) printf(", \"unanswered\": %lu", unanswered(connections, count));
  if (neighbour_group.depth)
    printf(", \"neighbour_mb_s\": %.2f", neighbour_group.done * neighbour_group.size / seconds / 1e6);
  puts("}");
  fflush(stdout);
}

int main(int argc, char **argv) {
  int count = 64, repeats = 1, option;
  double seconds = 2;
  while ((option = getopt(argc, argv, "u:c:d:s:k:r:D:S:t:n:p:")) != -1) switch (option) {
    case 'u': path = optarg; break;
    case 'c': count = atoi(optarg); break;
    case 'd': main_group.depth = atoi(optarg); break;
    case 's': main_group.size = strtoull(optarg, 0, 10); break;
    case 'k': kind = optarg; is_raw = !strcmp(kind, "raw"); break;
    case 'r': rate = atof(optarg); break;
    case 'D': neighbour_group.depth = atoi(optarg); break;
    case 'S': neighbour_group.size = strtoull(optarg, 0, 10); break;
    case 't': seconds = atof(optarg); break;
    case 'n': repeats = atoi(optarg); break;
    case 'p': server = atol(optarg); break;
    default: fail("see the head of wsload.c for the options");
  }
  if (optind != argc - 1) fail("usage: wsload [options] PORT");
  port = atoi(argv[optind]);
  prctl(PR_SET_TIMERSLACK, 1000ul); /* wake for a paced message within a microsecond */

  uint64_t span = seconds * SECOND, warm = span / 5;
  main_group.stamps = rate ? rate * seconds * (repeats + 1) + 2 : main_group.depth;
  neighbour_group.stamps = neighbour_group.depth;
  epoll = epoll_create1(0);
  connection *connections = calloc(count + 1, sizeof *connections), *neighbour = connections + count;
  for (int i = 0; i < count; i++) open_connection(&connections[i], &main_group, i);
  if (neighbour_group.depth) open_connection(neighbour, &neighbour_group, count);

  uint64_t begin = now(), next = begin + warm, paced = 0, t;
  int measurement = -1;        /* -1 while warming up */
  for (int i = 0; !rate && i < count; i++) {
    for (int k = 0; k < main_group.depth; k++) queue_message(&connections[i], begin);
    flush(&connections[i]);
  }
  for (int k = 0; k < neighbour_group.depth; k++) queue_message(neighbour, begin);
  if (neighbour_group.depth) flush(neighbour);

  struct epoll_event events[1024];
  for (;;) {
    uint64_t wake = next, due;
    /* The paced messages of all connections are due one after the other, evenly spread. */
    for (; rate && sending; paced++) {
      due = begin + paced / (rate * count) * SECOND;
      if (due > (t = now())) { if (due < wake) wake = due; break; }
      queue_message(&connections[paced % count], due);
      flush(&connections[paced % count]);
      if (t >= next) break;
    }
    t = now();
    uint64_t wait = wake > t ? wake - t : 0;
    struct timespec timeout = {wait / SECOND, wait % SECOND};
    int ready = epoll_pwait2(epoll, events, 1024, &timeout, 0);
    if (ready < 0 && errno != EINTR) die("epoll_pwait2");
    for (int i = 0; i < ready; i++) {
      connection *c = events[i].data.ptr;
      if (events[i].events & ~EPOLLOUT) take(c);
      if (c->out_left || c->owes_pong) flush(c);
    }
    if (now() < next && (sending || unanswered(connections, count))) continue;
    if (rate && sending && measurement == repeats - 1) {
      sending = 0;
      if (unanswered(connections, count)) { next = now() + DRAIN; continue; }
    }
    if (measurement >= 0) report(connections, count);
    if (++measurement == repeats) return 0;
    start_measurement();
    next = now() + span;
  }
}
