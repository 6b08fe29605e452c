/*
 * The languages of the page. Every word that it shows is in one of two tables of the same shape,
 * en/page.js and zh/page.js: strings, and functions that make a string of numbers and names.
 *
 * The parts of the page get their own part of the table: createComposer(root, {texts:
 * TEXTS.en.composer, …}), and likewise setTexts(TEXTS.zh.composer); roundTrips and load alike.
 */

import en from "./en/page.js";
import zh from "./zh/page.js";

export const TEXTS = { en, zh };

/** The language of the page in words of HTML's lang attribute. */
export const LANG_TAGS = { en: "en", zh: "zh-Hans" };

/** The first language that the visitor wants and that there is, or English. */
export function chooseLanguage(wanted) {
  for (const tag of wanted) {
    const language = String(tag).toLowerCase().split("-")[0];
    if (Object.hasOwn(TEXTS, language)) return language;
  }
  return "en";
}

/** The text at a path such as "views.wire". */
export function textAt(texts, path) {
  return path.split(".").reduce((part, key) => part[key], texts);
}
