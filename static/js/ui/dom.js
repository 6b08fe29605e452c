/*
 * Elements: making them, and the few things done to all of them alike.
 */

/** An element of a class holding text (never markup) and other elements. */
export function make(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

/** A button that does not submit its form; `onClick` may be left out. */
export function makeButton(className, children, onClick) {
  const button = make("button", className, ...children);
  button.type = "button";
  if (onClick) button.addEventListener("click", onClick);
  return button;
}

/** aria-disabled and not disabled: a disabled button would lose the keyboard's focus. */
export function setEnabled(button, enabled) {
  button.setAttribute("aria-disabled", String(!enabled));
}

export const isEnabled = (button) => button.getAttribute("aria-disabled") !== "true";

/** Writes only a change: a screen reader would read out a live region that is written again. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** The radio buttons of a group. */
export const radiosIn = (document, name) => [...document.querySelectorAll(`input[name=${name}]`)];
