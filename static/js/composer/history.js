/*
 * What was sent before, to go back and forth in.
 */

const LIMIT = 100; // messages that are kept, the newest

/** The messages that were sent, to go back and forth in; the unsent one waits at the end. */
export class MessageHistory {
  #entries = [];
  #at = 0;
  #unsent;

  add(entry) {
    const last = this.#entries.at(-1);
    const again = last && last.kind === entry.kind && last.text === entry.text;
    if (entry.text && !again) this.#entries.push(entry);
    if (this.#entries.length > LIMIT) this.#entries.shift();
    this.#at = this.#entries.length;
    this.#unsent = undefined;
  }

  older(now) {
    if (this.#at === 0) return undefined;
    if (this.#at === this.#entries.length) this.#unsent = now;
    return this.#entries[--this.#at];
  }

  newer() {
    if (this.#at === this.#entries.length) return undefined;
    return this.#entries[++this.#at] ?? this.#unsent;
  }
}
