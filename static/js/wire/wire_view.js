/*
 * The rows of the view Wire: frames as RFC 6455 draws them (section 5.2), and both handshakes.
 */

import { drawEvent, meaning } from "../log/messages_view.js";
import { makeRow } from "../log/row_view.js";
import { make, makeButton } from "../ui/dom.js";
import { dump, toHex } from "../ui/hex.js";
import { showText, visible } from "../ui/safe_text.js";
import { closePayload, headerFields, lengthOf, OPCODES, reconstructClose, reconstructFrame } from "./frames.js";
import { drawHandshake } from "./handshake_view.js";

const SHOWN = 64; // bytes of a payload that are shown until more are asked for

/** The view Wire: `shows(entry)`, `draw(entry, texts)`, and how high a row is as a rule, in pixels. */
export const wireView = {
  shows: (entry) => entry.type !== "message" || entry.frames !== "reported",
  draw: drawWire,
  rowHeight: 280,
};

function drawWire(entry, texts) {
  try {
    return draw(entry, texts);
  } catch (error) {
    // Only a report that is not as agreed leads here. The page must survive it.
    console.warn(error);
    return makeRow(entry, texts.directions.event, [make("span", "problem", texts.badReport)]);
  }
}

function draw(entry, texts) {
  switch (entry.type) {
    case "frame":
      return drawFrame(entry, texts);
    case "handshake":
      return drawHandshake(entry, texts);
    case "message":
      return entry.frames === "reconstructed" ? drawReconstructed(entry, texts) : drawUnseen(entry, texts);
    case "brief":
      return drawBrief(entry, texts);
    case "failure":
      return drawFailure(entry, texts);
    case "closed":
      return drawEvent(entry, texts, [drawClosing(entry, texts)]);
    default:
      return drawEvent(entry, texts);
  }
}

/** A message of whose frame nothing is known but that it was. */
function drawUnseen(entry, texts) {
  const { wire } = texts;
  const sent = entry.direction === "sent";
  const text = sent
    ? wire.unseenSent(wire.kinds[entry.kind], entry.bytes)
    : entry._report
      ? wire.unseenReport(entry.bytes)
      : wire.unseenReceived(wire.kinds[entry.kind], entry.bytes);
  const row = makeRow(entry, [...wire.from[sent ? "client" : "server"]], [make("span", "note", text)]);
  row.dataset.direction = entry.direction;
  row.classList.add("brief");
  return row;
}

/** A message of the server of which the one frame follows from what arrived. */
function drawReconstructed(entry, texts) {
  const { kind, text, hex, bytes } = entry;
  const payload = kind === "text" ? toHex(new TextEncoder().encode(text).subarray(0, 1024)) : hex;
  entry._frame ??= {
    at: entry.at,
    from: "server",
    source: "reconstructed",
    frame: reconstructFrame(kind === "text" ? 1 : 2, payload, bytes),
  };
  return drawFrame(entry._frame, texts);
}

/** What arrived where the inspector only counts, since it was told too much in too little. */
function drawBrief(entry, texts) {
  const { wire } = texts;
  const { type, kind = type, ...report } = entry.report;
  const row = makeRow(entry, wire.from.client, [make("span", "note", wire.brief({ ...report, kind: wire.kinds[kind] }))]);
  Object.assign(row.dataset, { direction: "sent", kind: "brief" });
  row.classList.add("brief");
  return row;
}

function drawFailure(entry, texts) {
  const parts = [make("strong", "title", texts.wire.failure(entry.code)), ...meaning(entry.code, texts)];
  if (entry.reason) parts.push(make("span", "reason", texts.reason, visible(entry.reason)));
  const row = makeRow(entry, texts.directions.event, parts);
  Object.assign(row.dataset, { direction: "event", level: "bad" });
  return row;
}

/** A frame: what it is, its header bit by bit, its payload. `entry` as recorder.js makes it. */
function drawFrame(entry, texts) {
  const { wire } = texts;
  const { frame, from, source, part, message } = entry;
  const kind = wire.kinds[OPCODES[frame.opcode]] ?? wire.kinds.reserved;
  const about = make("p", "about", make("strong", "title", wire.frame(kind, lengthOf(frame.header))));
  if (part && (part.of > 1 || part.message)) {
    about.append(" ", make("span", "part", wire.part(part.index, part.of, part.message)));
  }
  about.append(" ", make("span", "source", wire.sources[source]));
  const parts = [about];
  if (typeof frame.elapsed_ms === "number") {
    parts.push(make("p", "times", wire.times(frame.elapsed_ms, frame.gap_ms ?? null)));
  }
  parts.push(drawHeader(frame.header, texts), drawPayload(entry, texts));
  if (frame.opcode === 8) parts.push(drawCloseCode(frame, texts));
  if (message) parts.push(drawSummary(message, texts));
  const row = makeRow(entry, wire.from[from], parts);
  Object.assign(row.dataset, { direction: from === "client" ? "sent" : "received", kind: "frame", source });
  if (source === "failed") row.dataset.level = "bad";
  return row;
}

/**
 * The header's bits in labelled cells. A cell never spans more than 16 bits: a long field is drawn
 * as several that belong together, so that a line can have 32 columns, or 16 where it is narrow.
 */
