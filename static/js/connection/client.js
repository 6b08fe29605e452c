/*
 * The connection: connects, reconnects with growing pauses, sends, closes. It knows nothing of the
 * page; what happens it tells to the handlers it was given.
 *
 * A link is one connection from its first attempt to its end: {id, target, address, protocols,
 * socket, opened, leaving, over, waiting, started}. `leaving` is what the visitor closes it with, or
 * null; `over` is set when its end was told; `waiting` are the messages sent on it that nothing has
 * answered yet.
 */

const PAUSE_MS = 30_000; // the longest wait between two attempts to connect
const HEALTHY_MS = 5_000; // a connection this old has proved itself: waits start from 1 s again
const KNOWN = ["open", "closed", "refused"]; // what the server says of an id that it knows
const REASON = 500; // characters of an answer that is no record
const PATIENCE_MS = 1_000; // for the old connection to close before the new one is opened
const GIVE_UP_MS = 5_000; // for the server to answer a close; a browser may wait for minutes

export class Client {
  #link = null; // the connection that counts; another may still be closing
  #failures = 0; // connections and attempts that ended unasked since the last healthy one
  #attempts = 0; // of these, the attempts since there last was a connection: the number shown
  #retryTimer; // set only while waiting for the next attempt
  #healthyTimer; // set only while a young connection proves itself
  #againTimer; // set only while a connection closes to make room for the next
  #giveUpTimer; // set only while a connection closes for good
  #handlers;

  /**
   * `plan()` says where to connect: {target, address, protocols, id}. The other handlers are
   * state(name, detail), opened(link, ms), message(link, payload, now), closed(link, event,
   * attempts) and stopped().
   */
  constructor(handlers) {
    this.#handlers = handlers;
  }

  get link() {
    return this.#link;
  }

  get waiting() {
    return this.#retryTimer !== undefined;
  }

  get isOpen() {
    return this.#link?.socket.readyState === WebSocket.OPEN && !this.#link.leaving;
  }

