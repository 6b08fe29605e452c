/*
 * The application: makes the parts of the page and passes on between them what happens. What a part
 * does is told at the head of its file; this one knows the elements of the template.
 */

import { createComposer } from "../composer/composer_view.js";
import { Client, makeId } from "../connection/client.js";
import { createConnectionView } from "../connection/connection_view.js";
import { Recorder } from "../connection/recorder.js";
import { chooseLanguage, LANG_TAGS, textAt, TEXTS } from "../i18n/texts.js";
import { createLoad } from "../load/load_view.js";
import { createRoundTrips } from "../load/round_trips_view.js";
import { Log } from "../log/log.js";
import { messagesView } from "../log/messages_view.js";
import { announceNews } from "../log/news.js";
import { VirtualList } from "../log/virtual_list.js";
import { radiosIn } from "../ui/dom.js";
import { copyText, downloadText } from "../ui/export.js";
import { explainFields } from "../wire/rfc_notes.js";
import { wireView } from "../wire/wire_view.js";
import { DEFAULTS, readState, writeState } from "./state.js";

const ENTRIES = 10_000; // the log keeps the newest of them
const VIEWS = { messages: messagesView, wire: wireView };

/** What the template's data attributes name texts for: data-text, data-placeholder, data-title. */
const WORDED = { text: "textContent", placeholder: "placeholder", title: "title" };

/** Brings the page to life: fills it, connects, and follows what the visitor does. */
export function createApp(document) {
  const { defaultView: window } = document;
  const { history, location, navigator } = window;
  const $ = (id) => document.getElementById(id);
  const views = radiosIn(document, "view");
  const echoUrl = new URL(document.querySelector("main").dataset.echoPath, location.href);

  const state = { ...DEFAULTS, ...readState(location.hash) };
  let language = state.language ?? chooseLanguage(navigator.languages);
  let texts = TEXTS[language];

  function webSocketAddress(target, id) {
    const url = new URL(target, echoUrl); // /ws/echo and /ws/inspect are neighbours
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    if (id) url.searchParams.set("echo-id", id);
    return url.href;
  }

  /* ---- The parts ---- */

  const log = new Log(ENTRIES);
  const list = new VirtualList(log, $("log-view"), $("log"), (following) => ($("follow").hidden = following));
  const roundTrips = createRoundTrips($("round-trips-root"), { texts: texts.roundTrips });
  const recorder = new Recorder(log, (id) => new URL(`connections/${id}`, echoUrl).href, (ms) => roundTrips.add(ms));

  const client = new Client({
    plan() {
      const id = makeId();
      const { target, protocols } = state;
      return { target, protocols, id, address: webSocketAddress(target, id) };
    },
    state(name, detail) {
      connection.showState(name, detail);
      composer.setConnected(name === "connected");
    },
    opened: (link, ms) => recorder.opened(link, ms),
    message: (link, payload, now) => recorder.received(link, payload, now),
    closed: (link, event, attempts) => recorder.closed(link, event, attempts),
    stopped: () => recorder.stopped(),
  });

  const connection = createConnectionView(document, {
    client,
    state,
    texts,
    addressOf: webSocketAddress,
    onTarget: setTarget,
    onProtocols(protocols) {
      state.protocols = protocols;
      saveState();
    },
    onOffer: () => client.reconnect(),
  });

  const composer = createComposer($("composer-root"), {
    texts: texts.composer,
    kind: state.kind,
    draft: state.draft,
    send(data, { byHand }) {
      if (!client.isOpen) return false;
      if (byHand) onSendByHand();
      return client.send(data, recorder.sent(client.link, data));
    },
    close: (code, reason) => client.close(code, reason),
  });
  Object.assign(state, { kind: DEFAULTS.kind, draft: "" }); // from now on they are the composer's

  const load = createLoad($("load-root"), { texts: texts.load, address: () => webSocketAddress("echo") });

  explainFields($("log-view"), () => texts);
  announceNews(log, $("news"), () => texts);

  /* ---- What the page shows ---- */

  function showChoices() {
    for (const radio of views) radio.checked = radio.value === state.view;
    connection.setTarget(state.target);
    $("echo-notice").hidden = !(state.view === "wire" && state.target === "echo");
  }

  function showList() {
    const { shows, draw, rowHeight } = VIEWS[state.view];
    $("log").dataset.view = state.view;
    list.show(shows, (entry) => draw(entry, texts), rowHeight);
  }

  function showDropped() {
    $("dropped").hidden = !log.dropped;
    $("dropped").textContent = log.dropped ? texts.dropped(log.dropped) : "";
  }

  const otherLanguage = () => Object.keys(TEXTS).find((name) => name !== language);

  function showLanguage() {
    document.documentElement.lang = LANG_TAGS[language];
    document.title = texts.title;
    for (const [name, property] of Object.entries(WORDED)) {
      for (const element of document.querySelectorAll(`[data-${name}]`)) {
        element[property] = textAt(texts, element.dataset[name]);
      }
    }
    $("language").textContent = texts.otherLanguage;
    $("language").lang = LANG_TAGS[otherLanguage()];
    connection.setTexts(texts);
    composer.setTexts(texts.composer);
    roundTrips.setTexts(texts.roundTrips);
    load.setTexts(texts.load);
    for (const said of [$("news"), $("done")]) said.textContent = ""; // in the language before
    showDropped();
    showChoices();
    showList();
  }

  /** A text that says what was done, until the next. */
  function sayDone(text) {
    $("done").textContent = ""; // the same text again is announced again
    requestAnimationFrame(() => ($("done").textContent = text));
  }

  /* ---- Choices of the visitor ---- */

  function onSendByHand() {
    list.follow(); // whoever sends wants to see the answer
    if (readState(location.hash).draft) saveState(); // the draft of a link must not come back
  }

  /** Writes the state into the address bar, where a reload finds it. */
  function saveState() {
    history.replaceState(null, "", location.pathname + location.search + writeState(state));
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

  function speak(next) {
    language = next;
    texts = TEXTS[language];
    showLanguage();
  }

  async function copyLink() {
    const link = new URL(location.href);
    link.hash = writeState({ ...state, ...composer.draft() });
    sayDone((await copyText(link.href)) ? texts.linkCopied : texts.notCopied);
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
    const plan = () => [state.target, ...state.protocols].join(" ");
    const before = plan();
    const { language: chosen } = state;
    Object.assign(state, DEFAULTS, { language: chosen }, readState(location.hash), { kind: DEFAULTS.kind, draft: "" });
    connection.setProtocols(state.protocols);
    speak(state.language ?? language);
    if (plan() !== before) client.reconnect();
  }

  /* ---- Wiring ---- */

  const onClick = (id, listener) => $(id).addEventListener("click", listener);

  for (const radio of views) radio.addEventListener("change", () => setView(radio.value));
  onClick("to-inspector", () => {
    setTarget("inspect");
    $("log-view").focus(); // the button is gone
  });
  onClick("language", () => {
    state.language = otherLanguage();
    saveState();
    speak(state.language);
  });
  onClick("copy-link", copyLink);
  onClick("copy-log", copyLog);
  onClick("download-log", downloadLog);
  onClick("clear", () => {
    log.clear();
    roundTrips.clear();
  });
  onClick("follow", () => {
    list.follow();
    $("log-view").focus(); // the button is gone, and the keyboard should be where it led
  });
  log.listen((change) => {
    if (change === "removed" || change === "cleared") showDropped();
  });
  window.addEventListener("hashchange", takeState);
  window.addEventListener("online", () => client.retryAtOnce());
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") client.retryAtOnce();
  });

  showLanguage();
  client.connect();
}
