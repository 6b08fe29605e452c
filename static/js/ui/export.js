/*
 * How a text leaves the page: to the clipboard, or as a file.
 */

import { make } from "./dom.js";

/** Copies a text; true when that went well. */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Outside of a secure context there is only the old way.
    const field = make("textarea", "visually-hidden");
    const focused = document.activeElement;
    field.value = text;
    document.body.append(field);
    field.select();
    const copied = document.execCommand("copy");
    field.remove();
    focused?.focus();
    return copied;
  }
}

/** Hands the browser a text as a file to save. */
export function downloadText(name, text, type) {
  const link = make("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
