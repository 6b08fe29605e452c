/*
 * What a run of the load measured: rates, quantiles, and a histogram.
 */

import { quantile, step } from "./chart.js";
import { make } from "./show.js";

const FIRST_STEP = -3; // 0.1 ms: browsers tell times in steps of up to 0.1 ms
const STATISTICS = ["messages", "bytes", "min", "median", "p95", "p99", "max"];

/** The numbers of a LoadRun of which at least one message came back. */
export function measure(run) {
  const sorted = run.times.slice(0, run.done).sort();
  const seconds = Math.max(run.seconds, 1e-6);
  return {
    messages: run.done / seconds,
    bytes: (run.done * run.size) / seconds,
    min: sorted[0],
    median: quantile(sorted, 0.5),
    p95: quantile(sorted, 0.95),
    p99: quantile(sorted, 0.99),
    max: sorted.at(-1),
    buckets: bucketsOf(sorted),
  };
}

/** How many of the sorted times are in each of the buckets 0.1, 0.2, 0.5, 1, 2, 5, 10 … ms. */
function bucketsOf(sorted) {
  const edges = [step(FIRST_STEP)];
  while (edges.at(-1) <= sorted.at(-1)) edges.push(step(FIRST_STEP + edges.length));
  const counts = new Array(edges.length).fill(0); // counts[i] of those below edges[i]
  let i = 0;
  for (const ms of sorted) {
    while (ms >= edges[i]) i += 1;
    counts[i] += 1;
  }
  const first = counts.findIndex(Boolean);
  return counts.slice(first).map((count, k) => ({ from: edges[first + k - 1], to: edges[first + k], count }));
}

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
