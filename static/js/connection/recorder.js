/*
 * What the client experiences, written into the log: one entry for each event and message, and one
 * for each frame that is known, be it reported by the inspector or reconstructed.
 */

import { toHex } from "../ui/hex.js";
import { countCharacters } from "../ui/safe_text.js";
import { askServer } from "./client.js";

const STORED = 4096; // characters of a text or bytes of a binary message that an entry keeps
const ASK_AGAIN_MS = [500, 1000, 2000]; // while the server has not yet noticed the end

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export class Recorder {
  #log;
  #addressOf;
  #onRoundTrip;
  #failed = null; // the entry that tells of the present row of failed attempts
  #unanswered = null; // the newest ended connection of which the server could not be asked

  /** `addressOf(id)`: where to ask for a connection; `onRoundTrip(ms)`: told of each answer. */
  constructor(log, addressOf, onRoundTrip) {
    [this.#log, this.#addressOf, this.#onRoundTrip] = [log, addressOf, onRoundTrip];
  }

  opened(link, ms) {
    this.#failed = null;
    const { target, address, socket } = link;
    const { protocol, extensions } = socket;
    this.#add(link, "opened", { target, address, ms, protocol, extensions });
    if (this.#unanswered) this.#ask(this.#unanswered, []);
    this.#unanswered = null;
  }

  stopped() {
    this.#failed = null;
    this.#add(null, "stopped");
  }

  sent(link, payload) {
    const frames = link.target === "inspect" ? "reported" : "unseen";
    return this.#add(link, "message", { direction: "sent", ...stored(payload), frames, state: "waiting" });
  }

  received(link, payload, now) {
    const report = link.target === "inspect" ? parseReport(payload) : null;
    const answers = report ? report.type === "message" : true;
    const sent = answers ? link.waiting.shift() : undefined; // answers come in the messages' order
    if (report) this.#addReport(link, report); // of what was there before it
    const certain = !link.socket.extensions; // nothing stands between the message and its frame
    const entry = this.#add(link, "message", {
      direction: "received",
      ...stored(payload),
      ms: sent ? now - sent.sentAt : null,
      frames: certain ? "reconstructed" : "unseen",
      state: stateOf(link, report, sent, payload),
      _report: report,
    });
    if (!sent) return;
    this.#log.change(sent.entry, { state: "answered" });
    this.#onRoundTrip(entry.ms);
  }

  /** The end of a connection or of an attempt. */
  closed(link, { code, reason, wasClean }, attempts) {
    for (const { entry } of link.waiting) this.#log.change(entry, { state: "unanswered" });
    if (!link.opened && link.leaving) return this.#add(link, "cancelled", { code });
    if (!link.opened) {
      // A server that is away for hours makes one entry that counts, not hundreds.
      if (this.#failed && this.#failed === this.#log.entries.at(-1)) this.#log.remove(this.#failed);
      this.#failed = this.#add(link, "failed", { code, attempts, server: { state: "asking" } });
      this.#askWhy(this.#failed);
      return this.#failed;
    }
    this.#failed = null;
    let by = wasClean ? "server" : "lost";
    if (link.leaving) by = wasClean ? "you" : "unanswered";
    const entry = this.#add(link, "closed", {
      by, code, reason, clean: wasClean, asked: link.leaving, server: { state: "asking" },
    });
    this.#ask(entry, ASK_AGAIN_MS);
    return entry;
  }

  async #ask(entry, [pause, ...pauses]) {
    const server = await askServer(this.#addressOf(entry.connection));
    this.#log.change(entry, { server });
    if (server.state === "unreachable") this.#unanswered = entry;
    if (server.state === "open" && pause) setTimeout(() => this.#ask(entry, pauses), pause);
  }

  async #askWhy(entry) {
    this.#log.change(entry, { server: await askServer(this.#addressOf(entry.connection)) });
  }

  #addReport(link, report) {
    const { type } = report;
    if (type === "handshake") this.#add(link, "handshake", { report });
    const single = report.frame ? [report.frame] : [];
    const frames = Array.isArray(report.frames) ? report.frames : single;
    const total = frames.length + (report.frames_omitted ?? 0);
    for (const [i, frame] of frames.entries()) {
      const last = i === frames.length - 1;
      this.#add(link, "frame", {
        from: "client",
        source: type === "failure" && last ? "failed" : "reported",
        frame,
        compressed: typeof report.compressed_bytes === "number",
        part: type === "message" ? { index: i + 1, of: total, message: report.number } : null,
        // What is known of the whole message stands with the last frame that was reported.
        message: type === "message" && last ? { ...report, frames: undefined } : null,
      });
    }
    // A flood of tiny frames gets reports that only count them.
    if (total && !frames.length) this.#add(link, "brief", { report });
    if (type === "failure") this.#add(link, "failure", { code: report.code, reason: report.reason });
  }

  #add(link, type, details) {
    const at = new Date().toISOString();
    return this.#log.add({ at, connection: link?.id ?? null, type, ...details });
  }
}

/** What an entry keeps of a message. */
function stored(payload) {
  if (typeof payload !== "string") {
    const omitted = Math.max(0, payload.length - STORED);
    return { kind: "binary", bytes: payload.length, hex: toHex(payload.subarray(0, STORED)), omitted };
  }
  const utf8 = encoder.encode(payload);
  const end = payload.length > STORED && isHigh(payload, STORED - 1) ? STORED - 1 : STORED;
  // Through bytes and back: a slice would keep the whole of a long text in memory.
  const text = payload.length > STORED ? decoder.decode(encoder.encode(payload.slice(0, end))) : payload;
  return { kind: "text", bytes: utf8.length, text, omitted: countCharacters(payload.slice(end)) };
}

const isHigh = (text, index) => (text.charCodeAt(index) & 0xfc00) === 0xd800;

function stateOf(link, report, sent, payload) {
  if (link.target === "inspect") return report ? "report" : "bad-report";
  if (!sent) return "unasked";
  return same(sent.payload, payload) ? "echo" : "different";
}

function same(a, b) {
  if (typeof a === "string" || typeof b === "string") return a === b;
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

/** A report of the inspector; null for what is none. */
function parseReport(payload) {
  try {
    const report = JSON.parse(payload);
    return report?.version === 2 && typeof report.type === "string" ? report : null;
  } catch {
    return null;
  }
}
