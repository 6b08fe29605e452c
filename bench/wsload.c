/* wsload: a WebSocket load generator. One thread, one epoll, loopback only.
 *
 *   wsload [options] PORT          for example: taskset -c 1 ./wsload -c 64 -d 1 -s 64 -t 2 -p PID 8000
 *
 *   -u PATH      of the WebSocket                                               /ws/echo
 *   -c N         connections                                                    64
 *   -d N         messages in flight on each connection                          1
 *   -s BYTES     of a message's payload                                         64
 *   -k KIND      binary, text (ASCII), text2 (two-byte characters), json or raw binary
 *   -z           offer permessage-deflate and send every message compressed
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

#include "wsload_deflate.h"

#define SECOND 1000000000ull
#define DRAIN (10 * SECOND)    /* how long paced messages may be late at the end */
#define CHUNK (256u * 1024)    /* bytes read or written before others have their turn */

typedef struct {               /* what a group of connections sends */
  int depth;                   /* messages in flight on each */
  size_t size, in_len;         /* bytes of a payload, an echoed frame */
  unsigned stamps;             /* send times to remember per connection */
  uint64_t done;               /* messages echoed since the measurement began */
} group;

typedef struct {
  int fd, waits_to_write;
  group *group;
  uint8_t *out, *want;         /* depth + 1 different frames in a ring, and their echoes */
  size_t *start;               /* where each frame in the ring starts, and where the last ends */
  size_t out_at, out_left;     /* position in the ring, bytes owed to the socket */
  int out_frame, queued_frame; /* the frame at that position, the next to be owed */
  size_t in_at;                /* position in the ring of echoes */
  incoming in;                 /* with -z: the echo that is coming, and which one it is */
  int in_frame;
  uint8_t **seen;              /* with -z: compressed echoes that were found to be right */
  size_t *seen_len;
  uint64_t *stamp;             /* when each message in flight was sent */
  unsigned head, tail;
  uint8_t ping[127];           /* a ping frame, as much of it as has come */
  unsigned ping_at;
  int owes_pong;               /* the answer to it goes out between two messages */
} connection;

static const char *path = "/ws/echo", *kind = "binary";
static int port, epoll, sending = 1, is_raw, compresses;
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
  at[0] = 0x80 | (!strncmp(kind, "text", 4) || !strcmp(kind, "json") ? 1 : 2);
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

/* Records as an interface might give them, cut at the size. */
static void fill_json(uint8_t *payload, size_t size, uint64_t x) {
  static const char *const words[] = {"open", "closed", "pending", "north", "south", "red", "green"};
  for (size_t at = 0; at < size;) {
    char record[256];
    x ^= x << 13; x ^= x >> 7; x ^= x << 17;
    int length = snprintf(record, sizeof record,
        "{\"id\":%u,\"user\":\"u%06x\",\"state\":\"%s\",\"at\":%u,\"total\":%u.%02u,\"ok\":%s},\n",
        (unsigned)(x >> 40), (unsigned)(x >> 20 & 0xffffff), words[x % 7], 1700000000 + (unsigned)(x >> 44),
        (unsigned)(x >> 12 & 0xfff), (unsigned)(x >> 8) % 100, x & 16 ? "true" : "false");
    if ((size_t)length > size - at) length = size - at;
    memcpy(payload + at, record, length);
    at += length;
  }
}

static void fill(uint8_t *payload, size_t size, uint64_t seed) {
  int text = !strcmp(kind, "text"), text2 = !strcmp(kind, "text2");
  uint64_t x = (seed + 1) * 0x9e3779b97f4a7c15ull;
  if (!strcmp(kind, "json")) { fill_json(payload, size, x); return; }
  for (size_t i = 0; i < size; i++) {
    x ^= x << 13; x ^= x >> 7; x ^= x << 17;
    payload[i] = text ? 'a' + (x >> 32) % 26 : x >> 32;
    if (text2) payload[i] = i % 2 ? 0x80 | (x >> 32 & 0x3f) : i + 1 < size ? 0xc3 : 'a';
  }
}

/* The ring of frames that a connection sends, and the ring of what comes back. */
static void make_frames(connection *c, uint64_t seed) {
  group *g = c->group;
  int count = g->depth + 1;
  c->out = malloc(count * (deflated_bound(g->size) + 14));
  c->want = malloc(count * (g->size + 14));
  c->start = malloc((count + 1) * sizeof *c->start);
  c->stamp = malloc(g->stamps * sizeof *c->stamp);
  if (!c->out || !c->want || !c->start || !c->stamp) die("malloc");
  uint8_t *out = c->out, *want = c->want;
  for (int i = 0; i < count; i++) {
    uint8_t *want0 = want, *payload, mask[4] = {0x37, 0xfa, 0x21 + i, 0x3d + seed};
    size_t length = g->size;
    c->start[i] = out - c->out;
    if (!is_raw) want += header(want, g->size, 0);
    fill(want, g->size, seed * 1000003 + i);
    payload = want;
    if (compresses) {
      static uint8_t *room;
      if (!room && !(room = malloc(deflated_bound(g->size)))) die("malloc");
      length = deflate_message(want, g->size, payload = room);
      if (!length) fail("a message cannot be compressed");
    }
    if (is_raw) {
      memset(mask, 0, 4);
    } else {
      uint8_t *first = out;
      out += header(out, length, 1);
      if (compresses) *first |= RSV1;
      memcpy(out, mask, 4);
      out += 4;
    }
    for (size_t k = 0; k < length; k++) out[k] = payload[k] ^ mask[k & 3];
    out += length;
    want += g->size;
    g->in_len = want - want0;
  }
  c->start[count] = out - c->out;
  if (!compresses) return;
  c->in.room = deflated_bound(g->size) + 256;
  c->in.body = malloc(c->in.room);
  c->seen = calloc(count, sizeof *c->seen);
  c->seen_len = calloc(count, sizeof *c->seen_len);
  if (!c->in.body || !c->seen || !c->seen_len) die("malloc");
}

