/*
 * A file as the message: chosen or dropped, held until it is sent or removed.
 */

import { make, makeButton } from "../ui/dom.js";
import { spelled } from "../ui/safe_text.js";

const LIMIT = 16 * 1024 * 1024; // bytes: more would stand still in memory, here and at the server

/**
 * Takes files that are dropped anywhere on the page, for which `target` is marked, or chosen with
 * the `opener` button.
 *
 * Gives `held()`: null or `{ bytes, text }`, where the text is null unless the visitor wants it,
 * `drop()` to let go of it, and the elements. `onChange` is called when there is another one.
 */
export function createFile(desk, target, onChange) {
  const { words } = desk;
  let file = null; // { name, bytes, text }: text is null for what is not UTF-8
  let reading = 0; // counts, so that a slow file cannot replace the one that was chosen after it
  const picker = make("input", "");
  Object.assign(picker, { type: "file", id: "file", hidden: true });
  const opener = words.keep(makeButton("quiet", [], () => picker.click()), (t) => t.chooseFile);

  const name = make("bdi", "file-name");
  const note = words.keep(make("p", "field-hint"), () => says(words.texts));
  const asText = makeChoice(words);
  const remove = words.keep(makeButton("quiet", [], () => hold(null)), (t) => t.removeFile);
  const chip = make("div", "file", make("p", "file-title", name), note, asText.element, remove);
  chip.hidden = true;

  const wantsText = () => asText.input.checked;
  function says(t) {
    if (!file) return "";
    const how = file.text === null ? t.fileNotText : wantsText() ? t.fileAsText : t.fileAsBinary;
    return `${t.bytes(file.bytes.length)}. ${how}`;
  }

  function hold(next) {
    reading += 1;
    file = next;
    asText.input.checked = false;
    asText.element.hidden = !file || file.text === null;
    chip.hidden = !file;
    name.textContent = file ? spelled(file.name) : "";
    words.refresh();
    onChange(Boolean(file));
  }

  async function take(files) {
    if (files.length > 1) return desk.complain((t) => t.oneFile);
    const [chosen] = files;
    if (chosen.size > LIMIT) return desk.complain((t) => t.fileTooBig(chosen.size, LIMIT));
    const mine = (reading += 1);
    let bytes;
    try {
      bytes = new Uint8Array(await chosen.arrayBuffer());
    } catch {
      if (mine === reading) desk.complain((t) => t.fileUnreadable);
      return;
    }
    if (mine !== reading) return;
    desk.settle();
    hold({ name: chosen.name, bytes, text: textOf(bytes) });
  }

  picker.addEventListener("change", () => {
    if (picker.files.length) take([...picker.files]);
    picker.value = ""; // the same file may be chosen again
  });
  asText.input.addEventListener("change", () => words.refresh());
  acceptDrops(target, (files) => take(files));

  return {
    opener,
    picker,
    chip,
    held: () => file && { bytes: file.bytes, text: wantsText() ? file.text : null },
    drop: () => hold(null),
  };
}

/** A box to tick for who wants the file sent as text. */
function makeChoice(words) {
  const input = make("input", "");
  Object.assign(input, { type: "checkbox", id: "file-as-text" });
  const label = make("label", "choice", input, words.keep(make("span", ""), (t) => t.sendAsText));
  return { element: label, input };
}

/** The text that the bytes are in UTF-8, a byte order mark included, or null. */
function textOf(bytes) {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}

/**
 * Marks the target while a file is held over the page; text is dropped as ever. A browser would
 * open a file that is dropped beside the target, in the place of the page.
 */
function acceptDrops(target, take) {
  const page = target.ownerDocument;
  const mark = (over) => target.classList.toggle("dropping", over);
  for (const type of ["dragenter", "dragover", "dragleave", "drop"]) {
    page.addEventListener(type, (event) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      if (type === "dragleave" && event.relatedTarget) return; // still over the page
      mark(type === "dragenter" || type === "dragover");
      if (type === "dragover") event.dataTransfer.dropEffect = "copy";
      if (type === "drop" && event.dataTransfer.files.length) take([...event.dataTransfer.files]);
    });
  }
}
