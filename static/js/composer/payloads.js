/*
 * From what was typed to what is sent: hex to bytes, and JSON that is checked and set out in lines.
 */

import { codePoint, countCharacters } from "../ui/safe_text.js";

/** What a message can be typed as. */
export const KINDS = ["text", "json", "binary"];

/** What keeps a message from being sent. `say(texts)` is the sentence; `at` its place, if any. */
export class Unsendable extends Error {
  constructor(say, at) {
    super("This message cannot be sent.");
    this.say = say;
    this.at = at;
  }
}

/** The text as WebSocket.send sends it: half a surrogate pair becomes U+FFFD. */
export function wellFormed(text) {
  return text.toWellFormed?.() ?? text.replace(/\p{Surrogate}/gu, "\uFFFD");
}

const characterAt = (text, index) => String.fromCodePoint(text.codePointAt(index));

/** A character in quotes, or its code point where quotes would hold nothing visible. */
function quote(character) {
  if (/^[\p{L}\p{N}\p{P}\p{S}]$/u.test(character)) return `“${character}”`;
  return codePoint(character);
}

/* ---- Hex ------------------------------------------------------------------------------------ */

/** Two digits for each byte; spaces, colons and 0x may stand between bytes. */
export function bytesOfHex(text) {
  const position = (index) => countCharacters(text.slice(0, index)) + 1;
  const bytes = [];
  for (const { 0: group, index } of text.matchAll(/[^\s:]+/g)) {
    const start = /^0x./i.test(group) ? 2 : 0;
    const bad = group.slice(start).search(/[^0-9a-f]/i);
    if (bad >= 0) {
      const at = index + start + bad;
      throw new Unsendable((t) => t.badHex(quote(characterAt(text, at)), position(at)), at);
    }
    const digits = group.length - start;
    if (digits % 2) throw new Unsendable((t) => t.oddHex(digits, position(index)), index);
    for (let i = start; i < group.length; i += 2) bytes.push(parseInt(group.slice(i, i + 2), 16));
  }
  return Uint8Array.from(bytes);
}

/* ---- JSON (RFC 8259) ------------------------------------------------------------------------ */

/* The browser's own JSON.parse does not always tell the place of an error, and JSON.stringify
 * would change numbers, the order of members and repeated names. So the tokens are read here, and
 * stay as they were typed. */

const SPACE = /[ \t\n\r]*/y;
const OPEN_STRING = /"[^"\\\0-\x1f]*(?:\\(?:["\\/bfnrt]|u[\da-f]{4})[^"\\\0-\x1f]*)*/iy;
const OTHER_SCALAR = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y;

function match(pattern, text, at) {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0] ?? "";
}

/** Throws what is wrong at a place: what stands there, and what should. */
function unexpected(text, at, expected) {
  const before = text.slice(0, at).split("\n");
  const column = countCharacters(before.at(-1)) + 1;
  const found = at < text.length ? quote(characterAt(text, at)) : "";
  throw new Unsendable((t) => t.badJson(found, before.length, column, expected), at);
}

function readString(text, at) {
  const open = match(OPEN_STRING, text, at);
  const end = at + open.length;
  if (text[end] === '"') return `${open}"`;
  return unexpected(text, end, { "\\": "escape", undefined: "quote" }[text[end]] ?? "escaped");
}

/** The tokens of a JSON text, in order and as they were typed. */
export function tokensOfJson(text) {
  const tokens = [];
  const ends = []; // the brackets that are still to come
  let expected = "value";
  const closed = () => (ends.length ? `comma${ends.at(-1)}` : "end");
  for (let at = 0; ; at += tokens.at(-1).length) {
    at += match(SPACE, text, at).length;
    const next = text[at];
    if (next === undefined && expected === "end") return tokens;
    let token = next;
    if (expected.startsWith("value") && "{[".includes(next ?? "?")) {
      ends.push(next === "{" ? "}" : "]");
      expected = next === "{" ? "name}" : "value]";
    } else if (next && next === ends.at(-1) && expected.endsWith(next)) {
      ends.pop();
      expected = closed();
    } else if (expected.startsWith("comma") && next === ",") {
      expected = ends.at(-1) === "}" ? "name" : "value";
    } else if (expected === "colon" && next === ":") {
      expected = "value";
    } else if (expected.startsWith("name") && next === '"') {
      token = readString(text, at);
      expected = "colon";
    } else if (expected.startsWith("value") && next !== undefined) {
      token = next === '"' ? readString(text, at) : match(OTHER_SCALAR, text, at);
      if (!token) unexpected(text, at, expected);
      expected = closed();
    } else {
      unexpected(text, at, expected);
    }
    tokens.push(token);
  }
}

/** The same tokens with a line for each element and member. */
export function layOutJson(tokens) {
  let depth = 0;
  const newLine = () => `\n${"  ".repeat(Math.min(depth, 40))}`;
  const parts = tokens.map((token, i) => {
    const empty = (open, close) => "{[".includes(open) && "}]".includes(close);
    if (token === ",") return `,${newLine()}`;
    if (token === ":") return ": ";
    if (token === "{" || token === "[") {
      depth += 1;
      return empty(token, tokens[i + 1]) ? token : token + newLine();
    }
    if (token === "}" || token === "]") {
      depth -= 1;
      return empty(tokens[i - 1], token) ? token : newLine() + token;
    }
    return token;
  });
  return parts.join("");
}