function drawHeader(header, texts) {
  const { wire } = texts;
  const grid = make("div", "bits");
  grid.setAttribute("role", "group");
  grid.setAttribute("aria-label", wire.header);
  for (const { name, bits, value } of headerFields(header)) {
    const label = wire.labels[name];
    const said = sayValue(name, value, texts);
    for (let i = 0; i < bits.length; i += 16) {
      const part = bits.slice(i, i + 16);
      const cell = makeButton("cell", [make("span", "label", i ? wire.continued(label) : label), drawBits(part)]);
      if (!i) cell.append(make("span", "value", said));
      cell.dataset.field = cell.dataset.note = name;
      cell.dataset.bits = part;
      cell.style.gridColumn = `span ${part.length}`;
      cell.setAttribute("aria-label", wire.cell(i ? wire.continued(label) : label, part, i ? "" : said));
      cell.tabIndex = grid.childElementCount ? -1 : 0; // one stop of the Tab key, arrows move inside
      grid.append(cell);
    }
  }
  // Where a line of 32 bits is half full the payload begins, as in the RFC's drawing.
  if (header.length % 8) grid.append(make("span", "rest", wire.payload));
  return grid;
}

function drawBits(bits) {
  const cells = make("span", "digits", ...[...bits].map((bit) => make("span", `bit bit-${bit}`, bit)));
  cells.style.gridTemplateColumns = `repeat(${bits.length}, minmax(0, 1fr))`;
  return cells;
}

function sayValue(name, value, { wire }) {
  if (name === "opcode") return `${value.toString(16).toUpperCase()} ${wire.kinds[OPCODES[value]] ?? wire.kinds.reserved}`;
  if (name === "length") return wire.lengthValue(value);
  if (name === "extended") return wire.extendedValue(value);
  if (name === "key") return value.match(/../g).join(" ");
  return "";
}

/** The payload as a dump, masked and unmasked beside each other. */
function drawPayload(entry, texts) {
  const { wire } = texts;
  const { frame } = entry;
  const { masked, unmasked, omitted } = frame.payload;
  const size = unmasked.length / 2;
  const box = make("div", "payloads");
  if (!frame.payload_length) {
    box.append(make("p", "note", wire.noPayload));
    return box;
  }
  const fill = () => {
    const end = 2 * (entry._all ? size : Math.min(size, SHOWN));
    const dumps = frame.masked
      ? [drawDump(wire.masked, masked.slice(0, end), "masked"), drawDump(entry.compressed ? wire.stillCompressed : wire.unmasked, unmasked.slice(0, end), "unmasked")]
      : [drawDump(entry.from === "client" ? wire.bare : wire.plain, unmasked.slice(0, end), "plain")];
    box.replaceChildren(...dumps);
    if (end < 2 * size) {
      const showAll = () => {
        entry._all = true;
        fill();
        const dumpBox = box.querySelector(".dump");
        dumpBox.tabIndex = -1; // the button is gone: the keyboard goes on where it led
        dumpBox.focus({ preventScroll: true });
      };
      box.append(makeButton("quiet more", [wire.showAll(size)], showAll));
    } else if (omitted) {
      const note = entry.from === "client" ? wire.omitted : wire.omittedHere;
      box.append(make("p", "note", note(omitted)));
    }
  };
  fill();
  return box;
}

function drawDump(title, hex, name) {
  const lines = dump(hex).map(([offset, octets, text]) =>
    make("span", "line", make("span", "offset", offset), " ", make("span", "octets", octets), " ", make("span", "text", text), "\n"),
  );
  const box = make("div", "dump", make("p", "label", title), make("pre", "", ...lines));
  box.dataset.dump = name;
  return box;
}

function drawCloseCode(frame, texts) {
  const close = closePayload(frame.payload.unmasked);
  const parts = meaning(close?.code ?? 1005, texts);
  if (close?.reason) parts.push(make("span", "reason", texts.reason, visible(close.reason)));
  return make("div", "close-code", ...parts);
}

/** What is known of a message once all of it is there. */
function drawSummary(message, texts) {
  const { wire } = texts;
  const lines = [make("p", "complete", wire.message({ ...message, kind: wire.kinds[message.kind] }))];
  if (message.frames_omitted) lines.unshift(make("p", "note", wire.framesOmitted(message.frames_omitted)));
  if (typeof message.compressed_bytes === "number") {
    const body = message.kind === "text"
      ? showText(message.preview, texts)
      : [make("pre", "body", dump(message.preview.slice(0, 2 * SHOWN)).map((line) => line.join(" ")).join("\n"))];
    if (message.preview_omitted) body.push(make("span", "note", texts.moreBytes(message.preview_omitted)));
    lines.push(make("div", "inflated", make("p", "label", wire.inflated), ...body));
  }
  return make("div", "message-summary", ...lines);
}

/** The closing handshake of an ended connection, with the server's frame where it is certain. */
function drawClosing(entry, texts) {
  const { wire } = texts;
  const steps = wire.closingSteps;
  const list = make("ol", "steps");
  const step = (text, ...more) => list.append(make("li", "", text, ...more));
  const serverFrame = () => {
    const frame = reconstructClose(entry.code, entry.reason);
    const dumped = drawPayload({ frame, from: "server" }, texts);
    return make("div", "server-close", make("span", "source", wire.sources.reconstructed), drawHeader(frame.header, texts), dumped);
  };
  if (entry.by === "you") {
    step(steps.youFirst);
    step(steps.serverAnswers, serverFrame());
  } else if (entry.by === "server") {
    step(steps.serverFirst, serverFrame());
    step(steps.youAnswer);
  } else if (entry.by === "unanswered") {
    step(steps.youFirst);
    step(steps.noAnswer);
  } else {
    step(steps.none);
  }
  return make("div", "closing", make("p", "label", wire.closingTitle), list);
}
