/*
 * The composer: a field for text, JSON or hex, or a file in its place; what was sent before; and
 * below it, when opened, repeating and closing.
 *
 * What cannot be sent stays where it is, with a sentence on what to do about it.
 */

import { make, makeButton, setEnabled } from "../ui/dom.js";
import { Wording } from "../ui/wording.js";
import { createFile } from "./file_view.js";
import { MessageHistory } from "./history.js";
import { createClosing, createRepeat } from "./panels_view.js";
import { KINDS, Unsendable, bytesOfHex, layOutJson, tokensOfJson, wellFormed } from "./payloads.js";

/**
 * Fills the empty element `root`.
 *
 * `send(data, { byHand })` and `close(code, reason)` are the connection's; `send` returns false when
 * there is none. `kind` and `draft` are what stands in the field at first. All texts are those of
 * `texts.composer`.
 */
export function createComposer(root, { texts, send, close, kind, draft }) {
  let problem = null; // what stands in the way: { say, input, disconnected }
  let jsonFault; // of what is in the field: an Unsendable, or undefined
  let connected = false;

  const words = new Wording(texts);
  const field = make("textarea", "message");
  Object.assign(field, { id: "message", rows: 1, value: draft, spellcheck: false, enterKeyHint: "send" });
  field.autocapitalize = "off";
  const label = words.keep(make("label", "message-label"), (t) => t.message);
  label.htmlFor = field.id;
  const kinds = makeKinds(words);
  kinds.value = kind;
  const sendButton = words.keep(make("button", "primary"), (t) => t.send);
  sendButton.id = "send";
  const format = words.keep(makeButton("quiet", [], layOut), (t) => t.format);
  format.id = "format";
  const hint = words.keep(make("p", "hint"), (t) => hintIn(t));
  const error = words.keep(make("p", "alert"), (t) => (problem ? problem.say(t) : ""));
  hint.id = "hint";
  error.id = "error";
  error.setAttribute("role", "alert"); // there before its text: only changes are announced

  const desk = { words, complain, settle };
  const form = make("form", "composer");
  Object.assign(form, { id: "composer", noValidate: true, autocomplete: "off" });
  const file = createFile(desk, root, onFile);
  const repeat = createRepeat(desk, read, transmit);
  const closing = createClosing(desk, close);
  const panels = [repeat, closing];
  form.append(
    make("div", "bar", label, kinds.element),
    make("div", "entry", field, file.chip, sendButton),
    make("div", "help", hint, error),
    make("div", "tools", format, file.opener, file.picker, ...panels.map((panel) => panel.opener)),
  );
  root.append(form, ...panels.map((panel) => panel.form));

  /* ---- What is in the field ---- */

  function payloadOfField() {
    if (kinds.value === "binary") return bytesOfHex(field.value);
    if (kinds.value === "json") tokensOfJson(field.value);
    return wellFormed(field.value);
  }

  /** What is to be sent, or undefined after a complaint. */
  function read() {
    if (!connected) return complainOfConnection();
    const held = file.held();
    if (held) return held.text ?? held.bytes;
    try {
      return payloadOfField();
    } catch (fault) {
      return complainOf(fault, (t) => t.notSent(fault.say(t)));
    }
  }

  function complainOf(fault, say) {
    if (!(fault instanceof Unsendable)) throw fault;
    complain(say, field);
    field.focus();
    field.setSelectionRange(fault.at, fault.at); // so that it can be mended at once
  }

  /** JSON is checked as it is typed. */
  function check() {
    jsonFault = undefined;
    if (kinds.value !== "json" || !field.value) return;
    try {
      JSON.parse(field.value); // the quicker one, which does not always tell the place
    } catch {
      try {
        tokensOfJson(field.value);
      } catch (fault) {
        jsonFault = fault;
      }
    }
  }

  function layOut() {
    try {
      field.value = layOutJson(tokensOfJson(field.value));
    } catch (fault) {
      return complainOf(fault, fault.say);
    }
    onInput();
    field.focus();
  }

  function hintIn(t) {
    if (kinds.value !== "json" || !field.value) return t.hints[kinds.value];
    return jsonFault ? jsonFault.say(t) : t.goodJson;
  }

  /* ---- Complaints ---- */

  function complain(say, input = null, disconnected = false) {
    settle();
    problem = { say, input, disconnected };
    input?.setAttribute("aria-invalid", "true");
    describe(input, true);
    words.refresh();
  }

  function complainOfConnection() {
    complain((t) => t.notConnected, null, true);
  }

  function settle() {
    problem?.input?.removeAttribute("aria-invalid");
    describe(problem?.input, false);
    problem = null;
    words.refresh();
  }

  /** Ties the error to the input that it is about, beside what describes it anyway. */
  function describe(input, withError) {
    if (!input || input === field) return; // the message is described by both, always
    const ids = (input.getAttribute("aria-describedby") ?? "").split(" ").filter((id) => id && id !== error.id);
    if (withError) ids.push(error.id);
    input.setAttribute("aria-describedby", ids.join(" "));
  }

  /* ---- Sending ---- */

  function transmit(payload, byHand) {
    return connected && send(payload, { byHand });
  }

  function submit() {
    const payload = read();
    if (payload === undefined) return;
    if (!transmit(payload, true)) return complainOfConnection();
    settle();
    if (file.held()) return file.drop();
    past.add({ kind: kinds.value, text: field.value });
    put("");
  }

  function onFile(held) {
    for (const element of [field, kinds.element]) element.hidden = held;
    format.hidden = held || kinds.value !== "json";
    hint.hidden = held;
    if (held) sendButton.focus();
    else field.focus();
  }

  /* ---- What was sent before ---- */

  const past = new MessageHistory();

  function put(text, caret = text.length) {
    field.value = text;
    field.setSelectionRange(caret, caret);
    onInput();
  }

  function recall(entry, up) {
    if (!entry) return false;
    kinds.value = entry.kind;
    showKind();
    const firstLine = entry.text.indexOf("\n");
    put(entry.text, up && firstLine >= 0 ? firstLine : undefined); // where the next ↑ goes on
    return true;
  }

  function onKey(event) {
    // What ends the composition of a character (229 in Safari) belongs to the input method.
    if (event.shiftKey || event.isComposing || event.keyCode === 229) return;
    if (event.key === "Enter") {
      event.preventDefault();
      if (!event.repeat) form.requestSubmit(); // a key held down must not flood the server
      return;
    }
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const { value, selectionStart: start, selectionEnd: end } = field;
    if (start !== end) return;
    const now = { kind: kinds.value, text: value };
    const done =
      (event.key === "ArrowUp" && !value.slice(0, start).includes("\n") && recall(past.older(now), true)) ||
      (event.key === "ArrowDown" && !value.slice(start).includes("\n") && recall(past.newer(), false));
    if (done) event.preventDefault();
  }

  /* ---- Wiring ---- */

  function onInput() {
    if (problem?.input === field || problem?.disconnected) settle();
    check();
    words.refresh();
  }

  function showKind() {
    field.dataset.kind = kinds.value;
    format.hidden = kinds.value !== "json";
    if (problem) settle();
    check();
    words.refresh();
  }

  field.setAttribute("aria-describedby", `${hint.id} ${error.id}`);
  field.addEventListener("input", onInput);
  field.addEventListener("keydown", onKey);
  kinds.element.addEventListener("change", showKind);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  for (const panel of panels) {
    panel.form.addEventListener("open", () => {
      for (const other of panels) if (other !== panel) other.toggle(false);
    });
    panel.form.addEventListener("close", () => panel.form.contains(problem?.input) && settle());
    panel.form.addEventListener("input", () => problem && settle());
  }
  showKind();

  function setConnected(value) {
    connected = value;
    setEnabled(sendButton, value);
    for (const panel of panels) panel.setConnected(value);
    if (value && problem?.disconnected) settle();
  }
  setConnected(false);

  return {
    setTexts: (next) => words.change(next),
    setConnected,
    draft: () => ({ kind: kinds.value, draft: field.value }),
  };
}

/** The choice between the kinds, whose `value` can be read and set. */
function makeKinds(words) {
  const element = make("fieldset", "segments");
  const legend = words.keep(make("legend", "visually-hidden"), (t) => t.sendAs);
  const inputs = KINDS.map((kind) => {
    const input = make("input", "");
    Object.assign(input, { type: "radio", name: "kind", value: kind, checked: kind === "text" });
    return input;
  });
  const labels = inputs.map((input) =>
    make("label", "", input, words.keep(make("span", ""), (t) => t.kinds[input.value])),
  );
  element.append(legend, ...labels);
  return {
    element,
    get value() {
      return inputs.find((input) => input.checked).value;
    },
    set value(kind) {
      inputs.find((input) => input.value === kind).checked = true;
    },
  };
}
