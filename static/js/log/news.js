/*
 * What is added to the log, for people who listen to the page: at most a line a second, however
 * much it was.
 */

import { spelled } from "../ui/safe_text.js";
import { inOneLine, messagesView } from "./messages_view.js";

const PAUSE_MS = 1_000; // between two lines

/** Keeps the live region `element` up to date; `texts()` is the table of the moment. */
export function announceNews(log, element, texts) {
  let news = [];
  let timer;
  const announce = () => {
    element.textContent = news.length === 1 ? spelled(inOneLine(news[0], texts())) : texts().news(news.length);
    news = [];
    timer = undefined;
  };
  log.listen((change, entry) => {
    if (change !== "added" || !messagesView.shows(entry) || entry.direction === "sent") return;
    news.push(entry);
    timer ??= setTimeout(announce, PAUSE_MS);
  });
}
