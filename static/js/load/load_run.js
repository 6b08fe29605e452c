/*
 * One run of the load: a WebSocket, and the messages that go out over it and come back.
 */

import { toHex } from "../ui/hex.js";
import { spelled } from "../ui/safe_text.js";

const TURN_MS = 12; // of work at a stretch: then the page may draw and answer its visitor
const SHIFTS = 1021; // so many messages in a row differ from each other (where size allows)

export class LoadRun {
  done = 0; // messages that came back unchanged
  opened = false;
  stopped = false; // by the visitor
  #sent = 0;
  #over = false;
  #turn = null; // when this stretch of work began
  #yielding = new MessageChannel();

  /** Calls `onEnd(this, say)` once; `say(texts)` tells in words of `texts.load` how it ended. */
  constructor(address, { messages, size, window }, onEnd) {
    Object.assign(this, { messages, size, window, onEnd });
    this.times = new Float64Array(messages); // of the round trips, in milliseconds
    this.sentAt = new Float64Array(messages);
    this.pattern = randomBytes(size + SHIFTS);
    this.#yielding.port1.onmessage = () => {
      this.#turn = null;
      this.#fill();
    };
    this.socket = new WebSocket(address);
    this.socket.binaryType = "arraybuffer";
    this.socket.addEventListener("open", () => this.#open());
    this.socket.addEventListener("message", ({ data }) => this.#over || this.#receive(data));
    this.socket.addEventListener("close", (event) => this.#closed(event));
  }

  /** From the first message out to the last one back (or to now, while it goes on). */
  get seconds() {
    return ((this.endedAt ?? performance.now()) - this.began) / 1000;
  }

  get complete() {
    return this.done === this.messages;
  }

  stop() {
    this.stopped = true;
    this.#end((t) => t.stopped(this.done, this.messages));
  }

  /** Message `i`: a stretch of the random bytes that begins where no neighbour's does. */
  #payload(i) {
    const from = i % SHIFTS;
    return this.pattern.subarray(from, from + this.size);
  }

  #open() {
    if (this.#over) return;
    this.opened = true;
    this.began = performance.now();
    this.#fill();
  }

  /** Sends what may be in flight, unless it is the page's turn. */
  #fill() {
    while (!this.#over && this.#sent < this.messages && this.#sent - this.done < this.window) {
      if (this.#tired()) return;
      this.sentAt[this.#sent] = performance.now();
      this.socket.send(this.#payload(this.#sent));
      this.#sent += 1;
    }
  }

  #tired() {
    const now = performance.now();
    if (this.#turn === null) {
      this.#turn = now;
      this.#yielding.port2.postMessage(null); // comes back after whatever waits by then
    }
    return now - this.#turn > TURN_MS;
  }

  #receive(data) {
    const now = performance.now();
    const wrong = this.#fault(data);
    if (wrong) return this.#end(wrong);
    this.times[this.done] = now - this.sentAt[this.done];
    this.done += 1;
    if (!this.complete) return this.#fill();
    this.endedAt = now;
    this.#end((t) => t.done(this.messages, this.seconds));
  }

  /** How what came differs from what was sent, as a function of the texts. */
  #fault(data) {
    const message = this.done + 1;
    if (message > this.#sent) return (t) => t.changed.extra;
    if (typeof data === "string") return (t) => t.changed.kind(message);
    const got = new Uint8Array(data);
    const sent = this.#payload(this.done);
    if (got.length !== sent.length) return (t) => t.changed.length(message, got.length, sent.length);
    let i = 0;
    while (i < sent.length && got[i] === sent[i]) i += 1;
    if (i === sent.length) return null;
    return (t) => t.changed.byte(message, i + 1, toHex([got[i]]), toHex([sent[i]]));
  }

  #closed({ code, reason }) {
    if (!this.opened) return this.#end((t) => t.noConnection);
    this.#end((t) => t.ended(this.done, this.messages, code, spelled(reason)));
  }

  #end(say) {
    if (this.#over) return;
    this.#over = true;
    this.endedAt ??= performance.now();
    this.#yielding.port1.close();
    this.socket.close(1000);
    this.onEnd(this, say);
  }
}

function randomBytes(length) {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i += 65_536) crypto.getRandomValues(bytes.subarray(i, i + 65_536));
  return bytes;
}
