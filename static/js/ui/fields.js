/*
 * Labelled inputs of one line. Their labels are kept in the language of the page by a Wording.
 */

import { make } from "./dom.js";

/** A labelled input of one line, as `{ element, input }`. */
export function makeField(words, id, say, value = "") {
  const input = make("input", "field-input");
  Object.assign(input, { id, value, type: "text", autocomplete: "off", spellcheck: false });
  const label = words.keep(make("label", "field-label"), say);
  label.htmlFor = id;
  return { element: make("div", "field", label, input), input };
}

/**
 * A labelled input for a whole number.
 *
 * `read()` gives NaN for anything else and out of bounds; `demand(texts)` says what it wants.
 */
export function makeNumberField(words, id, say, { min, max, value }) {
  const field = makeField(words, id, say, String(value));
  field.input.inputMode = "numeric";
  const read = () => {
    const digits = field.input.value.replace(/[\s,_’']/g, ""); // as people group them
    const number = /^\d{1,15}$/.test(digits) ? Number(digits) : NaN;
    return min <= number && number <= max ? number : NaN;
  };
  return { ...field, read, demand: (t) => t.wholeNumber(say(t), min, max) };
}
