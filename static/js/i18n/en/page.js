/* The page in English. The table of another language has the same keys (see ../texts.js). */

import { closeCodes, closeRanges, notes } from "./rfc.js";
import { composer, load, roundTrips } from "./tools.js";
import { bytes, count, duration, milliseconds, number } from "./units.js";

const coded = (code) => (closeCodes[code] ? `${code} (${closeCodes[code][0]})` : `${code}`);

export default {
  composer,
  roundTrips,
  load,
  closeCodes,
  closeRanges,
  notes,

  bytes,
  milliseconds,

  title: "WebSocket echo",
  tagline: "Send a message, get it back, and see the wire between: the handshake, the bits of each frame, the close.",
  otherLanguage: "中文",

  connectionTitle: "Connection",
  connectTo: "Connect to",
  targets: { echo: "Echo", inspect: "Inspector" },
  targetHints: {
    echo: "Sends each message back as it came.",
    inspect: "Answers each message with a report of the frames that brought it.",
  },
  protocols: "Subprotocols to offer",
  protocolsExample: "such as chat, v2.bookings",
  protocolProblems: {
    token: (protocol) =>
      `“${protocol}” is no token: letters, digits and !#$%&'*+-.^_\`|~ only. Nothing changed.`,
    twice: (protocol) => `“${protocol}” is there twice. Each may be offered once. Nothing changed.`,
  },
  address: "Address",
  connectionId: "Id, chosen by this page",
  subprotocol: "Subprotocol",
  extensions: "Extensions",
  none: "none",
  noneYet: "–",

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
  reconnect: "Reconnect",
  disconnect: "Disconnect",
  stop: "Stop",
  giveUp: "Give up",

  logTitle: "Log of the connection",
  view: "View",
  views: { messages: "Messages", wire: "Wire" },
  copyLink: "Copy link",
  copyLog: "Copy log",
  downloadLog: "Download",
  clear: "Clear",
  copyLogTitle: "Copy the log as JSON Lines",
  downloadLogTitle: "Download the log as JSON Lines",
  placeholder: "Nothing here yet. What you send and what comes back is listed here.",
  newest: "Newest",
  dropped: (n) => `${count(n, "older entry", "older entries")} dropped`,
  news: (n) => `${count(n, "new entry", "new entries")} in the log`,
  linkCopied: "Link copied. It holds the view, the server, the subprotocols, the language and your draft.",
  logCopied: (n) => `${count(n, "entry", "entries")} copied as JSON Lines.`,
  notCopied: "The browser did not let this page copy.",
  echoNotice:
    "Browsers show no frames to scripts: on this connection the page knows messages, not their bytes on the wire.",
  toInspector: "Reconnect to the inspector",

  directions: { sent: ["↑", "Sent"], received: ["↓", "Received"], event: ["•", "Connection"] },
  hex: "hex",
  empty: "(empty message)",
  moreCharacters: (shown, left) =>
    `… first ${count(shown, "character")} shown, ${number(left)} more left out`,
  moreBytes: (left) => `… ${count(left, "more byte")}`,
  noAnswer: "no answer",
  different: "This is not what was sent: the echo differs from the message it answers.",
  unasked: "Nothing was waiting for an answer: this message is no echo.",
  badReport: "The inspector sent something that is no report of version 2.",
  showJson: "The report as it came",

  // The inspector's reports in a line each.
  reports: {
    handshake: () => "The inspector reports your opening handshake.",
    message: ({ kind, bytes: size, fragments, frames_omitted: omitted }) =>
      `The inspector saw your ${kind} message: ${bytes(size)} in ${count(fragments ?? omitted, "frame")}.`,
    ping: () => "The inspector saw your ping.",
    pong: () => "The inspector saw your pong.",
    close: ({ code }) => `The inspector saw your close frame with ${coded(code)}.`,
    failure: ({ reason }) => `The inspector saw a rule broken: ${reason}`,
  },

  connected: (ms, target) =>
    `Connected to the ${target === "echo" ? "echo" : "inspector"} in ${milliseconds(ms)}`,
  stopped: "You stopped the attempts to connect",
  reason: "Reason given: ",
  failed: (attempts) =>
    attempts > 1 ? `Could not connect, ${count(attempts, "attempt")} so far` : "Could not connect",
  cancelled: "You cancelled the attempt to connect",

  // Why an attempt to connect failed, as far as the server can tell.
  diagnosis: {
    asking: "The browser does not say why. Asking the server …",
    refused: (status) => `The server refused the handshake with ${status}:`,
    cures: "Lines that make a proxy keep what it has dropped:",
    unknown:
      "The handshake did not reach the server, which answers other requests. Usually something in between " +
      "has stopped it: a proxy that does not pass WebSockets on, a firewall, an antivirus program or a " +
      "browser extension. Where the server has several processes, another one may know more.",
    answered: (status) => `The handshake failed, and a question about it was answered with ${status}:`,
    unreachable: "The server does not answer at all. Is it running, and is there a network?",
    accepted:
      "The server accepted the handshake, but the browser did not take its answer. Usually the server " +
      "chose none of the subprotocols offered.",
  },
  ownCode: "You chose this code, and the server answered with the same one.",
  unanswered: "The server did not confirm the close in time, so the page stopped waiting.",

  // One sentence of two halves: what the browser says, and what the server says.
  ended: {
    sentence: (browser, server) => (server ? `${browser}; ${server}.` : `${browser}.`),
    byYou: (code) => `You closed the connection with ${coded(code)}`,
    byServer: (code) =>
      code === 1005 ? "The server closed the connection without a code" : `The server closed the connection with ${coded(code)}`,
    unanswered: (code) => `You closed the connection with ${coded(code)} and got no answer in time`,
    lost: () => "The connection was lost without a closing handshake (1006)",
    asking: "asking the server what it saw …",
    unreachable: "the server could not be asked what it saw",
    unknown: "the server no longer knows this connection",
    open: "the server still takes it for open",
    causes: {
      "peer-close": "the server got the browser’s close frame and answered it",
      "server-close": "the server says that it closed first",
      shutdown: "the server says that it was shutting down",
      "internal-error": "the server says that something went wrong inside it",
      "ping-timeout": "the server says that its ping got no answer",
      violation: "the server says that the browser broke a rule of the protocol",
      limit: "the server says that one of its limits was reached",
      "end-of-stream": "the server saw the stream end without a close frame",
      reset: "the server saw the connection reset",
      "write-timeout": "the server gave up because nobody took what it wrote",
      "network-error": "the server saw the network fail",
    },
    otherCause: "the server saw it end",
    figures: ({ code, codeDiffers, duration: ms, messagesIn, messagesOut }) =>
      `${codeDiffers ? `, with ${coded(code)}` : ""}, after ${duration(ms)} with ` +
      `${count(messagesIn, "message")} in and ${number(messagesOut)} out`,
  },

  wire: {
    from: { client: ["↑", "You to server"], server: ["↓", "Server to you"] },
    kinds: {
      continuation: "continuation", text: "text", binary: "binary",
      close: "close", ping: "ping", pong: "pong", reserved: "reserved",
    },
    frame: (kind, bytesOfIt) => `${kind[0].toUpperCase()}${kind.slice(1)} frame, ${bytes(bytesOfIt)} of payload`,
    part: (index, of, message) => `frame ${number(index)} of ${number(of)}, message ${number(message)}`,
    sources: {
      reported: "reported by the inspector",
      reconstructed: "reconstructed from what arrived",
      failed: "the frame that broke a rule",
    },
    times: (elapsed, gap) =>
      gap === null
        ? `${milliseconds(elapsed)} after the handshake`
        : `${milliseconds(elapsed)} after the handshake, ${milliseconds(gap)} after the frame before`,
    header: "Header, bit by bit. Arrow keys move between the fields.",
    labels: {
      fin: "FIN", rsv1: "RSV1", rsv2: "RSV2", rsv3: "RSV3", opcode: "Opcode", mask: "MASK",
      length: "Payload length", extended: "Extended payload length", key: "Masking key",
    },
    continued: (label) => `${label}, continued`,
    cell: (label, bits, value) => `${label}: ${bits}${value ? `, ${value}` : ""}`,
    lengthValue: (n) => (n === 126 ? "126: next 16 bits" : n === 127 ? "127: next 64 bits" : bytes(n)),
    extendedValue: bytes,
    payload: "Payload",
    masked: "Masked, as on the wire",
    unmasked: "Unmasked",
    stillCompressed: "Unmasked, still compressed",
    plain: "As on the wire (the server does not mask)",
    bare: "As on the wire, not masked",
    noPayload: "No payload.",
    showAll: (n) => `Show ${bytes(n)}`,
    omitted: (n) => `… ${count(n, "more byte")} not reported`,
    omittedHere: (n) => `… ${count(n, "more byte")} not shown`,
    inflated: "Inflated",
    message: ({ number: n, kind, bytes: size, fragments, utf8, compressed_bytes: compressed }) =>
      `Message ${number(n)} is complete: ${kind}, ${bytes(size)} in ${count(fragments, "frame")}` +
      (compressed === null || compressed === undefined ? "" : `, compressed to ${bytes(compressed)}`) +
      (utf8 === true ? ", valid UTF-8." : "."),
    framesOmitted: (n) => `${count(n, "further frame")} of this message not reported.`,
    brief: ({ number: n, kind, bytes: size, frames_omitted: omitted }) =>
      `${n ? `Message ${number(n)}: ${kind}` : kind}, ${bytes(size)} in ${count(omitted, "frame")}. ` +
      "No details: this connection sent too many tiny frames for a full report of each.",
    unseenSent: (kind, size) => `A ${kind} message of ${bytes(size)}. The browser does not show its frames.`,
    unseenReceived: (kind, size) =>
      `A ${kind} message of ${bytes(size)}, perhaps compressed. The browser does not show its frame.`,
    unseenReport: (size) =>
      `The report, ${bytes(size)}, perhaps compressed. The browser does not show its frame.`,
    handshakeTitle: "Opening handshake",
    request: "The browser’s request",
    response: "The server’s response",
    redacted: (names) =>
      `The server hides the credentials in ${names}: you see their length and a hash that is new for each connection. ` +
      "Its option --show-credentials shows them.",
    forwarded: "What proxies on the way added",
    peer: (peer) => `The server sees the peer ${peer}.`,
    acceptTitle: "How Sec-WebSocket-Accept comes about",
    accept: {
      key: "The browser’s Sec-WebSocket-Key",
      guid: "The GUID of RFC 6455",
      concatenated: "Both joined",
      sha1: "SHA-1 of that, 20 bytes",
      value: "Base64 of those 20 bytes",
    },
    acceptMatches: "This is the Sec-WebSocket-Accept of the response: the server has read this very request.",
    acceptDiffers: "The response has another Sec-WebSocket-Accept. A browser must fail this connection.",
    negotiated: (what, offered, chosen) => `${what}: offered ${offered}, chosen ${chosen}.`,
    nothing: "none",
    failure: (code) => `The inspector fails the connection with ${coded(code)}`,
    closingTitle: "Closing handshake",
    closingSteps: {
      youFirst: "The browser sends a close frame first, masked with a key that it does not tell.",
      serverAnswers: "The server answers with a close frame:",
      serverFirst: "The server sends a close frame first:",
      youAnswer: "The browser answers with a close frame of the same code, masked with a key that it does not tell.",
      noAnswer: "No close frame came from the server in time.",
      none: "No close frame came, from neither side: there was no closing handshake.",
    },
  },
};
