/*
 * The card of the connection: its state, what was agreed on, and the choice of a server and of
 * subprotocols for the next.
 */

import { isEnabled, radiosIn, setEnabled, setText } from "../ui/dom.js";
import { spelled } from "../ui/safe_text.js";
import { parseProtocols } from "./subprotocols.js";

/**
 * Brings the card's elements to life, which are in the template.
 *
 * `client` is the Client that it shows and drives; `addressOf(target)` a WebSocket address. The
 * visitor's choices go to `onTarget(target)`, `onProtocols(protocols)` and, when they are to be
 * offered now, `onOffer()`.
 */
export function createConnectionView(document, { client, addressOf, state, texts, onTarget, onProtocols, onOffer }) {
  const $ = (id) => document.getElementById(id);
  const targets = radiosIn(document, "target");
  const field = $("protocols");
  let { target } = state;
  let told = ["disconnected", null]; // the client's state and its detail, as it told last
  let lastId = null; // of the connection that is, or else was

  function showState(...now) {
    if (now.length) told = now;
    const [name, detail] = told;
    // The word is a live region, the countdown beside it is not: it would be read out every second.
    setText($("state"), texts.states[name]);
    $("state").dataset.state = name;
    $("state-detail").textContent = detail ? sayDetail(detail) : "";
    const { link } = client;
    const trying = link !== null && !link.opened;
    $("connect").textContent = client.waiting ? texts.connectNow : link ? texts.reconnect : texts.connect;
    const stopping = trying || client.waiting ? texts.stop : texts.disconnect;
    $("disconnect").textContent = link?.leaving ? texts.giveUp : stopping;
    setEnabled($("connect"), !link || (link.opened && !link.leaving));
    setEnabled($("disconnect"), client.waiting || link);

    const open = name === "connected";
    $("address").textContent = link?.address.split("?")[0] ?? addressOf(target);
    if (link) lastId = link.id;
    $("connection-id").textContent = lastId ?? texts.noneYet;
    $("protocol").textContent = open ? link.socket.protocol || texts.none : texts.noneYet;
    $("extensions").textContent = open ? link.socket.extensions || texts.none : texts.noneYet;
  }

  function sayDetail({ seconds, attempt }) {
    return seconds ? texts.retryIn(seconds, attempt) : texts.retryNow(attempt);
  }

  function showTarget() {
    for (const radio of targets) radio.checked = radio.value === target;
    $("target-hint").textContent = texts.targetHints[target];
  }

  /** The subprotocols in the field, or undefined after a complaint about what is there. */
  function readProtocols() {
    const { protocols, problem, protocol } = parseProtocols(field.value);
    setText($("protocols-error"), problem ? texts.protocolProblems[problem](spelled(protocol)) : "");
    field.setAttribute("aria-invalid", String(Boolean(problem)));
    return protocols;
  }

  for (const radio of targets) radio.addEventListener("change", () => onTarget(radio.value));
  $("connect").addEventListener("click", () => isEnabled($("connect")) && client.connectByHand());
  $("disconnect").addEventListener("click", () => {
    if (!isEnabled($("disconnect"))) return;
    if (client.link?.leaving) client.giveUp();
    else client.close();
  });
  field.addEventListener("input", () => {
    const protocols = readProtocols();
    if (protocols) onProtocols(protocols);
  });
  $("offer").addEventListener("submit", (event) => {
    event.preventDefault();
    if (readProtocols()) onOffer();
  });
  field.value = state.protocols.join(", ");

  return {
    showState,
    setTarget(next) {
      target = next;
      showTarget();
    },
    setProtocols(protocols) {
      field.value = protocols.join(", ");
    },
    setTexts(next) {
      texts = next;
      readProtocols();
      showState();
      showTarget();
    },
  };
}
