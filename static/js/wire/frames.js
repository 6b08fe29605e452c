/*
 * Frames as bytes (RFC 6455, section 5.2): the fields of a header, and the frames that can be told
 * for certain without having been seen. Bytes are hex strings, as the inspector writes them.
 */

import { octetsOf, toHex } from "../ui/hex.js";

export const OPCODES = { 0: "continuation", 1: "text", 2: "binary", 8: "close", 9: "ping", 10: "pong" };

export const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

const KEPT = 1024; // bytes of a payload, as in the inspector's reports

const bitsOf = (hex) => octetsOf(hex).map((o) => parseInt(o, 16).toString(2).padStart(8, "0")).join("");

/**
 * The fields of a frame's header in the order of its bits: [{name, bits, value}], where the value
 * is a number (BigInt if large), or hex for the masking key. All of it is read from the header's bytes alone.
 */
export function headerFields(header) {
  const bits = bitsOf(header);
  const fields = [];
  let position = 0;
  const take = (name, size) => {
    const part = bits.slice(position, (position += size));
    const value = BigInt(`0b${part || 0}`);
    fields.push({ name, bits: part, value: value > Number.MAX_SAFE_INTEGER ? value : Number(value) });
    return fields.at(-1).value;
  };
  for (const name of ["fin", "rsv1", "rsv2", "rsv3"]) take(name, 1);
  take("opcode", 4);
  const masked = take("mask", 1);
  const length = take("length", 7);
  if (length === 126) take("extended", 16);
  if (length === 127) take("extended", 64);
  if (masked) {
    take("key", 32);
    fields.at(-1).value = header.slice(-8);
  }
  return fields;
}

/** The length of the payload that a header announces. */
export function lengthOf(header) {
  const fields = headerFields(header);
  const named = (name) => fields.find((field) => field.name === name)?.value;
  return named("extended") ?? named("length");
}

/**
 * A frame of the server as it must have been on the wire: not masked, in one piece, the length in
 * its shortest form. `payload`: the beginning of its payload in hex.
 */
export function reconstructFrame(opcode, payload, length) {
  const unmasked = payload.slice(0, 2 * KEPT);
  const header = [0x80 | opcode];
  if (length <= 125) header.push(length);
  else if (length <= 0xffff) header.push(126, length >> 8, length & 0xff);
  else {
    header.push(127);
    for (let shift = 56n; shift >= 0n; shift -= 8n) header.push(Number((BigInt(length) >> shift) & 0xffn));
  }
  return {
    fin: true,
    rsv1: false,
    rsv2: false,
    rsv3: false,
    opcode,
    name: OPCODES[opcode],
    masked: false,
    masking_key: null,
    payload_length: length,
    length_bits: length <= 125 ? 7 : length <= 0xffff ? 16 : 64,
    header: toHex(header),
    payload: {
      masked: null,
      unmasked,
      omitted: length - unmasked.length / 2,
    },
  };
}

/** The server's close frame, as the browser's close event tells it: 1005 stands for no code. */
export function reconstructClose(code, reason) {
  const text = new TextEncoder().encode(reason);
  const payload = code === 1005 ? "" : toHex([code >> 8, code & 0xff, ...text]);
  return reconstructFrame(8, payload, payload.length / 2);
}

/** The code and the reason in a close frame's payload; null where it has none. */
export function closePayload(hex) {
  if (hex.length < 4) return null;
  const reason = Uint8Array.from(octetsOf(hex.slice(4)), (octet) => parseInt(octet, 16));
  return { code: parseInt(hex.slice(0, 4), 16), reason: new TextDecoder().decode(reason) };
}
