/* The English words of the composer, the chart of round trips and the load. */

import { bytes, count, milliseconds, number } from "./units.js";

const wholeNumber = (name, min, max) => `${name}: a whole number from ${number(min)} to ${number(max)}, please.`;

const EXPECTED = {
  value: "a value",
  "value]": "a value or ]",
  name: "a name in double quotes",
  "name}": "a name in double quotes or }",
  colon: "a colon",
  "comma}": "a comma or }",
  "comma]": "a comma or ]",
  end: "the end",
  quote: "the closing double quote of a string",
  escape: "no backslash but before one of \" \\ / b f n r t or u and four hex digits",
  escaped: "an escape such as \\n (strings have no line breaks and control characters of their own)",
};

export const composer = {
  message: "Message",
  sendAs: "Send as",
  kinds: { text: "Text", json: "JSON", binary: "Hex" },
  send: "Send",
  hints: {
    text: "Enter sends, Shift + Enter starts a new line, ↑ brings back what you sent.",
    json: "Checked as you type, and sent as you typed it.",
    binary: "Two hex digits for each byte, such as 48 65 6c 6c 6f. Spaces, colons and 0x are welcome.",
  },
  goodJson: "This is JSON.",
  badJson: (found, line, column, expected) =>
    found
      ? `Not JSON: ${found} in line ${number(line)}, column ${number(column)}. Expected there: ${EXPECTED[expected]}.`
      : `Not JSON yet: it ends in line ${number(line)}, column ${number(column)}. Expected next: ${EXPECTED[expected]}.`,
  badHex: (character, position) => `${character} at position ${number(position)} is not a hex digit (0–9, a–f).`,
  oddHex: (digits, position) =>
    `There is an odd number of hex digits (${number(digits)}) at position ${number(position)}. Each byte takes two.`,
  notSent: (why) => `Nothing was sent. ${why}`,
  notConnected: "Nothing was sent: there is no connection. Connect first, your message stays here.",
  format: "Format",

  chooseFile: "File…",
  sendAsText: "Send as text",
  bytes,
  fileAsBinary: "Goes as one binary message.",
  fileAsText: "Goes as one text message.",
  fileNotText: "Goes as one binary message: it is not valid UTF-8, so it cannot be text.",
  removeFile: "Remove file",
  fileTooBig: (size, limit) =>
    `This file was not taken: it has ${bytes(size)}, and one message from this page has at most ${number(limit)}.`,
  fileUnreadable: "This file could not be read. Is it a folder, or has it been moved or changed meanwhile?",
  oneFile: "One message holds one file: please choose a single one.",

  repeat: "Repeat…",
  repeatTitle: "Send the message again and again",
  times: "Times",
  interval: "Every … ms",
  start: "Start",
  stop: "Stop",
  wholeNumber,
  repeating: (sent, all) => `${number(sent)} of ${number(all)} sent`,
  repeated: (all) => `Done: ${number(all)} sent.`,
  repeatStopped: (sent, all) => `Stopped: ${number(sent)} of ${number(all)} sent.`,
  repeatLost: (sent, all) => `The connection is gone: ${number(sent)} of ${number(all)} sent.`,

  close: "Close…",
  closeTitle: "Close the connection with a code",
  code: "Code",
  codeHint: "1000 or 3000–4999",
  reason: "Reason",
  reasonBytes: (used, limit) => `${number(used)} of ${bytes(limit)}`,
  closeNow: "Close connection",
  badCode: "Nothing was closed: a page may send the code 1000 or one from 3000 to 4999.",
  longReason: (used, limit) =>
    `Nothing was closed: the reason has ${bytes(used)}, and a close frame has room for ${number(limit)}. Shorten it by ${number(used - limit)}.`,
  nothingToClose: "There is no connection to close.",
};

export const roundTrips = {
  title: "Round trips",
  statistics: { min: "Min", median: "Median", p95: "p95", max: "Max" },
  time: milliseconds,
  axis: (ms) => `${number(ms)} ms`,
  empty: "No round trip yet.",
  summary: (n, { min, median, p95, max }) =>
    `Chart of the last ${count(n, "round trip")}: from ${milliseconds(min)} to ${milliseconds(max)}, ` +
    `half of them within ${milliseconds(median)}, 95 % within ${milliseconds(p95)}.`,
  shown: (n) => (n === 1 ? "The last one" : `The last ${number(n)}`),
};

export const load = {
  title: "Load",
  about: "Sends many messages over a connection of its own and checks every byte that comes back.",
  messages: "Messages",
  size: "Bytes each",
  window: "In flight",
  start: "Start",
  stop: "Stop",
  wholeNumber,
  tooMuchInFlight: (bytesInFlight, limit) =>
    `${bytes(bytesInFlight)} would be in flight at once, and this page keeps at most ${number(limit)}. Take fewer or smaller messages.`,
  connecting: "Connecting…",
  progress: (done, all) => `${number(done)} of ${count(all, "message")} came back`,
  done: (all, seconds) =>
    `Done: ${all === 1 ? "the message" : `all ${count(all, "message")}`} came back unchanged in ${seconds.toFixed(2)} s.`,
  stopped: (done, all) => `Stopped: ${number(done)} of ${count(all, "message")} came back, unchanged.`,
  noConnection: "No connection came about. Is the server running, and does it accept one more connection?",
  ended: (done, all, code, reason) =>
    `The connection ended early, with code ${code}${reason ? ` (${reason})` : ""}: ${number(done)} of ${count(all, "message")} came back.`,
  changed: {
    kind: (message) => `Stopped: message ${number(message)} came back as text, and not as the bytes that were sent.`,
    length: (message, got, sent) =>
      `Stopped: message ${number(message)} came back with ${bytes(got)} in place of ${number(sent)}.`,
    byte: (message, position, got, sent) =>
      `Stopped: message ${number(message)} came back changed: its byte ${number(position)} is ${got} in place of ${sent}.`,
    extra: "Stopped: a message came back that was not sent.",
  },
  statistics: {
    messages: "Messages per second",
    bytes: "Bytes per second, each way",
    min: "Min",
    median: "Median",
    p95: "p95",
    p99: "p99",
    max: "Max",
  },
  rate: (n) => number(n < 10 ? Math.round(n * 10) / 10 : Math.round(n)),
  byteRate: (n) => {
    const power = Math.min(3, Math.floor(Math.log(Math.max(1, n)) / Math.log(1000)));
    const scaled = n / 1000 ** power;
    return `${scaled.toFixed(power && scaled < 100 ? 1 : 0)} ${["B", "kB", "MB", "GB"][power]}/s`;
  },
  time: milliseconds,
  histogram: "Round-trip times",
  bucket: "Time",
  number: "Messages",
  count: number,
  below: (ms) => `under ${ms} ms`,
  between: (from, to) => `${number(from)}–${number(to)} ms`,
};
