"use strict";

/*
 * The echo page: one WebSocket to the server that served the page, a field to send from, and a
 * list of what went out and what came back.
 *
 * Whatever arrives is hostile until shown: it reaches the page only as text nodes, cut to a stated
 * length, with the characters that cannot be seen (or that would reorder their surroundings)
 * spelled out.
 */

const LIMITS = {
  entries: 500, // the list keeps the newest of them
  characters: 1000, // of one text message that are shown,
  lines: 20, // and in no more lines than this
  bytes: 256, // of one binary message that are shown
  pauseMs: 30_000, // the longest wait between two attempts to connect
  healthyMs: 5_000, // a connection this old has proved itself: waits start from 1 s again
};

const number = new Intl.NumberFormat("en");
const count = (n, one, many = `${one}s`) => `${number.format(n)} ${n === 1 ? one : many}`;

/* Every word the script writes. A second language is a second table like this one (and a second
 * template for the words that never change). */
const TEXTS = {
  states: {
    connecting: "Connecting",
    connected: "Connected",
    reconnecting: "Reconnecting",
    disconnecting: "Disconnecting",
    disconnected: "Disconnected",
  },
  retryIn: (seconds, attempt) => `in ${seconds} s (attempt ${attempt})`,
  retryNow: (attempt) => `trying now (attempt ${attempt})`,
  connect: "Connect",
  connectNow: "Connect now",
  disconnect: "Disconnect",
  stop: "Stop",

  hints: {
    text: "Enter sends, Shift + Enter starts a new line.",
    binary: "Two hex digits for each byte, such as 48 65 6c 6c 6f. Spaces, colons and 0x are welcome.",
  },
  notConnected: "Nothing was sent: there is no connection. Connect first, your message stays here.",
  badHex: (character, position) =>
    `Nothing was sent: ${character} at position ${position} is not a hex digit (0–9, a–f).`,
  oddHex: (digits, position) =>
    `Nothing was sent: an odd number of hex digits (${digits}) at position ${position}. Each byte takes two.`,

  directions: { sent: ["↑", "Sent"], received: ["↓", "Received"], event: ["•", "Connection"] },
  bytes: (n) => count(n, "byte"),
  milliseconds: (ms) => `${ms < 10 ? ms.toFixed(1) : number.format(Math.round(ms))} ms`,
  hex: "hex",
  empty: "(empty message)",
  moreCharacters: (shown, left) =>
    `… first ${count(shown, "character")} shown, ${number.format(left)} more left out`,
  moreBytes: (left) => `… ${count(left, "more byte")}`,
  dropped: (n) => `${count(n, "older entry", "older entries")} dropped`,
  noAnswer: "no answer",
  different: "This is not what was sent: the echo differs from the message it answers.",
  unasked: "Nothing was waiting for an answer: this message is no echo.",

  connected: (ms) => `Connected in ${ms}`,
  stopped: "You stopped the attempts to connect",
  cancelled: "You cancelled the attempt to connect",
  closedByYou: "You closed the connection",
  closedByServer: "The server closed the connection",
  lost: "The connection was lost",
  failed: (attempts) =>
    attempts > 1 ? `Could not connect, ${count(attempts, "attempt")} so far` : "Could not connect",
  refused:
    "The server did not answer or refused the handshake (the browser does not tell scripts which). " +
    "Is the server running, and does it accept this page’s origin?",
  unanswered: "The server did not confirm the close in time, so the browser gave up waiting.",
  reason: "Reason given: ",

  // The names are those of the IANA registry (RFC 6455, section 11.7), then what to make of it.
  closeCodes: {
    1000: ["Normal Closure", "The connection did what it was for and ended in order."],
    1001: ["Going Away", "The server is shutting down, or the page was left. Try again once it is back."],
    1002: ["Protocol Error", "One side sent something that is not WebSocket. A proxy in between may have changed it."],
    1003: ["Unsupported Data", "The server does not take this kind of message. Try text in place of binary, or the other way round."],
    1004: ["Reserved", "This code has no meaning yet. The other side should not have used it."],
    1005: ["No Status Received", "The connection was closed in order, but no code was given."],
    1006: ["Abnormal Closure", "It broke off without a closing handshake: the server died, the network failed or a proxy gave up."],
    1007: ["Invalid Payload Data", "A message did not match its type, such as text that is not UTF-8."],
    1008: ["Policy Violation", "The server has a rule against what was sent or how often. The reason, if one is given, says more."],
    1009: ["Message Too Big", "The message was larger than the server takes. Send a smaller one, or start the server with a larger --max-message-size."],
    1010: ["Mandatory Extension", "The browser wanted an extension that the server did not agree to."],
    1011: ["Internal Error", "Something went wrong inside the server. Its log says what."],
    1012: ["Service Restart", "The server is restarting and should be back shortly."],
    1013: ["Try Again Later", "The server has too much to do at the moment. Wait a little before you connect again."],
    1014: ["Bad Gateway", "A proxy in between got no valid answer from the server behind it."],
    1015: ["TLS Handshake", "No secure connection came about. The server’s certificate may not be valid for this address."],
    3000: ["Unauthorized", "The server wants to know who you are first."],
    3003: ["Forbidden", "The server knows who you are and does not allow this."],
    3008: ["Timeout", "The server waited too long for something."],
  },
  closeRanges: [
    [3000, 3999, ["Registered Code", "A library or framework defined this code. Its documentation says what it means."]],
    [4000, 4999, ["Private Code", "This application defined the code itself. It has no public meaning."]],
    [0, 65535, ["Unknown Code", "This code is not registered."]],
  ],
};

