/*
 * Notes on what the wire shows: whatever has data-note explains itself when it is pointed at,
 * focused or tapped, with the section of the RFC that says so. Escape puts the note away.
 */

import { make } from "../ui/dom.js";

const RFC = "https://www.rfc-editor.org/rfc/rfc";

/** Lets the elements inside `area` explain themselves; `texts()` is the table of the moment. */
export function explainFields(area, texts) {
  const note = make("div", "field-note");
  note.id = "field-note";
  note.popover = "manual";
  let shownFor = null;
  let quiet = false;

  const hide = () => {
    if (!shownFor) return;
    const field = shownFor;
    const hadFocus = note.contains(document.activeElement);
    field.removeAttribute("aria-describedby");
    shownFor = null;
    if (note.matches(":popover-open")) note.hidePopover();
    note.remove();
    if (!hadFocus) return;
    quiet = true; // the keyboard goes back to the field, which is not to explain itself again
    field.focus();
    quiet = false;
  };

  const show = (button) => {
    if (button === shownFor || quiet) return;
    hide();
    const { notes, wire } = texts();
    const name = button.dataset.note;
    if (!Object.hasOwn(notes, name)) return;
    const [text, rfc, section] = notes[name];
    const link = make("a", "", notes.section(rfc, section));
    link.href = `${RFC}${rfc}#section-${section}`;
    link.target = "_blank";
    link.rel = "noopener noreferrer";
    const title = wire.labels[name] ?? button.textContent;
    note.replaceChildren(make("strong", "", title), make("span", "", text), link);
    button.after(note); // so that the Tab key leads from the field to the link
    button.setAttribute("aria-describedby", note.id);
    shownFor = button;
    note.showPopover();
    place(note, button.getBoundingClientRect());
  };

  const fieldOf = (event) => event.target.closest?.("[data-note]");
  const isNote = (element) => element instanceof Node && note.contains(element);

  area.addEventListener("pointerover", (event) => {
    const button = fieldOf(event);
    if (button) show(button);
  });
  area.addEventListener("pointerout", (event) => {
    const to = event.relatedTarget;
    if (event.pointerType === "mouse" && !isNote(to) && !to?.closest?.("[data-note]") && shownFor !== document.activeElement) hide();
  });
  area.addEventListener("focusin", (event) => {
    const button = fieldOf(event);
    if (button) show(button);
    else if (!isNote(event.target)) hide();
  });
  area.addEventListener("focusout", (event) => {
    if (!isNote(event.relatedTarget) && !fieldOf({ target: event.relatedTarget ?? document.body })) hide();
  });
  area.addEventListener("click", (event) => {
    const button = fieldOf(event);
    if (button) show(button);
  });
  area.addEventListener("keydown", (event) => {
    if (event.key === "Escape") return hide();
    move(event);
  });
  area.addEventListener("scroll", () => shownFor?.isConnected && place(note, shownFor.getBoundingClientRect()), { passive: true });
  document.addEventListener("pointerdown", (event) => {
    if (!isNote(event.target) && !fieldOf(event)) hide();
  });
}

/** Arrow keys, Home and End move between the fields of one header. */
function move(event) {
  const group = event.target.closest(".bits");
  if (!group || !event.target.matches("[data-note]")) return;
  const fields = [...group.querySelectorAll("[data-note]")];
  const at = fields.indexOf(event.target);
  const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: fields.length - 1 }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  const next = fields[Math.min(Math.max(to, 0), fields.length - 1)];
  for (const field of fields) field.tabIndex = field === next ? 0 : -1;
  next.focus();
}

/** Below its field, or above it where there is no room, and inside the window. */
function place(note, field) {
  const { width, height } = note.getBoundingClientRect();
  const left = Math.min(Math.max(8, field.left), document.documentElement.clientWidth - width - 8);
  const below = field.bottom - 1; // without a gap, so that the pointer can go there
  const top = below + height < window.innerHeight ? below : field.top - height + 1;
  note.style.left = `${Math.max(8, left)}px`;
  note.style.top = `${Math.max(8, top)}px`;
}
