/*
 * How the measurements of a run are shown: a list of numbers, and a histogram.
 */

import { make } from "../ui/dom.js";

const STATISTICS = ["messages", "bytes", "min", "median", "p95", "p99", "max"];

/** A list of the numbers; `current()` gives them, or null. */
export function makeNumbers(words, current) {
  const list = make("dl", "statistics");
  for (const name of STATISTICS) {
    const say = (t, value) => ({ messages: t.rate, bytes: t.byteRate })[name]?.(value) ?? t.time(value);
    const value = words.keep(make("dd", ""), (t) => (current() ? say(t, current()[name]) : "–"));
    value.dataset.name = name;
    list.append(make("div", "", words.keep(make("dt", ""), (t) => t.statistics[name]), value));
  }
  list.hidden = true;
  return list;
}

/** A table of the buckets with a bar for each: `{ element, draw }`. */
export function makeHistogram(words, current) {
  const rows = make("tbody", "");
  const heads = [(t) => t.bucket, (t) => t.number].map((say) => {
    const head = words.keep(make("th", ""), say);
    head.scope = "col";
    return head;
  });
  const element = make(
    "table",
    "histogram",
    words.keep(make("caption", ""), (t) => t.histogram),
    make("thead", "visually-hidden", make("tr", "", ...heads)),
    rows,
  );

  function row({ from, to, count }, most) {
    const t = words.texts;
    const head = make("th", "", from === undefined ? t.below(to) : t.between(from, to));
    head.scope = "row";
    const bar = make("span", "bar-of-count");
    bar.style.setProperty("--share", String(count / most)); // through the CSSOM, as the policy allows
    return make("tr", "", head, make("td", "", bar, make("span", "count", t.count(count))));
  }

  function draw() {
    const buckets = current()?.buckets ?? [];
    const most = Math.max(...buckets.map(({ count }) => count));
    element.hidden = !buckets.length;
    rows.replaceChildren(...buckets.map((bucket) => row(bucket, most)));
  }
  return { element, draw };
}
