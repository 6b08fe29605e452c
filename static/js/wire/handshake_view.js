/*
 * The opening handshake as the inspector reports it: two HTTP messages, what was negotiated, and
 * how Sec-WebSocket-Accept comes about.
 */

import { makeRow } from "../log/row_view.js";
import { make, makeButton } from "../ui/dom.js";
import { visible } from "../ui/safe_text.js";

const STEPS = ["key", "guid", "concatenated", "sha1", "value"];

export function drawHandshake(entry, texts) {
  const { wire } = texts;
  const { request, response, redacted, forwarded, accept, subprotocols, extensions, peer } = entry.report;
  const negotiated = (what, { offered, chosen }) => {
    const list = Array.isArray(offered) ? offered.join(", ") : offered;
    return make("p", "", visible(wire.negotiated(what, list || wire.nothing, chosen || wire.nothing)));
  };
  const parts = [
    make("strong", "title", wire.handshakeTitle),
    make(
      "div",
      "http",
      drawHttp(wire.request, request, "request"),
      drawHttp(wire.response, response, "status"),
    ),
    drawAccept(accept, response, texts),
    make(
      "div",
      "negotiated",
      negotiated(texts.subprotocol, subprotocols),
      negotiated(texts.extensions, extensions),
      make("p", "", visible(wire.peer(peer))),
    ),
  ];
  if (redacted.length) parts.push(make("p", "note redacted", visible(wire.redacted(redacted.join(", ")))));
  if (forwarded.length) {
    const lines = forwarded.map(([name, value]) => make("div", "", visible(`${name}: ${value}`)));
    parts.push(make("div", "forwarded", make("p", "label", wire.forwarded), ...lines));
  }
  const row = makeRow(entry, texts.directions.event, parts);
  Object.assign(row.dataset, { direction: "event", kind: "handshake" });
  return row;
}

/** An HTTP message as it was sent; header fields of which there is something to say are buttons. */
function drawHttp(title, { line, headers }, note) {
  const button = (name, text) => {
    const element = makeButton("header-name", [text]);
    element.dataset.note = name;
    return element;
  };
  const first = make("div", "start-line", button(note, visible(line)));
  const rows = headers.map(([name, value]) => {
    const known = KNOWN.has(name.toLowerCase());
    const label = known ? button(name.toLowerCase(), visible(name)) : make("span", "", visible(name));
    const row = make("div", known ? "header known" : "header", label, ": ", visible(value));
    row.dataset.header = name.toLowerCase();
    return row;
  });
  const empty = make("div", "header", "\u00a0"); // the line that ends the head
  return make("div", "http-message", make("p", "label", title), make("div", "lines", first, ...rows, empty));
}

/** Key and GUID, joined, hashed, encoded: each step with its result. */
function drawAccept(accept, response, texts) {
  const { wire } = texts;
  const list = make("ol", "steps derivation");
  for (const step of STEPS) {
    const value = make("code", "", visible(accept[step]));
    const item = make("li", "", make("span", "label", wire.accept[step]), value);
    item.dataset.step = step;
    list.append(item);
  }
  const [, sent] = response.headers.find(([name]) => name.toLowerCase() === "sec-websocket-accept") ?? [];
  const matches = sent === accept.value;
  const verdict = make("p", matches ? "good" : "problem", matches ? wire.acceptMatches : wire.acceptDiffers);
  return make("div", "accept", make("p", "label", wire.acceptTitle), list, verdict);
}

const KNOWN = new Set([
  "host", "upgrade", "connection", "origin", "sec-websocket-key", "sec-websocket-version",
  "sec-websocket-protocol", "sec-websocket-extensions", "sec-websocket-accept",
]);
