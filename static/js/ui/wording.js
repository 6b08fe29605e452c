/*
 * Elements whose texts follow the language and the state of the page.
 */

import { setText } from "./dom.js";

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

  #apply({ element, say, attribute }) {
    const text = say(this.texts);
    if (!attribute) setText(element, text);
    else if (element.getAttribute(attribute) !== text) element.setAttribute(attribute, text);
  }
}