  /** Connects, unless there is a connection. */
  connect() {
    if (this.#link) return; // one connection at a time, whoever asks
    this.#stopTimers();
    const plan = this.#handlers.plan();
    const socket = new WebSocket(plan.address, plan.protocols);
    socket.binaryType = "arraybuffer";
    const link = { ...plan, socket, opened: false, leaving: null, over: false, waiting: [], started: performance.now() };
    this.#link = link;
    socket.addEventListener("open", () => this.#onOpen(link));
    socket.addEventListener("message", (event) => this.#onMessage(link, event));
    socket.addEventListener("close", (event) => this.#onClose(link, event));
    if (this.#failures) this.#tell("reconnecting", { attempt: this.#attempts + 1 });
    else this.#tell("connecting");
  }

  /** The visitor's wish to connect, which starts the growing waits anew. */
  connectByHand() {
    if (this.#link) return this.reconnect();
    if (!this.waiting) this.#failures = this.#attempts = 0;
    this.connect();
  }

  /** Closes the connection in order, if there is one, and opens the next. */
  reconnect() {
    const link = this.#link;
    if (this.#againTimer !== undefined) return;
    if (!link) return this.connectByHand();
    link.leaving ??= { code: 1000, reason: "" };
    this.#againTimer = setTimeout(() => this.#connectAgain(), PATIENCE_MS);
    this.#tell("disconnecting");
    link.socket.close(1000);
  }

  #connectAgain() {
    this.#stopTimers();
    this.#link = null; // an old connection that is still closing does that on its own
    this.#failures = this.#attempts = 0;
    this.connect();
  }

  /** The visitor's wish to be disconnected: nothing reconnects after this. */
  close(code = 1000, reason = "") {
    const link = this.#link;
    if (link && !link.leaving) {
      link.socket.close(code, reason); // throws, before anything changes, what may not be sent
      link.leaving = { code, reason };
      this.#giveUpTimer = setTimeout(() => this.giveUp(), GIVE_UP_MS);
      this.#tell("disconnecting");
    } else if (this.waiting) {
      this.#stopTimers();
      this.#handlers.stopped();
      this.#tell("disconnected");
    }
  }

  /** Waits no longer for the answer to a close, nor connects after it: the connection counts as lost. */
  giveUp() {
    const link = this.#link;
    if (!link?.leaving) return;
    clearTimeout(this.#againTimer);
    this.#againTimer = undefined;
    this.#onClose(link, { code: 1006, reason: "", wasClean: false });
  }

  /** Sends; false when there is no connection. `entry` comes back in the link's `waiting`. */
  send(payload, entry) {
    if (!this.isOpen) return false;
    this.#link.waiting.push({ payload, entry, sentAt: performance.now() });
    this.#link.socket.send(payload);
    return true;
  }

  /** The network or the visitor came back: no point in waiting out the pause. */
  retryAtOnce() {
    if (this.waiting) this.connect();
  }

  #onOpen(link) {
    link.opened = true;
    link.openedAt = performance.now();
    if (link !== this.#link || link.leaving) return;
    this.#attempts = 0;
    this.#healthyTimer = setTimeout(() => (this.#failures = 0), HEALTHY_MS);
    this.#handlers.opened(link, link.openedAt - link.started);
    this.#tell("connected");
  }

  #onMessage(link, event) {
    const now = performance.now();
    if (link === this.#link) this.#failures = 0; // it works: the next failure is a first one
    const payload = typeof event.data === "string" ? event.data : new Uint8Array(event.data);
    this.#handlers.message(link, payload, now);
  }

  #onClose(link, event) {
    if (link.over) return; // given up before
    link.over = true;
    const current = link === this.#link;
    const again = current && this.#againTimer !== undefined;
    if (current) {
      this.#link = null;
      this.#stopTimers();
      if (!link.leaving) this.#failures += 1;
      if (!link.opened) this.#attempts += 1;
    }
    this.#handlers.closed(link, event, this.#attempts);
    if (again) this.#connectAgain();
    else if (current && link.leaving) this.#tell("disconnected");
    else if (current) this.#waitToRetry();
  }

  /** Counts down to the next attempt: about 1, 2, 4, 8, 16 and then every 30 seconds. */
  #waitToRetry() {
    const longest = Math.min(PAUSE_MS, 1000 * 2 ** (this.#failures - 1));
    // A little less at random, so that a restarted server is not met by all its pages at once.
    const due = performance.now() + longest * (0.8 + 0.2 * Math.random());
    const tick = () => {
      const left = due - performance.now();
      if (left <= 0) return this.connect();
      this.#retryTimer = setTimeout(tick, left % 1000 || 1000); // wakes when the number changes
      const detail = { seconds: Math.ceil(left / 1000), attempt: this.#attempts + 1 };
      this.#tell("reconnecting", detail);
    };
    tick();
  }

  #stopTimers() {
    const timers = [this.#retryTimer, this.#healthyTimer, this.#againTimer, this.#giveUpTimer];
    for (const timer of timers) clearTimeout(timer);
    this.#retryTimer = this.#healthyTimer = this.#againTimer = this.#giveUpTimer = undefined;
  }

  #tell(state, detail = null) {
    this.#handlers.state(state, detail);
  }
}

/** An id for a connection: 16 random bytes in base64url, which nobody else can guess. */
export function makeId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return btoa(String.fromCharCode(...bytes)).replace(/[+/=]/g, (c) => ({ "+": "-", "/": "_" })[c] ?? "");
}

/**
 * What the server knows of a connection or of a refused handshake: its answer, or {state: "unknown"}
 * when it knows the id not or no more, or {state: "unreachable"}, with `status` and `reason` of
 * another answer. Never throws.
 */
export async function askServer(address, timeoutMs = 5_000) {
  try {
    const response = await fetch(address, {
      cache: "no-store",
      credentials: "omit",
      signal: AbortSignal.timeout(timeoutMs),
    });
    if (response.status === 404) return { state: "unknown" };
    if (!response.ok) {
      const reason = (await response.text()).trim().slice(0, REASON);
      return { state: "unreachable", status: response.status, reason };
    }
    const answer = await response.json();
    return KNOWN.includes(answer?.state) ? answer : { state: "unreachable" };
  } catch {
    return { state: "unreachable" };
  }
}
