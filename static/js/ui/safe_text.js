/*
 * Showing what is hostile until shown: it reaches the page only as text nodes, cut to a stated
 * length, with the characters that cannot be seen (or that would reorder their surroundings)
 * spelled out.
 */

import { make } from "./dom.js";
import { octetsOf } from "./hex.js";

const LIMITS = {
  characters: 1000, // of one text that are shown,
  lines: 20, // and in no more lines than this
  bytes: 256, // of one binary message that are shown
};

/* Control characters, line separators, everything invisible or direction-changing, and what is no
 * character at all. Line feed and tab do their work, and so do the joiners inside emoji. */
const UNSEEN =
  /(?![\n\t]|(?<=\p{Emoji})\uFE0F|(?<=[\p{Extended_Pictographic}\p{EMod}\uFE0F])\u200D(?=\p{Extended_Pictographic}))[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\p{DI}\p{Bidi_C}\p{NChar}\uFFF9-\uFFFB]/gu;

/** The name of a character's code point, such as U+202E. */
export const codePoint = (character) =>
  `U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;

/** A text with its unseen characters spelled out: for one line, where no element can stand. */
export const spelled = (text) => text.replace(UNSEEN, codePoint).replace(/[\n\t]/g, codePoint);

/** Text with its unseen characters spelled out, isolated from the direction of its surroundings. */
export function visible(text) {
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
export function countCharacters(text) {
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

/** The beginning of a text of which `left` more characters are not there. */
export function showText(text, texts, left = 0) {
  if (!text && !left) return [make("span", "note", texts.empty)];
  const { units, characters } = cut(text);
  const parts = [visible(text.slice(0, units))];
  const hidden = countCharacters(text.slice(units)) + left;
  if (hidden) parts.push(make("span", "note", texts.moreCharacters(characters, hidden)));
  return parts;
}

/** The beginning of bytes, given in hex, of which `left` more are not there. */
export function showBytes(hex, texts, left = 0) {
  if (!hex && !left) return [make("span", "note", texts.empty)];
  const body = make("bdi", "body");
  const octets = octetsOf(hex.slice(0, 2 * LIMITS.bytes));
  for (let i = 0; i < octets.length; i += 8) {
    // Groups of eight that wrap as a whole: the dump lines up at any width.
    body.append(make("span", "octets", octets.slice(i, i + 8).join(" ")), " ");
  }
  const parts = [make("span", "tag", texts.hex), body];
  const hidden = hex.length / 2 - octets.length + left;
  if (hidden) parts.push(make("span", "note", texts.moreBytes(hidden)));
  return parts;
}
