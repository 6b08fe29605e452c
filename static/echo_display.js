/*
 * The page on which one sees the wire: puts its parts together. What a part does is told at the
 * head of its file; this one knows the template's elements and passes on what happens.
 */

import { createRoundTrips } from "./chart.js";
import { Client, makeId } from "./client.js";
import { createComposer } from "./composer.js";
import { LogList } from "./list.js";
import { createLoad } from "./load.js";
import { copyText, downloadText, Log } from "./log.js";
import { drawMessage, isForMessages } from "./messages.js";
import { explainFields } from "./notes.js";
import { Recorder } from "./records.js";
import { spelled } from "./show.js";
import { parseProtocols, readState, writeState } from "./state.js";
import { chooseLanguage, LANG_TAGS, textAt, TEXTS } from "./texts.js";
import { announce, drawWire, isForWire } from "./wire.js";

const ENTRIES = 10_000; // the log keeps the newest of them
const NEWS_MS = 1_000; // between two announcements to who listens to the page

/* Each view: which entries it shows, how, and how high their rows are as a rule, in pixels. */
const VIEWS = { messages: [isForMessages, drawMessage, 43], wire: [isForWire, drawWire, 280] };

const $ = (id) => document.getElementById(id);
const radios = (name) => [...document.querySelectorAll(`input[name=${name}]`)];

const state = { view: "messages", target: "echo", protocols: [], language: null, draft: "" };
for (const [key, value] of Object.entries(readState(location.hash))) if (value !== undefined) state[key] = value;
let language = state.language ?? chooseLanguage(navigator.languages);
let texts = TEXTS[language];
let lastId = null; // of the connection that is, or else was
let connection = ["disconnected", null]; // the client's state and its detail, as it told last

/* ---- Addresses ------------------------------------------------------------------------------ */

const echoUrl = new URL(document.querySelector("main").dataset.echoPath, location.href);

function webSocketAddress(target, id) {
  const url = new URL(target, echoUrl); // /ws/echo and /ws/inspect are neighbours
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  if (id) url.searchParams.set("id", id);
  return url.href;
}

/* ---- The parts ------------------------------------------------------------------------------ */

const log = new Log(ENTRIES);
const list = new LogList(log, $("log-view"), $("log"), (following) => ($("follow").hidden = following));
const roundTrips = createRoundTrips($("round-trips-root"), { texts: texts.roundTrips });
const recorder = new Recorder(log, (id) => new URL(`connections/${id}`, echoUrl).href, (ms) => roundTrips.add(ms));

const client = new Client({
  plan() {
    const id = makeId();
    return { target: state.target, protocols: state.protocols, id, address: webSocketAddress(state.target, id) };
  },
  state(...told) {
    connection = told;
    showState();
  },
  opened: (link, ms) => recorder.opened(link, ms),
  message: (link, payload, now) => recorder.received(link, payload, now),
  closed: (link, event, attempts) => recorder.closed(link, event, attempts),
  stopped: () => recorder.stopped(),
});

const composer = createComposer($("composer-root"), {
  texts: texts.composer,
  draft: state.draft,
  send(data) {
    if (!client.isOpen) return false;
    list.follow(); // whoever sends wants to see the answer
    return client.send(data, recorder.sent(client.link, data));
  },
  close: (code, reason) => client.close(code, reason),
});

state.draft = ""; // from now on it is the composer's

const load = createLoad($("load-root"), {
  texts: texts.load,
  address: () => webSocketAddress("echo"),
});

/* ---- What the page shows -------------------------------------------------------------------- */

function showState() {
  const [name, detail] = connection;
  const stateText = $("state");
  // The word is a live region, the countdown beside it is not: it would be read out every second.
  if (stateText.textContent !== texts.states[name]) stateText.textContent = texts.states[name];
  stateText.dataset.state = name;
  $("state-detail").textContent = !detail
    ? ""
    : detail.seconds
      ? texts.retryIn(detail.seconds, detail.attempt)
      : texts.retryNow(detail.attempt);
  const { link } = client;
  const trying = link !== null && !link.opened;
  $("connect").textContent = client.waiting ? texts.connectNow : link ? texts.reconnect : texts.connect;
  $("disconnect").textContent = trying || client.waiting ? texts.stop : texts.disconnect;
  setEnabled($("connect"), !link || (link.opened && !link.leaving));
  setEnabled($("disconnect"), client.waiting || (link && !link.leaving));
  composer.setConnected(name === "connected");

  const open = name === "connected";
  $("address").textContent = link?.address.split("?")[0] ?? webSocketAddress(state.target);
  if (link) lastId = link.id;
  $("connection-id").textContent = lastId ?? texts.noneYet;
  $("protocol").textContent = open ? link.socket.protocol || texts.none : texts.noneYet;
  $("extensions").textContent = open ? link.socket.extensions || texts.none : texts.noneYet;
}

/** aria-disabled and not disabled: a disabled button would lose the keyboard's focus. */
function setEnabled(button, enabled) {
  button.setAttribute("aria-disabled", String(!enabled));
}

function showChoices() {
  for (const radio of radios("view")) radio.checked = radio.value === state.view;
  for (const radio of radios("target")) radio.checked = radio.value === state.target;
  $("target-hint").textContent = texts.targetHints[state.target];
  $("echo-notice").hidden = !(state.view === "wire" && state.target === "echo");
}

function showList() {
  const [shows, draw, height] = VIEWS[state.view];
  $("log").dataset.view = state.view;
  list.show(shows, (entry) => draw(entry, texts), height);
}

