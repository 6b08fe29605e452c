/* Numbers and their units in English. */

import { numbersIn } from "../numbers.js";

const { number, time } = numbersIn("en");

export { number };
export const count = (n, one, many = `${one}s`) => `${number(n)} ${n === 1 ? one : many}`;
export const bytes = (n) => count(n, "byte");
export const milliseconds = (ms) => `${time(ms)} ms`;
export const duration = (ms) => (ms < 1000 ? milliseconds(ms) : `${number(Math.round(ms / 100) / 10)} s`);