static void handshake(int fd) {
  char request[1024], reply[4096];
  size_t got = 0;
  int length = snprintf(request, sizeof request,
      "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\nSec-WebSocket-Version: 13\r\n%s\r\n", path, port,
      compresses ? "Sec-WebSocket-Extensions: " EXTENSION "\r\n" : "");
  if (write(fd, request, length) != length) die("handshake: write");
  do {
    ssize_t r = read(fd, reply + got, sizeof reply - 1 - got);
    if (r < 0) die("handshake: read");
    if (r == 0) fail("handshake: no answer");
    got += r;
    reply[got] = 0;
  } while (got < 4 || memcmp(reply + got - 4, "\r\n\r\n", 4));
  if (!strstr(reply, " 101 ") || !strstr(reply, "HSmrc0sMlYUkAGmm5OPpG2HaGWk=")) fail(reply);
  if (compresses && !strstr(reply, "server_no_context_takeover")) fail("the server does not compress so");
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
  int i = c->queued_frame;
  c->stamp[c->head++ % c->group->stamps] = t;
  c->out_left += c->start[i + 1] - c->start[i];
  c->queued_frame = i == c->group->depth ? 0 : i + 1;
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
  size_t *start = c->start, ring = start[c->group->depth + 1], budget = CHUNK;
  while ((c->out_left || c->owes_pong) && budget) {
    if (c->owes_pong && c->out_at == start[c->out_frame]) {
      if (!send_pong(c)) break;
      continue;
    }
    size_t k = (c->owes_pong ? start[c->out_frame + 1] : ring) - c->out_at;
    if (k > c->out_left) k = c->out_left;
    if (k > budget) k = budget;
    ssize_t sent = send(c->fd, c->out + c->out_at, k, MSG_NOSIGNAL);
    if (sent < 0 && errno == EAGAIN) break;
    if (sent < 0) die("send");
    c->out_left -= sent;
    budget -= sent;
    c->out_at += sent;
    while (c->out_at >= start[c->out_frame + 1])
      if (++c->out_frame > c->group->depth) c->out_frame = c->out_at = 0;
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

/* Compare the message that is whole with the one that should come. */
static void check_message(connection *c) {
  incoming *in = &c->in;
  size_t size = c->group->size;
  int i = c->in_frame;
  const uint8_t *message = c->want + (i + 1) * c->group->in_len - size;
  if (!in->compressed) fail("an echo is not compressed");
  if (in->size != c->seen_len[i] || memcmp(in->body, c->seen[i], in->size)) {
    if (!inflates_to(in->body, in->size, message, size)) fail("a compressed echo differs");
    c->seen[i] = realloc(c->seen[i], c->seen_len[i] = in->size);
    if (!c->seen[i]) die("realloc");
    memcpy(c->seen[i], in->body, in->size);
  }
  in->size = 0;
  c->in_frame = i == c->group->depth ? 0 : i + 1;
}

/* Take what came with -z, whose length nobody knows before. */
static void take_compressed(connection *c, size_t size, uint64_t t) {
  for (size_t at = 0; at < size;) {
    switch (take_frame(&c->in, received, size, &at)) {
    case MESSAGE:
      check_message(c);
      message_came(c, t);
      break;
    case PING:
      memcpy(c->ping, c->in.header, 2);
      memcpy(c->ping + 2, c->in.body + c->in.size, c->in.header[1]);
      c->owes_pong = 1;
      break;
    case WRONG: fail("a frame that is no echo");
    }
  }
}

/* Read at most CHUNK bytes and compare them with what should come: the echoes, pings between. */
static void take(connection *c) {
  ssize_t r = recv(c->fd, received, CHUNK, 0);
  if (r < 0 && errno == EAGAIN) return;
  if (r < 0) die("recv");
  if (r == 0) fail("the server closed a connection");
  uint64_t t = now();
  if (compresses) { take_compressed(c, r, t); return; }
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
  while ((option = getopt(argc, argv, "u:c:d:s:k:zr:D:S:t:n:p:")) != -1) switch (option) {
    case 'u': path = optarg; break;
    case 'c': count = atoi(optarg); break;
    case 'd': main_group.depth = atoi(optarg); break;
    case 's': main_group.size = strtoull(optarg, 0, 10); break;
    case 'k': kind = optarg; is_raw = !strcmp(kind, "raw"); break;
    case 'z': compresses = 1; break;
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
