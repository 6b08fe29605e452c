/*
 * The rows of the view Messages: what was sent and what came back, and what became of connections.
 */

import { make } from "../ui/dom.js";
import { showBytes, showText, visible } from "../ui/safe_text.js";
import { diagnose, showDiagnosis } from "./diagnosis.js";
import { makeRow } from "./row_view.js";

const TYPES = new Set(["opened", "closed", "failed", "cancelled", "stopped", "message"]);

/** The view Messages: `shows(entry)`, `draw(entry, texts)`, and how high a row is as a rule, in pixels. */
export const messagesView = {
  shows: (entry) => TYPES.has(entry.type),
  draw: (entry, texts) => (entry.type === "message" ? drawPayload(entry, texts) : drawEvent(entry, texts)),
  rowHeight: 43,
};

/** An entry of this view in one line. */
export function inOneLine(entry, texts) {
  if (entry.type === "failed") return `${texts.failed(entry.attempts)}. ${diagnose(entry.server, texts)}`;
  if (entry.type !== "message") return describe(entry, texts).title;
  return `${texts.directions[entry.direction][1]}: ${(entry.text ?? entry.hex).slice(0, 120)}`;
}

function drawPayload(entry, texts) {
  const { direction, kind, state, _report: report } = entry;
  const parts = report ? showReport(entry, texts) : showPayload(entry, texts);
  const problem = { different: texts.different, unasked: texts.unasked, "bad-report": texts.badReport }[state];
  if (problem) parts.push(make("span", "problem", problem));
  let rtt = typeof entry.ms === "number" ? texts.milliseconds(entry.ms) : "";
  if (state === "unanswered") rtt = texts.noAnswer;
  const row = makeRow(entry, texts.directions[direction], parts, texts.bytes(entry.bytes), rtt);
  Object.assign(row.dataset, { direction, kind });
  if (problem || state === "unanswered") row.dataset.level = "bad";
  return row;
}

function showPayload({ kind, text, hex, omitted }, texts) {
  return kind === "text" ? showText(text, texts, omitted) : showBytes(hex, texts, omitted);
}

/** A report of the inspector in a sentence, and as it came behind a click. */
function showReport(entry, texts) {
  const { _report: report } = entry;
  const sentence = Object.hasOwn(texts.reports, report.type) ? texts.reports[report.type](report) : report.type;
  const details = make("details", "report", make("summary", "", texts.showJson));
  details.open = Boolean(entry._open);
  const fill = () => {
    entry._open = details.open;
    if (details.open && details.childElementCount === 1) {
      details.append(make("div", "", ...showPayload(entry, texts)));
    }
  };
  details.addEventListener("toggle", fill);
  fill();
  return [make("span", "summary", visible(sentence)), details];
}

/** The row of something that happened to a connection. */
export function drawEvent(entry, texts, more = []) {
  const { title, level, parts } = describe(entry, texts);
  const row = makeRow(entry, texts.directions.event, [make("strong", "title", visible(title)), ...parts, ...more]);
  Object.assign(row.dataset, { direction: "event", kind: entry.type, level });
  if (entry.code !== undefined) row.dataset.code = entry.code;
  return row;
}

/** What happened, in a sentence, and what that means. */
function describe(entry, texts) {
  switch (entry.type) {
    case "opened":
      return { title: texts.connected(entry.ms, entry.target), level: "good", parts: [] };
    case "stopped":
      return { title: texts.stopped, level: "info", parts: [] };
    case "cancelled":
      return { title: texts.cancelled, level: "info", parts: [] };
    case "failed":
      return { title: texts.failed(entry.attempts), level: "bad", parts: showDiagnosis(entry.server, texts) };
    default:
      return describeEnd(entry, texts);
  }
}

function describeEnd({ by, code, reason, asked, server }, texts) {
  const { ended } = texts;
  const browser = {
    you: () => ended.byYou(asked.code),
    server: () => ended.byServer(code),
    unanswered: () => ended.unanswered(asked.code),
    lost: () => ended.lost(),
  }[by]();
  // What a code tells to whoever receives it is no news to whoever chose it.
  const own = by === "you" && code === asked.code && code !== 1000 ? texts.ownCode : undefined;
  const [, explanation] = meaning(code, texts, by === "unanswered" ? texts.unanswered : own);
  const parts = [explanation]; // the sentence has the code and its name
  if (reason) parts.push(make("span", "reason", texts.reason, visible(reason)));
  const inOrder = by === "you" || code === 1000;
  const level = inOrder ? "info" : [1001, 1005, 1012, 1013].includes(code) ? "warn" : "bad";
  return { title: ended.sentence(browser, serverHalf(server, code, texts)), level, parts };
}

/** What the server says of an end, as the half of a sentence. */
function serverHalf(server, code, texts) {
  const { ended } = texts;
  if (server.state !== "closed") return ended[server.state] ?? ended.unknown;
  const cause = Object.hasOwn(ended.causes, server.cause ?? "") ? ended.causes[server.cause] : ended.otherCause;
  const { duration_ms: duration, messages_in: messagesIn, messages_out: messagesOut } = server;
  if (![duration, messagesIn, messagesOut].every(Number.isFinite)) return cause;
  const codeDiffers = Number.isInteger(server.code) && server.code !== code;
  return cause + ended.figures({ code: server.code, codeDiffers, duration, messagesIn, messagesOut });
}

/** The name of a code and what to make of it. */
export function meaning(code, texts, instead) {
  const [name, explanation] =
    texts.closeCodes[code] ?? texts.closeRanges.find(([low, high]) => low <= code && code <= high)[2];
  return [make("span", "code", `${code} ${name}`), make("span", "explanation", instead ?? explanation)];
}
