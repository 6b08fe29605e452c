/* 数字与单位，简体中文。 */

import { numbersIn } from "../numbers.js";

const { number, time } = numbersIn("zh-CN");

export { number };
export const bytes = (n) => `${number(n)} 字节`;
export const milliseconds = (ms) => `${time(ms)} 毫秒`;
export const duration = (ms) => (ms < 1000 ? milliseconds(ms) : `${number(Math.round(ms / 100) / 10)} 秒`);
