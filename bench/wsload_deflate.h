/* permessage-deflate (RFC 7692) for wsload.c, without context takeover in either direction.
 *
 * A message that comes back is inflated and compared; its compressed bytes are remembered, so that
 * the same bytes need not be inflated again: the load would otherwise be slower than the server.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define EXTENSION "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
#define RSV1 0x40

/* Bytes that the compressed form of so many may have, with what servers may add. */
static size_t deflated_bound(size_t size) { return size + size / 8 + 1024; }

/* Compress a message; returns how many bytes it became, 0 for an error. */
static size_t deflate_message(const uint8_t *message, size_t size, uint8_t *out) {
  z_stream z = {.next_in = (uint8_t *)message, .avail_in = size,
                .next_out = out, .avail_out = deflated_bound(size)};
  if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY)) return 0;
  int done = deflate(&z, Z_SYNC_FLUSH) == Z_OK && !z.avail_in && z.avail_out;
  size_t length = z.total_out - 4; /* 7.2.1: without 00 00 ff ff */
  deflateEnd(&z);
  return done ? length : 0;
}

/* Whether these bytes, of a compressed message, are that message. */
static int inflates_to(uint8_t *data, size_t length, const uint8_t *message, size_t size) {
  static z_stream z;
  static uint8_t *inflated;
  static size_t room;
  if (room < size + 1) {
    if (room) inflateReset(&z); else if (inflateInit2(&z, -15)) return 0;
    inflated = realloc(inflated, room = size + 1);
    if (!inflated) return 0;
  }
  inflateReset(&z);
  memcpy(data + length, "\x00\x00\xff\xff", 4);
  z.next_in = data, z.avail_in = length + 4;
  z.next_out = inflated, z.avail_out = room;
  int result = inflate(&z, Z_SYNC_FLUSH);
  return (result == Z_OK || result == Z_BUF_ERROR) && !z.avail_in && z.total_out == size
      && !memcmp(inflated, message, size);
}

/* The message that is coming in: some servers send it in fragments. */
typedef struct {
  uint8_t header[10];
  unsigned header_at;
  uint64_t left;               /* of the frame's payload */
  int compressed;
  uint8_t *body;               /* so far, with room for four bytes more */
  size_t size, room;
} incoming;

enum { INCOMPLETE, MESSAGE, PING, WRONG };

/* Take bytes of the stream up to the end of a frame; *at moves on. A ping is in ``body`` behind
 * the message's own bytes: its payload begins at ``size``, its length is header[1]. */
static int take_frame(incoming *in, const uint8_t *data, size_t size, size_t *at) {
  uint8_t *h = in->header;
  for (;;) {
    unsigned marker = in->header_at < 2 ? 0 : h[1];
    unsigned want = 2 + (marker == 126 ? 2 : marker == 127 ? 8 : 0);
    if (in->header_at >= want) break;
    if (*at == size) return INCOMPLETE;
    h[in->header_at++] = data[(*at)++];
    if (in->header_at < 2) continue;
    if (h[1] & 0x80) return WRONG;
    in->left = h[1];
    if (h[1] < 126) break;
    in->left = 0;
    for (unsigned i = 2; i < in->header_at; i++) in->left = in->left << 8 | h[i];
  }
  int ping = h[0] == 0x89, first = (h[0] & 0xf) == 1 || (h[0] & 0xf) == 2;
  if (!ping && (h[0] & 0xf) > 2) return WRONG;
  if (first && in->header_at) in->compressed = (h[0] & RSV1) != 0;
  uint64_t done = ping ? h[1] - in->left : 0;
  if (in->size + done + in->left + 4 > in->room) return WRONG;
  size_t k = size - *at < in->left ? size - *at : in->left;
  memcpy(in->body + in->size + done, data + *at, k);
  *at += k;
  in->left -= k;
  if (!ping) in->size += k;
  if (in->left) return INCOMPLETE;
  in->header_at = 0;
  return ping ? PING : h[0] & 0x80 ? MESSAGE : INCOMPLETE;
}
