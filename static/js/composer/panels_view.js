/*
 * What opens below the composer: to send a message again and again, and to close the connection
 * with a code and a reason.
 *
 * Both are given `desk`, the composer's own part of the work: `words` (a Wording), `complain(say,
 * input)` and `settle()` for the one place where errors stand.
 */

import { make, makeButton, setEnabled } from "../ui/dom.js";
import { makeField, makeNumberField } from "../ui/fields.js";

const TIMES = { min: 1, max: 10_000, value: 10 };
const INTERVAL_MS = { min: 10, max: 60_000, value: 1000 };
const REASON_BYTES = 123; // a control frame has 125, of which the code takes 2 (RFC 6455, 5.5)

/** A form that a button opens and closes. */
function makePanel(words, id, name, title) {
  const form = make("form", `panel ${id}-panel`);
  Object.assign(form, { id, hidden: true, noValidate: true, autocomplete: "off" });
  words.keep(form, title, "aria-label");
  const opener = words.keep(makeButton("quiet", [], () => toggle()), name);
  opener.setAttribute("aria-controls", id);
  opener.setAttribute("aria-expanded", "false");
  const toggle = (open = form.hidden) => {
    form.hidden = !open;
    opener.setAttribute("aria-expanded", String(open));
    form.dispatchEvent(new Event(open ? "open" : "close"));
  };
  form.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    toggle(false);
    opener.focus();
  });
  return { form, opener, toggle };
}

/**
 * Sends what `read()` gives so many times. `send(payload)` says whether it was possible.
 *
 * Gives the panel and `setConnected`.
 */
export function createRepeat(desk, read, send) {
  const { words } = desk;
  const panel = makePanel(words, "repeat", (t) => t.repeat, (t) => t.repeatTitle);
  const times = makeNumberField(words, "repeat-times", (t) => t.times, TIMES);
  const interval = makeNumberField(words, "repeat-interval", (t) => t.interval, INTERVAL_MS);
  const button = make("button", "");
  const progress = make("p", "progress");
  const outcome = make("p", "progress");
  outcome.setAttribute("aria-live", "polite"); // the progress is not: it would be read without end
  panel.form.append(times.element, interval.element, button, make("div", "told", progress, outcome));

  let run = null; // while it repeats: { timer, payload, sent, all }
  let result = () => "";
  words.keep(button, (t) => (run ? t.stop : t.start));
  words.keep(progress, (t) => (run ? t.repeating(run.sent, run.all) : ""));
  words.keep(outcome, (t) => (run ? "" : result(t)));

  function start() {
    const payload = read();
    if (payload === undefined) return;
    const bad = [times, interval].find((field) => Number.isNaN(field.read()));
    if (bad) return desk.complain((t) => t.notSent(bad.demand(t)), bad.input);
    desk.settle();
    run = { payload, sent: 0, all: times.read(), timer: setInterval(step, interval.read()) };
    step();
  }

  function step() {
    if (!send(run.payload)) return end("repeatLost");
    run.sent += 1;
    if (run.sent === run.all) end("repeated");
    else words.refresh();
  }

  function end(how) {
    clearInterval(run.timer);
    const { sent, all } = run;
    run = null;
    result = how === "repeated" ? (t) => t.repeated(all) : (t) => t[how](sent, all);
    words.refresh();
  }

  panel.form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (run) end("repeatStopped");
    else start();
  });
  return {
    ...panel,
    setConnected(connected) {
      setEnabled(button, connected);
      if (!connected && run) end("repeatLost");
    },
  };
}

/** Closes with `close(code, reason)`: a browser may send 1000 and 3000 to 4999. */
export function createClosing(desk, close) {
  const { words } = desk;
  const panel = makePanel(words, "closing", (t) => t.close, (t) => t.closeTitle);
  const code = makeField(words, "close-code", (t) => t.code, "1000");
  const reason = makeField(words, "close-reason", (t) => t.reason);
  const button = words.keep(make("button", ""), (t) => t.closeNow);
  const codeHint = words.keep(make("p", "field-hint"), (t) => t.codeHint);
  const size = words.keep(make("p", "field-hint"), (t) => t.reasonBytes(reasonBytes(), REASON_BYTES));
  let connected = false;

  code.input.inputMode = "numeric";
  for (const [field, hint] of [[code, codeHint], [reason, size]]) {
    field.element.append(hint);
    hint.id = `${field.input.id}-hint`;
    field.input.setAttribute("aria-describedby", hint.id);
  }
  panel.form.append(code.element, reason.element, button);

  function reasonBytes() {
    return new TextEncoder().encode(reason.input.value).length;
  }

  reason.input.addEventListener("input", () => {
    size.classList.toggle("over", reasonBytes() > REASON_BYTES);
    words.refresh();
  });
  panel.form.addEventListener("submit", (event) => {
    event.preventDefault();
    const chosen = /^\s*\d{4}\s*$/.test(code.input.value) ? Number(code.input.value) : NaN;
    const used = reasonBytes();
    if (!connected) return desk.complain((t) => t.nothingToClose, null, true);
    if (chosen !== 1000 && !(chosen >= 3000 && chosen <= 4999)) {
      return desk.complain((t) => t.badCode, code.input);
    }
    if (used > REASON_BYTES) return desk.complain((t) => t.longReason(used, REASON_BYTES), reason.input);
    desk.settle();
    close(chosen, reason.input.value);
  });
  return {
    ...panel,
    setConnected(value) {
      connected = value;
      setEnabled(button, value);
    },
  };
}
