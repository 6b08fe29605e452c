/*
 * The log of what happened: its entries, and their form as JSON Lines.
 *
 * An entry is a plain object that can be written as JSON: {at, connection, type, …}. Keys that
 * begin with "_" are for the page alone.
 */

export class Log {
  entries = [];
  dropped = 0;
  #limit;
  #listeners = [];

  /** `limit`: how many entries are kept, the newest. */
  constructor(limit) {
    this.#limit = limit;
  }

  /** `listener(change, entry)` is told of "added", "changed", "removed" and "cleared". */
  listen(listener) {
    this.#listeners.push(listener);
  }

  add(entry) {
    this.entries.push(entry);
    this.#tell("added", entry);
    if (this.entries.length > this.#limit) {
      this.dropped += 1;
      this.#tell("removed", this.entries.shift());
    }
    return entry;
  }

  change(entry, changes = {}) {
    Object.assign(entry, changes);
    this.#tell("changed", entry);
  }

  /** Takes out an entry that another replaces. */
  remove(entry) {
    const index = this.entries.lastIndexOf(entry);
    if (index < 0) return;
    this.entries.splice(index, 1);
    this.#tell("removed", entry);
  }

  clear() {
    this.entries = [];
    this.dropped = 0;
    this.#tell("cleared");
  }

  /** The log as JSON Lines, the oldest first. */
  jsonLines() {
    const publicOnly = (key, value) => (key.startsWith("_") ? undefined : value);
    return this.entries.map((entry) => `${JSON.stringify(entry, publicOnly)}\n`).join("");
  }

  #tell(change, entry) {
    for (const listener of this.#listeners) listener(change, entry);
  }
}
