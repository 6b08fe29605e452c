/*
 * The row of an entry in the log, the same in both views.
 */

import { make } from "../ui/dom.js";

/** The row of an entry: when, which way, what, and two figures at the end. */
export function makeRow(entry, [glyph, word], what, size = "", rtt = "") {
  const at = new Date(entry.at);
  const pad = (n, width = 2) => String(n).padStart(width, "0");
  const clock = [at.getHours(), at.getMinutes(), at.getSeconds()].map((n) => pad(n)).join(":");
  const time = make("time", "time", `${clock}.${pad(at.getMilliseconds(), 3)}`);
  time.dateTime = entry.at;
  const arrow = make("span", "glyph", glyph);
  arrow.setAttribute("aria-hidden", "true");
  return make(
    "li",
    "",
    time,
    make("span", "direction", arrow, " ", word),
    make("div", "payload", ...what),
    make("span", "size", size),
    make("span", "rtt", rtt),
  );
}
