/*
 * A small load on a WebSocket of its own: so many messages of so many bytes, so many of them in
 * flight. Every byte that comes back is compared with what was sent.
 */

import { make } from "../ui/dom.js";
import { makeNumberField } from "../ui/fields.js";
import { Wording } from "../ui/wording.js";
import { makeHistogram, makeNumbers } from "./load_result_view.js";
import { LoadRun } from "./load_run.js";
import { measure } from "./statistics.js";

const MESSAGES = { min: 1, max: 100_000, value: 1000 };
const SIZE = { min: 0, max: 1024 * 1024, value: 64 };
const WINDOW = { min: 1, max: 1000, value: 16 };
const MOST_IN_FLIGHT = 64 * 1024 * 1024; // bytes
const LOOK_MS = 250; // between two looks at a run

/** Fills the empty element `root`. All texts are those of `texts.load`. */
export function createLoad(root, { texts, address }) {
  const words = new Wording(texts);
  let run = null; // a LoadRun while one goes on
  let looks; // the timer of the looks at it
  let progressText = () => "";
  let outcomeText = () => "";
  let problem = null; // { say, input }
  let result = null; // what the numbers and the histogram show

  const title = words.keep(make("h2", ""), (t) => t.title);
  title.id = "load-title";
  root.setAttribute("aria-labelledby", title.id);
  const fields = [
    makeNumberField(words, "load-messages", (t) => t.messages, MESSAGES),
    makeNumberField(words, "load-size", (t) => t.size, SIZE),
    makeNumberField(words, "load-window", (t) => t.window, WINDOW),
  ];
  const button = words.keep(make("button", ""), (t) => (run ? t.stop : t.start));
  button.id = "load-start";
  const error = words.keep(make("p", "alert"), (t) => (problem ? problem.say(t) : ""));
  error.id = "load-error";
  error.setAttribute("role", "alert");
  const bar = make("progress", "");
  bar.hidden = true;
  words.keep(bar, (t) => t.title, "aria-label");
  const progress = words.keep(make("p", "progress"), (t) => progressText(t));
  const outcome = words.keep(make("p", "outcome"), (t) => outcomeText(t));
  outcome.setAttribute("aria-live", "polite"); // the progress is not: it would be read without end

  const form = make("form", "load-form", ...fields.map((field) => field.element), button);
  Object.assign(form, { noValidate: true, autocomplete: "off" });
  const numbers = makeNumbers(words, () => result);
  const histogram = makeHistogram(words, () => result);
  root.append(
    title,
    words.keep(make("p", "hint"), (t) => t.about),
    form,
    make("div", "", error, bar, progress, outcome), // always there: only changes are announced
    numbers,
    histogram.element,
  );

  function complain(say, input) {
    problem = { say, input };
    input.setAttribute("aria-invalid", "true");
    input.setAttribute("aria-describedby", error.id);
    input.focus();
    words.refresh();
  }

  function settle() {
    problem?.input.removeAttribute("aria-invalid");
    problem?.input.removeAttribute("aria-describedby");
    problem = null;
    words.refresh();
  }

  function start() {
    settle();
    const values = fields.map((field) => field.read());
    const bad = fields[values.findIndex(Number.isNaN)];
    if (bad) return complain(bad.demand, bad.input);
    const [messages, size, window] = values;
    const inFlight = size * Math.min(messages, window);
    if (inFlight > MOST_IN_FLIGHT) {
      return complain((t) => t.tooMuchInFlight(inFlight, MOST_IN_FLIGHT), fields[1].input);
    }
    run = new LoadRun(address(), { messages, size, window }, onEnd);
    bar.max = messages;
    looks = setInterval(look, LOOK_MS);
    outcomeText = () => "";
    look();
  }

  function look() {
    const { done, messages, opened } = run;
    progressText = (t) => (opened ? t.progress(done, messages) : t.connecting);
    bar.hidden = false;
    bar.value = done;
    show(run);
  }

  /** How it ended: `say` names a text of the table, called with the values. */
  function onEnd(ended, say) {
    clearInterval(looks);
    run = null;
    bar.hidden = true;
    progressText = () => "";
    outcomeText = say;
    outcome.dataset.level = ended.complete ? "good" : ended.stopped ? "" : "bad";
    show(ended);
  }

  function show(of) {
    result = of.done ? measure(of) : null;
    numbers.hidden = !result;
    histogram.draw();
    words.refresh();
  }

  form.addEventListener("input", () => problem && settle());
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (run) run.stop();
    else start();
  });
  show({ done: 0 });
  return {
    setTexts(next) {
      words.texts = next;
      histogram.draw();
      words.refresh();
    },
  };
}
