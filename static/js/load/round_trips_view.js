/*
 * The last round-trip times: four numbers, and a chart with a point for each message, the newest
 * on the right. The scale is logarithmic, so that one slow message does not flatten all the others.
 */

import { make } from "../ui/dom.js";
import { Wording } from "../ui/wording.js";
import { quantilesOf, stepsAround } from "./statistics.js";

const KEPT = 200;
const SLOTS = [25, 50, 100, KEPT]; // the chart has room for so many points, as many as needed
const FLOOR_MS = 0.05; // browsers tell times in steps of up to 0.1 ms
const CALM_PAUSE_MS = 1000; // between two drawings for who asked for reduced motion
const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 1000; // of the drawing's own units, which the style stretches to the room there is
const HEIGHT = 100;

const isPowerOfTen = (n) => /^(10*|0\.0*1)$/.test(String(n));

/** Fills the empty element `root`. All texts are those of `texts.roundTrips`. */
export function createRoundTrips(root, { texts }) {
  const words = new Wording(texts);
  const times = [];
  let statistics = null; // of the times, or null while there are none
  let drawing = null; // the timer or frame that will draw next
  let drawnAt = -Infinity;

  const title = words.keep(make("h2", ""), (t) => t.title);
  title.id = "round-trips-title";
  root.setAttribute("aria-labelledby", title.id);
  const shown = words.keep(make("p", "shown"), (t) => (statistics ? t.shown(times.length) : ""));
  const numbers = make("dl", "statistics");
  for (const name of ["min", "median", "p95", "max"]) {
    const value = words.keep(make("dd", ""), (t) => (statistics ? t.time(statistics[name]) : "–"));
    value.dataset.name = name;
    numbers.append(make("div", "", words.keep(make("dt", ""), (t) => t.statistics[name]), value));
  }
  const picture = svg("svg", "plot", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" });
  words.keep(picture, (t) => (statistics ? t.summary(times.length, statistics) : t.empty), "aria-label");
  const scale = make("div", "scale");
  scale.setAttribute("aria-hidden", "true"); // the picture's label says the same
  const empty = words.keep(make("p", "empty"), (t) => (statistics ? "" : t.empty));
  empty.setAttribute("aria-hidden", "true");
  root.append(make("div", "bar", title, shown), numbers, make("div", "chart", scale, picture, empty));

  /** Draws soon, and at most once a frame however many times come. */
  function drawSoon() {
    if (drawing !== null) return;
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const wait = calm ? drawnAt + CALM_PAUSE_MS - performance.now() : 0;
    drawing = wait > 0 ? setTimeout(draw, wait) : requestAnimationFrame(draw);
  }

  function draw() {
    drawing = null;
    drawnAt = performance.now();
    statistics = times.length ? quantilesOf(times) : null;
    picture.replaceChildren();
    scale.replaceChildren();
    if (statistics) drawTimes();
    words.refresh();
  }

  function drawTimes() {
    const steps = stepsAround(Math.max(statistics.min, FLOOR_MS), Math.max(statistics.max, FLOOR_MS));
    const [low, high] = [steps[0], steps.at(-1)];
    const share = (ms) => Math.log(Math.max(ms, low) / low) / Math.log(high / low);
    const y = (ms) => HEIGHT * (1 - share(ms));
    const slots = SLOTS.find((n) => n >= times.length);
    const x = (i) => (WIDTH * (slots - times.length + i + 0.5)) / slots;

    for (const ms of steps.length > 5 ? steps.filter(isPowerOfTen) : steps) {
      const label = make("span", "", words.texts.axis(ms));
      label.style.bottom = `${100 * share(ms)}%`; // through the CSSOM, as the policy allows
      scale.append(label);
      picture.append(line("grid", `M0 ${y(ms)}H${WIDTH}`));
    }
    for (const name of ["median", "p95"]) picture.append(line(name, `M0 ${y(statistics[name])}H${WIDTH}`));
    const points = times.map((ms, i) => `${x(i).toFixed(1)} ${y(ms).toFixed(2)}`);
    picture.append(
      line("course", `M${points.join("L")}`),
      line("points", points.map((point) => `M${point}h0`).join("")), // round ends make them dots
    );
  }

  draw();
  return {
    add(ms) {
      times.push(ms);
      if (times.length > KEPT) times.shift();
      drawSoon();
    },
    clear() {
      times.length = 0;
      drawSoon();
    },
    setTexts(next) {
      words.texts = next;
      draw();
    },
  };
}

function svg(tag, className, attributes) {
  const element = document.createElementNS(SVG, tag);
  element.setAttribute("class", className);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

/** A line whose width is in pixels, however the picture is stretched. */
function line(className, d) {
  return svg("path", className, { d, "vector-effect": "non-scaling-stroke" });
}