const $ = (id) => document.getElementById(id);
const [stateText, stateDetail, connectButton, disconnectButton] =
  ["state", "state-detail", "connect", "disconnect"].map($);
const [logView, log, followButton, dropNote] = ["log-view", "log", "follow", "dropped"].map($);
const [composer, message, sendButton, hint, errorText] =
  ["composer", "message", "send", "hint", "error"].map($);

/** An element of a class holding text (never markup) and other elements. */
function make(tag, className, ...children) {
  const element = document.createElement(tag);
  element.className = className;
  element.append(...children);
  return element;
}

/* ---- The connection ------------------------------------------------------------------------- */

const address = Object.assign(new URL(document.querySelector("main").dataset.echoPath, location.href), {
  protocol: location.protocol === "https:" ? "wss:" : "ws:",
}).href;

let link = null; // the connection, from its first attempt to its end; events of any other are ignored
let failures = 0; // connections and attempts that ended unasked since the last healthy one: sets the pause
let attempts = 0; // of these, the attempts since there last was a connection: the number shown
let failedEntry = null; // the entry that tells of the present row of failed attempts
let retryTimer; // set only while waiting for the next attempt
let healthyTimer; // set only while a young connection proves itself

function stopTimers() {
  clearTimeout(retryTimer);
  clearTimeout(healthyTimer);
  retryTimer = healthyTimer = undefined;
}

function connect() {
  if (link) return; // one connection at a time, whoever asks
  stopTimers();
  const socket = new WebSocket(address);
  socket.binaryType = "arraybuffer";
  const mine = { socket, opened: false, leaving: false, waiting: [], started: performance.now() };
  link = mine;
  for (const [type, handler] of Object.entries({ open: onOpen, message: onMessage, close: onClose })) {
    // A late event of a connection that is over must not touch the one that followed it.
    socket.addEventListener(type, (event) => mine === link && handler(mine, event));
  }
  if (failures) showState("reconnecting", TEXTS.retryNow(attempts + 1));
  else showState("connecting");
}

function onOpen(mine) {
  mine.opened = true;
  attempts = 0;
  failedEntry = null;
  healthyTimer = setTimeout(() => (failures = 0), LIMITS.healthyMs);
  setError("");
  showState("connected");
  addEvent("opened", "good", TEXTS.connected(TEXTS.milliseconds(performance.now() - mine.started)));
}

function onClose(mine, event) {
  link = null;
  stopTimers();
  for (const sent of mine.waiting) markUnanswered(sent.entry);
  if (!mine.leaving) failures += 1;
  if (!mine.opened) attempts += 1;
  addCloseEntry(mine, event);
  if (mine.leaving) showState("disconnected");
  else waitToRetry();
}

/** Counts down to the next attempt: about 1, 2, 4, 8, 16 and then every 30 seconds. */
function waitToRetry() {
  const longest = Math.min(LIMITS.pauseMs, 1000 * 2 ** (failures - 1));
  // A little less at random, so that a restarted server is not met by all its pages at once.
  const due = performance.now() + longest * (0.8 + 0.2 * Math.random());
  const tick = () => {
    const left = due - performance.now();
    if (left <= 0) return connect();
    retryTimer = setTimeout(tick, left % 1000 || 1000); // wakes when the number shown changes
    showState("reconnecting", TEXTS.retryIn(Math.ceil(left / 1000), attempts + 1));
  };
  tick();
}

