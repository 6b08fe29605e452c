/*
 * Numbers as a language writes them; the units are the languages' own.
 */

/** `number(n)`, and `time(ms)` with a tenth where it matters, for the language of a tag. */
export function numbersIn(tag) {
  const format = new Intl.NumberFormat(tag);
  const number = (n) => format.format(n);
  return { number, time: (ms) => (ms < 10 ? ms.toFixed(1) : number(Math.round(ms))) };
}