function showLanguage() {
  document.documentElement.lang = LANG_TAGS[language];
  document.title = texts.title;
  for (const element of document.querySelectorAll("[data-text]")) {
    element.textContent = textAt(texts, element.dataset.text);
  }
  $("protocols").placeholder = texts.protocolsExample;
  $("copy-log").title = texts.copyLogTitle;
  $("download-log").title = texts.downloadLogTitle;
  $("language").textContent = texts.otherLanguage;
  $("language").lang = LANG_TAGS[otherLanguage()];
  composer.setTexts(texts.composer);
  roundTrips.setTexts(texts.roundTrips);
  load.setTexts(texts.load);
  for (const said of [$("news"), $("done")]) said.textContent = ""; // in the language before
  showDropped();
  checkProtocols();
  showState();
  showChoices();
  showList();
}

const otherLanguage = () => Object.keys(TEXTS).find((name) => name !== language);

function showDropped() {
  $("dropped").hidden = !log.dropped;
  $("dropped").textContent = log.dropped ? texts.dropped(log.dropped) : "";
}

/* ---- Choices of the visitor ----------------------------------------------------------------- */

/** Writes the state into the address bar, where a reload finds it. */
function saveState(more = {}) {
  history.replaceState(null, "", location.pathname + location.search + writeState({ ...state, ...more }));
}

function setView(view) {
  state.view = view;
  saveState();
  showChoices();
  showList();
}

function setTarget(target) {
  state.target = target;
  saveState();
  showChoices();
  client.reconnect();
}

/** Whether the subprotocols in the field can be offered; says what is wrong otherwise. */
function checkProtocols() {
  const { protocols, problem, protocol } = parseProtocols($("protocols").value);
  setText($("protocols-error"), problem ? texts.protocolProblems[problem](spelled(protocol)) : "");
  $("protocols").setAttribute("aria-invalid", String(Boolean(problem)));
  if (protocols) state.protocols = protocols;
  return Boolean(protocols);
}

/** A live region that is written anew is read out anew. */
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** A text that says what was done, until the next. */
function sayDone(text) {
  $("done").textContent = "";
  requestAnimationFrame(() => ($("done").textContent = text));
}

async function copyLink() {
  saveState({ language, draft: composer.draft() });
  sayDone((await copyText(location.href)) ? texts.linkCopied : texts.notCopied);
}

async function copyLog() {
  const { length } = log.entries;
  sayDone((await copyText(log.jsonLines())) ? texts.logCopied(length) : texts.notCopied);
}

function downloadLog() {
  const stamp = new Date().toISOString().replace(/[:.]/g, "-");
  downloadText(`websocket-${stamp}.jsonl`, log.jsonLines(), "application/jsonl");
}

/** Somebody opened a link with another fragment, or changed it by hand. */
function takeState() {
  const read = readState(location.hash);
  const before = { ...state };
  Object.assign(state, { view: "messages", target: "echo", protocols: [] }, definedOf(read), { draft: "" });
  $("protocols").value = state.protocols.join(", ");
  if (read.language) [language, texts] = [read.language, TEXTS[read.language]];
  showLanguage();
  const plan = ({ target, protocols }) => [target, ...protocols].join(" ");
  if (plan(before) !== plan(state)) client.reconnect();
}

const definedOf = (object) => Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));

/* ---- Wiring --------------------------------------------------------------------------------- */

const isEnabled = (button) => button.getAttribute("aria-disabled") !== "true";

for (const radio of radios("view")) radio.addEventListener("change", () => setView(radio.value));
for (const radio of radios("target")) radio.addEventListener("change", () => setTarget(radio.value));
$("to-inspector").addEventListener("click", () => {
  setTarget("inspect");
  $("log-view").focus(); // the button is gone
});
$("connect").addEventListener("click", () => isEnabled($("connect")) && client.connectByHand());
$("disconnect").addEventListener("click", () => isEnabled($("disconnect")) && client.close());
$("offer").addEventListener("submit", (event) => {
  event.preventDefault();
  if (checkProtocols()) client.reconnect();
});
$("protocols").addEventListener("input", () => {
  if (checkProtocols()) saveState();
});
$("language").addEventListener("click", () => {
  language = state.language = otherLanguage();
  texts = TEXTS[language];
  saveState();
  showLanguage();
});
$("copy-link").addEventListener("click", copyLink);
$("copy-log").addEventListener("click", copyLog);
$("download-log").addEventListener("click", downloadLog);
$("clear").addEventListener("click", () => {
  log.clear();
  roundTrips.clear();
});
$("follow").addEventListener("click", () => {
  list.follow();
  $("log-view").focus(); // the button is gone, and the keyboard should be where it led
});
window.addEventListener("hashchange", takeState);
window.addEventListener("online", () => client.retryAtOnce());
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible") client.retryAtOnce();
});

/* What happened, for who listens: at most a line a second, however much it was. */
let news = [];
let newsTimer;
log.listen((change, entry) => {
  if (change === "removed" || change === "cleared") showDropped();
  if (change !== "added" || !isForMessages(entry) || entry.direction === "sent") return;
  news.push(entry);
  newsTimer ??= setTimeout(() => {
    $("news").textContent = news.length === 1 ? spelled(announce(news[0], texts)) : texts.news(news.length);
    news = [];
    newsTimer = undefined;
  }, NEWS_MS);
});

explainFields($("log-view"), () => texts);
$("protocols").value = state.protocols.join(", ");
showLanguage();
client.connect();