/** The visitor's wish to connect, which starts the growing waits anew. */
function connectByHand() {
  if (!link && retryTimer === undefined) failures = attempts = 0;
  connect();
}

/** The visitor's wish to be disconnected: nothing reconnects after this. */
function disconnect() {
  if (link && !link.leaving) {
    link.leaving = true;
    showState("disconnecting");
    link.socket.close(1000);
  } else if (retryTimer !== undefined) {
    stopTimers();
    failedEntry = null;
    addEvent("stopped", "info", TEXTS.stopped);
    showState("disconnected");
  }
}

/** The network or the visitor came back: no point in waiting out the pause. */
function retryAtOnce() {
  if (retryTimer !== undefined && document.visibilityState === "visible") connect();
}

function showState(state, detail = "") {
  // The word is a live region, the countdown beside it is not: it would be read out every second.
  if (stateText.dataset.state !== state) {
    stateText.dataset.state = state;
    stateText.textContent = TEXTS.states[state];
  }
  stateDetail.textContent = detail;
  const waiting = retryTimer !== undefined;
  connectButton.textContent = waiting ? TEXTS.connectNow : TEXTS.connect;
  disconnectButton.textContent = /^(re)?connecting$/.test(state) ? TEXTS.stop : TEXTS.disconnect;
  setEnabled(connectButton, !link);
  setEnabled(disconnectButton, waiting || (link && !link.leaving));
  setEnabled(sendButton, state === "connected");
  showDetail("protocol", state === "connected" && link.socket.protocol);
  showDetail("extensions", state === "connected" && link.socket.extensions);
}

/** aria-disabled and not disabled: a disabled button would lose the keyboard's focus. */
function setEnabled(button, enabled) {
  button.setAttribute("aria-disabled", String(!enabled));
}

function showDetail(id, value) {
  $(id).textContent = value || "";
  $(id).parentElement.hidden = !value;
}

/* ---- Sending and receiving ------------------------------------------------------------------ */

function send() {
  if (link?.socket.readyState !== WebSocket.OPEN || link.leaving) return setError(TEXTS.notConnected);
  const kind = composer.elements.kind.value;
  let payload;
  try {
    payload = kind === "binary" ? parseHex(message.value) : wellFormed(message.value);
  } catch (error) {
    if (!(error instanceof HexError)) throw error;
    message.setAttribute("aria-invalid", "true");
    return setError(error.message);
  }
  setError("");
  message.value = "";
  following = true; // whoever sends wants to see the answer
  const entry = addMessage("sent", payload); // first, so that drawing it is no part of the round trip
  link.waiting.push({ payload, entry, sentAt: performance.now() });
  link.socket.send(payload);
}

function onMessage(mine, event) {
  const now = performance.now();
  const payload = typeof event.data === "string" ? event.data : new Uint8Array(event.data);
  failures = 0; // it works, so the next failure is a first one
  const sent = mine.waiting.shift(); // echoes come in the order of the messages
  const entry = addMessage("received", payload, sent && now - sent.sentAt);
  if (!sent) addProblem(entry, TEXTS.unasked);
  else if (!same(sent.payload, payload)) addProblem(entry, TEXTS.different);
}

