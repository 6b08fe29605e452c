/*
 * The list that shows a log. Of ten thousand entries only those in view are drawn: each row stands
 * at its place by its top, and its height is guessed until it is measured.
 */

const MARGIN = 400; // what is drawn above and below what is in view, in pixels
const NEAR = 24; // this close to the end counts as at the end
const SETTLED_MS = 150; // without scrolling until the list may set right where it stands

/** The list of those entries of a log that a view shows. */
export class VirtualList {
  #log;
  #scroller;
  #list;
  #draw = () => [];
  #shows = () => true;
  #onFollow;
  #rows = []; // {entry, height, top, element or null}, in the order of the log
  #byEntry = new Map();
  #drawn = new Set();
  #following = true; // the view stays at the newest entry until the visitor scrolls up
  #scheduled = 0;
  #settling; // set only while the visitor scrolls
  #guess = 64; // the height of a row that was never drawn, in pixels
  #anchor = null; // while not following: the row at the top of the view, and how much is above it
  #sizes = new ResizeObserver((changes) => this.#onResize(changes));

  /** `onFollow(following)` is told when the list begins or ceases to stay at its end. */
  constructor(log, scroller, list, onFollow) {
    [this.#log, this.#scroller, this.#list, this.#onFollow] = [log, scroller, list, onFollow];
    log.listen((change, entry) => this.#onLog(change, entry));
    scroller.addEventListener("scroll", () => this.#onScroll(), { passive: true });
    scroller.addEventListener("keydown", (event) => this.#onKey(event));
    new ResizeObserver(() => this.#schedule()).observe(scroller);
  }

  /**
   * Shows the entries for which `shows(entry)`; `draw(entry)` makes the row's element, which is
   * about `guess` pixels high.
   */
  show(shows, draw, guess) {
    const at = this.#anchor && this.#log.entries.indexOf(this.#anchor.row.entry);
    for (const row of this.#drawn) this.#erase(row);
    [this.#shows, this.#draw, this.#guess] = [shows, draw, guess];
    this.#byEntry.clear();
    this.#rows = this.#log.entries.filter(shows).map((entry) => this.#newRow(entry));
    const entry = this.#anchor && this.#log.entries.slice(Math.max(at, 0)).find(shows);
    this.#anchor = entry ? { row: this.#byEntry.get(entry), above: 0 } : null;
    if (!this.#anchor) this.#setFollowing(true);
    this.#schedule();
  }

  /** Goes to the newest entry and stays there. */
  follow() {
    this.#setFollowing(true);
    this.#schedule();
  }

  #newRow(entry) {
    const row = { entry, height: this.#guess, top: 0, element: null };
    this.#byEntry.set(entry, row);
    return row;
  }

  #onLog(change, entry) {
    const row = this.#byEntry.get(entry);
    if (change === "added" && this.#shows(entry)) {
      this.#rows.push(this.#newRow(entry));
    } else if (change === "changed" && row?.element) {
      const focused = row.element.contains(document.activeElement);
      this.#erase(row); // and drawn anew, if it is in view
      if (focused) this.#scroller.focus({ preventScroll: true });
    } else if (change === "removed" && row) {
      this.#erase(row);
      this.#byEntry.delete(entry);
      this.#rows.splice(this.#rows.indexOf(row), 1); // nearly always the first
    } else if (change === "cleared") {
      for (const drawn of this.#drawn) this.#erase(drawn);
      this.#rows = [];
      this.#byEntry.clear();
      this.#setFollowing(true);
    }
    this.#schedule();
  }

  #onScroll() {
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    this.#setFollowing(scrollHeight - scrollTop - clientHeight < NEAR);
    const row = this.#rows[this.#indexAt(scrollTop)];
    this.#anchor = this.#following || !row ? null : { row, above: scrollTop - row.top };
    clearTimeout(this.#settling);
    this.#settling = setTimeout(() => {
      this.#settling = undefined;
      this.#schedule();
    }, SETTLED_MS);
    this.#schedule();
  }

  /** Home and End lead to the very ends, however wrong the guesses about what is between. */
  #onKey(event) {
    if (event.target !== this.#scroller || !["Home", "End"].includes(event.key)) return;
    event.preventDefault();
    if (this.#scroller.scrollHeight <= this.#scroller.clientHeight) return;
    if (event.key === "End" || !this.#rows.length) return this.follow();
    clearTimeout(this.#settling);
    this.#settling = undefined;
    this.#setFollowing(false);
    this.#anchor = { row: this.#rows[0], above: 0 };
    this.#schedule();
  }

  #onResize(changes) {
    for (const { target, borderBoxSize } of changes) {
      const row = target.row;
      const height = borderBoxSize[0].blockSize;
      if (!row?.element || Math.abs(row.height - height) < 0.5) continue;
      row.height = height;
      this.#schedule();
    }
  }

  #setFollowing(following) {
    if (following) this.#anchor = null;
    if (this.#following === following) return;
    this.#following = following;
    this.#onFollow(following);
  }

  #schedule() {
    this.#scheduled ||= requestAnimationFrame(() => {
      this.#scheduled = 0;
      this.#render();
    });
  }

  /** Draws what is in view; again when heights turn out other than guessed, a few times at most. */
  #render() {
    let settled = false;
    for (let round = 0; round < 6 && !settled; round += 1) {
      this.#place();
      settled = this.#drawInView();
    }
    if (!settled) this.#schedule();
    this.#list.dataset.length = this.#rows.length;
  }

  /**
   * Gives each row its top, and keeps in place what the visitor looks at. While the visitor scrolls
   * that is done by moving the rows: to set the scroller's position would end the movement.
   */
  #place() {
    let top = 0;
    for (const row of this.#rows) {
      row.top = top;
      top += row.height;
    }
    const { scrollTop, clientHeight } = this.#scroller;
    const anchor = this.#anchor && this.#byEntry.has(this.#anchor.row.entry) ? this.#anchor : null;
    const wanted = this.#following ? top - clientHeight : anchor ? anchor.row.top + anchor.above : scrollTop;
    const shift = anchor && this.#settling !== undefined ? scrollTop - wanted : 0;
    if (shift) for (const row of this.#rows) row.top += shift;
    this.#list.style.height = `${top + shift}px`;
    if (!shift && Math.abs(wanted - scrollTop) >= 1) this.#scroller.scrollTop = wanted;
  }

  /** Whether all heights in view were as known. */
  #drawInView() {
    const { scrollTop, clientHeight } = this.#scroller;
    const first = this.#indexAt(scrollTop - MARGIN);
    const last = this.#indexAt(scrollTop + clientHeight + MARGIN);
    const wanted = new Set(this.#rows.slice(first, last + 1));
    for (const row of this.#drawn) {
      // The keyboard's place in the page must not vanish: its row stays, out of sight.
      if (!wanted.has(row) && !row.element.contains(document.activeElement)) this.#erase(row);
    }
    const kept = [...this.#drawn].filter((row) => !wanted.has(row));
    const rows = [...wanted, ...kept].sort((a, b) => a.top - b.top);
    let next = this.#list.firstElementChild;
    const fresh = [];
    for (const row of rows) {
      if (!row.element) {
        row.element = this.#draw(row.entry);
        row.element.row = row;
        this.#drawn.add(row);
        fresh.push(row);
      }
      if (row.element === next) next = next.nextElementSibling;
      else this.#list.insertBefore(row.element, next); // in the log's order, for tabs and ears
      row.element.style.top = `${row.top}px`;
    }
    let asKnown = true;
    for (const row of fresh) {
      this.#sizes.observe(row.element);
      const height = row.element.getBoundingClientRect().height;
      if (Math.abs(row.height - height) >= 0.5) asKnown = false;
      row.height = height;
    }
    this.#number(rows);
    return asKnown;
  }

  #number(rows) {
    if (!rows.length) return;
    const size = String(this.#rows.length);
    let index = this.#rows.indexOf(rows[0]);
    for (const row of rows) {
      while (this.#rows[index] !== row) index += 1;
      row.element.setAttribute("aria-posinset", index + 1);
      row.element.setAttribute("aria-setsize", size);
      row.element.classList.toggle("first", index === 0);
    }
  }

  #erase(row) {
    this.#drawn.delete(row);
    if (!row.element) return;
    this.#sizes.unobserve(row.element);
    row.element.remove();
    row.element = null;
  }

  /** The row at a height of the list: the last that begins above it. */
  #indexAt(y) {
    let low = 0;
    let high = this.#rows.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#rows[middle].top <= y) low = middle;
      else high = middle - 1;
    }
    return Math.max(low, 0);
  }
}
