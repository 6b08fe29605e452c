/*
 * Small parts that the composer, the chart and the load are made of.
 */

import { make } from "./show.js";

/** A button that does something other than to submit its form. */
export function makeTool(className, onClick) {
  const button = make("button", className);
  button.type = "button";
  button.addEventListener("click", onClick);
  return button;
}

/** aria-disabled and not disabled: a disabled button would lose the keyboard's focus. */
export function setEnabled(button, enabled) {
  button.setAttribute("aria-disabled", String(!enabled));
}

/**
 * What elements say, each as a function of the texts of the moment's language.
 *
 * The functions may read any other state: after a change of it, `refresh` writes what differs.
 */
export class Wording {
  #rules = [];

  constructor(texts) {
    this.texts = texts;
  }

  /** Keeps the text of an element (or one of its attributes) at what `say(texts)` returns. */
  keep(element, say, attribute = "") {
    const rule = { element, say, attribute };
    this.#rules.push(rule);
    this.#apply(rule);
    return element;
  }

  change(texts) {
    this.texts = texts;
    this.refresh();
  }

  refresh() {
    this.#rules.forEach(this.#apply, this);
  }

  /** Writes only changes: a screen reader would read out a live region that was written anew. */
  #apply({ element, say, attribute }) {
    const text = say(this.texts);
    if (attribute) {
      if (element.getAttribute(attribute) !== text) element.setAttribute(attribute, text);
    } else if (element.textContent !== text) {
      element.textContent = text;
    }
  }
}

/** A labelled input of one line, as `{ element, input }`. */
export function makeField(words, id, say, value = "") {
  const input = make("input", "field-input");
  Object.assign(input, { id, value, type: "text", autocomplete: "off", spellcheck: false });
  const label = words.keep(make("label", "field-label"), say);
  label.htmlFor = id;
  return { element: make("div", "field", label, input), input };
}

/** A labelled input for a whole number; `read()` gives NaN for anything else and out of bounds. */
export function makeNumberField(words, id, say, { min, max, value }) {
  const field = makeField(words, id, say, String(value));
  field.input.inputMode = "numeric";
  const read = () => {
    const digits = field.input.value.replace(/[\s,_’']/g, ""); // as people group them
    const number = /^\d{1,15}$/.test(digits) ? Number(digits) : NaN;
    return min <= number && number <= max ? number : NaN;
  };
  return { ...field, read, min, max };
}