function same(a, b) {
  if (typeof a === "string" || typeof b === "string") return a === b;
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

/** The text as WebSocket.send sends it: half a surrogate pair becomes U+FFFD. */
function wellFormed(text) {
  return text.toWellFormed?.() ?? text.replace(/\p{Surrogate}/gu, "\uFFFD");
}

class HexError extends Error {}

function parseHex(text) {
  const position = (index) => number.format(countCharacters(text.slice(0, index)) + 1);
  const bytes = [];
  for (const { 0: group, index } of text.matchAll(/[^\s:]+/g)) {
    const start = /^0x./i.test(group) ? 2 : 0;
    const bad = group.slice(start).search(/[^0-9a-f]/i);
    if (bad >= 0) {
      const at = index + start + bad;
      const character = String.fromCodePoint(text.codePointAt(at));
      throw new HexError(TEXTS.badHex(quote(character), position(at)));
    }
    const digits = group.length - start;
    if (digits % 2) throw new HexError(TEXTS.oddHex(number.format(digits), position(index)));
    for (let i = start; i < group.length; i += 2) bytes.push(parseInt(group.slice(i, i + 2), 16));
  }
  return Uint8Array.from(bytes);
}

function setError(text) {
  if (errorText.textContent !== text) errorText.textContent = text;
  if (!text) message.removeAttribute("aria-invalid");
}

/* ---- Showing payloads ----------------------------------------------------------------------- */

/* Control characters, line separators, everything invisible or direction-changing, and what is no
 * character at all. Line feed and tab do their work, and so do the joiners inside emoji. */
const UNSEEN =
  /(?![\n\t]|(?<=\p{Emoji})\uFE0F|(?<=[\p{Extended_Pictographic}\p{EMod}\uFE0F])\u200D(?=\p{Extended_Pictographic}))[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\p{DI}\p{Bidi_C}\p{NChar}\uFFF9-\uFFFB]/gu;

const codePoint = (character) =>
  `U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;

/** A character in quotes, or its code point where quotes would hold nothing visible. */
function quote(character) {
  return character.search(UNSEEN) < 0 ? `“${character}”` : codePoint(character);
}

/** Text with its unseen characters spelled out, isolated from the direction of its surroundings. */
function visible(text) {
  const body = make("bdi", "body");
  let from = 0;
  for (const match of text.matchAll(UNSEEN)) {
    body.append(text.slice(from, match.index), make("span", "unseen", codePoint(match[0])));
    from = match.index + match[0].length;
  }
  body.append(text.slice(from));
  return body;
}

/** The number of characters, not of UTF-16 units, of which some characters take two. */
function countCharacters(text) {
  return text.length - (text.match(/[\u{10000}-\u{10FFFF}]/gu)?.length ?? 0);
}

/** Where to cut a text, in UTF-16 units and in characters. */
function cut(text) {
  let units = 0;
  let characters = 0;
  let lines = 1;
  for (const character of text) {
    if (characters === LIMITS.characters) break;
    if (character === "\n" && ++lines > LIMITS.lines) break;
    units += character.length;
    characters += 1;
  }
  return { units, characters };
}

function showText(text) {
  if (!text) return [make("span", "note", TEXTS.empty)];
  const { units, characters } = cut(text);
  const parts = [visible(text.slice(0, units))];
  if (units < text.length) {
    const left = countCharacters(text.slice(units));
    parts.push(make("span", "note", TEXTS.moreCharacters(characters, left)));
  }
  return parts;
}

function showBytes(bytes) {
  if (!bytes.length) return [make("span", "note", TEXTS.empty)];
  const body = make("bdi", "body");
  for (let i = 0; i < Math.min(bytes.length, LIMITS.bytes); i += 8) {
    // Groups of eight that wrap as a whole: the dump lines up at any width.
    const octets = Array.from(bytes.subarray(i, i + 8), (byte) => byte.toString(16).padStart(2, "0"));
    body.append(make("span", "octets", octets.join(" ")), " ");
  }
  const parts = [make("span", "tag", TEXTS.hex), body];
  if (bytes.length > LIMITS.bytes) {
    parts.push(make("span", "note", TEXTS.moreBytes(bytes.length - LIMITS.bytes)));
  }
  return parts;
}

/* ---- The list ------------------------------------------------------------------------------- */

const encoder = new TextEncoder();
let dropped = 0;
let following = true; // the view stays at the newest entry until the visitor scrolls up

function addEntry(direction, kind, payload, size = "", rtt = "") {
  const now = new Date();
  const pad = (n, width = 2) => String(n).padStart(width, "0");
  const time = make(
    "time",
    "time",
    `${pad(now.getHours())}:${pad(now.getMinutes())}:${pad(now.getSeconds())}.${pad(now.getMilliseconds(), 3)}`,
  );
  time.dateTime = now.toISOString();
  const [glyph, word] = TEXTS.directions[direction];
  const arrow = make("span", "glyph", glyph);
  arrow.setAttribute("aria-hidden", "true");
  const entry = make(
    "li",
    "",
    time,
    make("span", "direction", arrow, " ", make("span", "word", word)),
    make("div", "payload", ...payload),
    make("span", "size", size),
    make("span", "rtt", rtt),
  );
  Object.assign(entry.dataset, { direction, kind });
  log.append(entry);
  while (log.childElementCount > LIMITS.entries) {
    log.firstElementChild.remove();
    dropped += 1;
  }
  showDropped();
  scrollToNewest();
  return entry;
}

function addMessage(direction, payload, rtt) {
  const isText = typeof payload === "string";
  return addEntry(
    direction,
    isText ? "text" : "binary",
    isText ? showText(payload) : showBytes(payload),
    TEXTS.bytes(isText ? encoder.encode(payload).length : payload.length),
    rtt === undefined ? "" : TEXTS.milliseconds(rtt),
  );
}

function addEvent(kind, level, title, ...more) {
  const entry = addEntry("event", kind, [make("strong", "title", title), ...more]);
  entry.dataset.level = level;
  return entry;
}

function addProblem(entry, text) {
  entry.dataset.level = "bad";
  entry.querySelector(".payload").append(make("span", "problem", text));
  scrollToNewest();
}

function markUnanswered(entry) {
  entry.dataset.level = "bad";
  entry.querySelector(".rtt").textContent = TEXTS.noAnswer;
}

/** Says who closed, as far as the browser can know, with which code, and what that means. */
function addCloseEntry(mine, { code, reason, wasClean }) {
  const [name, meaning] =
    TEXTS.closeCodes[code] ?? TEXTS.closeRanges.find(([low, high]) => low <= code && code <= high)[2];
  const kind = mine.opened || mine.leaving ? "closed" : "failed";
  let who = wasClean ? TEXTS.closedByServer : TEXTS.lost;
  let explanation = meaning;
  if (mine.leaving) {
    who = mine.opened ? TEXTS.closedByYou : TEXTS.cancelled;
    if (!wasClean) explanation = mine.opened ? TEXTS.unanswered : "";
  } else if (!mine.opened) {
    who = TEXTS.failed(attempts);
    explanation = TEXTS.refused;
  }
  const parts = [make("span", "code", `${code} ${name}`)];
  if (explanation) parts.push(make("span", "explanation", explanation));
  if (reason) parts.push(make("span", "reason", TEXTS.reason, visible(reason)));
  // A server that is away for hours makes one entry that counts, not hundreds that push out the rest.
  if (kind === "failed" && failedEntry === log.lastElementChild) failedEntry?.remove();
  const level = mine.leaving || code === 1000 ? "info" : [1001, 1005, 1012, 1013].includes(code) ? "warn" : "bad";
  const entry = addEvent(kind, level, who, ...parts);
  entry.dataset.code = code;
  failedEntry = kind === "failed" ? entry : null;
}

function showDropped() {
  dropNote.hidden = !dropped;
  dropNote.textContent = dropped ? TEXTS.dropped(dropped) : "";
}

function clearLog() {
  log.replaceChildren();
  dropped = 0;
  following = true;
  showDropped();
  scrollToNewest();
}

function scrollToNewest() {
  if (following) logView.scrollTop = logView.scrollHeight;
  followButton.hidden = following;
}

function onScroll() {
  following = logView.scrollHeight - logView.scrollTop - logView.clientHeight < 24;
  followButton.hidden = following;
}

/* ---- Wiring --------------------------------------------------------------------------------- */

function showKind() {
  const kind = composer.elements.kind.value;
  message.dataset.kind = kind;
  hint.textContent = TEXTS.hints[kind];
  setError("");
}

function onKey(event) {
  // Enter that ends the composition of a character (229 in Safari) belongs to the input method.
  if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
  event.preventDefault();
  if (!event.repeat) composer.requestSubmit(); // a key held down must not flood the server
}

connectButton.addEventListener("click", connectByHand);
disconnectButton.addEventListener("click", disconnect);
composer.addEventListener("submit", (event) => {
  event.preventDefault();
  send();
});
for (const choice of composer.elements.kind) choice.addEventListener("change", showKind);
message.addEventListener("input", () => setError(""));
message.addEventListener("keydown", onKey);
$("clear").addEventListener("click", clearLog);
followButton.addEventListener("click", () => {
  following = true;
  scrollToNewest();
  logView.focus(); // the button is gone, and the keyboard should be where it led
});
logView.addEventListener("scroll", onScroll);
new ResizeObserver(scrollToNewest).observe(logView); // a growing field must not hide the newest entry
window.addEventListener("online", retryAtOnce);
document.addEventListener("visibilitychange", retryAtOnce);

$("address").textContent = address;
showKind();
connect();
