/*
 * What round-trip times amount to: quantiles, rates, and a histogram. All times are milliseconds.
 */

const FIRST_STEP = -3; // 0.1 ms: browsers tell times in steps of up to 0.1 ms

/** The smallest of sorted numbers that `share` of them do not exceed (the nearest rank). */
function quantile(sorted, share) {
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
}

/** The numbers … 0.1, 0.2, 0.5, 1, 2, 5, 10 … of which `step(0)` is 1. */
export const step = (n) => Number(`${[1, 2, 5].at(n % 3)}e${Math.floor(n / 3)}`);

/** These numbers from the last one that is not above `low` to the first one above `high`. */
export function stepsAround(low, high) {
  let n = 3 * Math.floor(Math.log10(low));
  while (step(n + 1) <= low) n += 1;
  const steps = [step(n)];
  while (steps.at(-1) <= high) steps.push(step((n += 1)));
  return steps;
}

const sorted = (times) => Float64Array.from(times).sort();

/** Times at a glance; there must be at least one. */
export function quantilesOf(times) {
  const ascending = sorted(times);
  return {
    min: ascending[0],
    median: quantile(ascending, 0.5),
    p95: quantile(ascending, 0.95),
    p99: quantile(ascending, 0.99),
    max: ascending.at(-1),
  };
}

/** The numbers of a LoadRun of which at least one message came back. */
export function measure(run) {
  const times = run.times.subarray(0, run.done);
  const seconds = Math.max(run.seconds, 1e-6);
  return {
    messages: run.done / seconds,
    bytes: (run.done * run.size) / seconds,
    ...quantilesOf(times),
    buckets: bucketsOf(times),
  };
}

/** How many of the times are in each of the buckets 0.1, 0.2, 0.5, 1, 2, 5, 10 … ms. */
function bucketsOf(times) {
  const ascending = sorted(times);
  const edges = [step(FIRST_STEP)];
  while (edges.at(-1) <= ascending.at(-1)) edges.push(step(FIRST_STEP + edges.length));
  const counts = new Array(edges.length).fill(0); // counts[i] of those below edges[i]
  let i = 0;
  for (const ms of ascending) {
    while (ms >= edges[i]) i += 1;
    counts[i] += 1;
  }
  const first = counts.findIndex(Boolean);
  return counts.slice(first).map((count, k) => ({ from: edges[first + k - 1], to: edges[first + k], count }));
}
