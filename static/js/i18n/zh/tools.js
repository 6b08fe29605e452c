/* The Chinese (Simplified) words of the composer, the chart of round trips and the load. */

import { bytes, milliseconds, number } from "./units.js";

const messages = (n) => `${number(n)} 条消息`;
const wholeNumber = (name, min, max) => `${name}：请输入 ${number(min)} 到 ${number(max)} 之间的整数。`;

const EXPECTED = {
  value: "一个值",
  "value]": "一个值或 ]",
  name: "带双引号的名称",
  "name}": "带双引号的名称或 }",
  colon: "冒号",
  "comma}": "逗号或 }",
  "comma]": "逗号或 ]",
  end: "结尾",
  quote: "字符串结尾的双引号",
  escape: "反斜杠后只能是 \" \\ / b f n r t 之一，或 u 加四位十六进制数字",
  escaped: "转义序列，例如 \\n（字符串中不能直接出现换行符和控制字符）",
};

export const composer = {
  message: "消息",
  sendAs: "发送类型",
  kinds: { text: "文本", json: "JSON", binary: "十六进制" },
  send: "发送",
  hints: {
    text: "Enter 发送，Shift + Enter 换行，↑ 找回发送过的消息。",
    json: "输入时即时检查，并按原样发送。",
    binary: "每个字节两位十六进制数字，例如 48 65 6c 6c 6f。可以使用空格、冒号和 0x。",
  },
  goodJson: "这是有效的 JSON。",
  badJson: (found, line, column, expected) =>
    found
      ? `不是有效的 JSON：第 ${number(line)} 行第 ${number(column)} 列出现 ${found}，此处应为：${EXPECTED[expected]}。`
      : `JSON 尚不完整：在第 ${number(line)} 行第 ${number(column)} 列结束，接下来应为：${EXPECTED[expected]}。`,
  badHex: (character, position) => `位置 ${number(position)} 的 ${character} 不是十六进制数字（0–9、a–f）。`,
  oddHex: (digits, position) =>
    `位置 ${number(position)} 处的十六进制数字个数为奇数（${number(digits)}）。每个字节需要两位。`,
  notSent: (why) => `未发送任何内容。${why}`,
  notConnected: "未发送任何内容：尚未连接。请先连接，您的消息会保留在这里。",
  format: "格式化",

  chooseFile: "文件…",
  sendAsText: "作为文本发送",
  bytes,
  fileAsBinary: "将作为一条二进制消息发送。",
  fileAsText: "将作为一条文本消息发送。",
  fileNotText: "将作为一条二进制消息发送：它不是有效的 UTF-8，不能作为文本。",
  removeFile: "移除文件",
  fileTooBig: (size, limit) =>
    `未添加此文件：它有 ${bytes(size)}，而本页面的一条消息最多为 ${bytes(limit)}。`,
  fileUnreadable: "无法读取此文件。它是否是文件夹，或者已被移动或修改？",
  oneFile: "一条消息只能包含一个文件：请只选择一个。",

  repeat: "重复…",
  repeatTitle: "重复发送这条消息",
  times: "次数",
  interval: "间隔（毫秒）",
  start: "开始",
  stop: "停止",
  wholeNumber,
  repeating: (sent, all) => `已发送 ${number(sent)} / ${number(all)}`,
  repeated: (all) => `完成：已发送 ${number(all)} 条。`,
  repeatStopped: (sent, all) => `已停止：已发送 ${number(sent)} / ${number(all)}。`,
  repeatLost: (sent, all) => `连接已断开：已发送 ${number(sent)} / ${number(all)}。`,

  close: "关闭…",
  closeTitle: "使用状态码关闭连接",
  code: "状态码",
  codeHint: "1000 或 3000–4999",
  reason: "原因",
  reasonBytes: (used, limit) => `${number(used)} / ${bytes(limit)}`,
  closeNow: "关闭连接",
  badCode: "未关闭连接：页面只能发送状态码 1000 或 3000 到 4999。",
  longReason: (used, limit) =>
    `未关闭连接：原因有 ${bytes(used)}，而关闭帧最多容纳 ${bytes(limit)}。请缩短 ${bytes(used - limit)}。`,
  nothingToClose: "没有可以关闭的连接。",
};

export const roundTrips = {
  title: "往返时间",
  statistics: { min: "最小", median: "中位数", p95: "p95", max: "最大" },
  time: milliseconds,
  axis: (ms) => `${number(ms)} 毫秒`,
  empty: "还没有往返时间。",
  summary: (n, { min, median, p95, max }) =>
    `最近 ${number(n)} 次往返时间的图表：从 ${milliseconds(min)} 到 ${milliseconds(max)}，` +
    `一半不超过 ${milliseconds(median)}，95% 不超过 ${milliseconds(p95)}。`,
  shown: (n) => `最近 ${number(n)} 次`,
};

export const load = {
  title: "负载",
  about: "通过单独的连接发送大量消息，并检查返回的每一个字节。",
  messages: "消息数",
  size: "每条字节数",
  window: "同时在途",
  start: "开始",
  stop: "停止",
  wholeNumber,
  tooMuchInFlight: (bytesInFlight, limit) =>
    `同时在途的数据将达 ${bytes(bytesInFlight)}，而本页面最多允许 ${bytes(limit)}。请减少消息的数量或大小。`,
  connecting: "正在连接…",
  progress: (done, all) => `已返回 ${number(done)} / ${messages(all)}`,
  done: (all, seconds) => `完成：${messages(all)}全部原样返回，用时 ${seconds.toFixed(2)} 秒。`,
  stopped: (done, all) => `已停止：${number(done)} / ${messages(all)}已原样返回。`,
  noConnection: "未能建立连接。服务器是否在运行，是否还接受新的连接？",
  ended: (done, all, code, reason) =>
    `连接提前结束，状态码 ${code}${reason ? `（${reason}）` : ""}：已返回 ${number(done)} / ${messages(all)}。`,
  changed: {
    kind: (message) => `已停止：第 ${number(message)} 条消息以文本形式返回，而发送的是字节。`,
    length: (message, got, sent) =>
      `已停止：第 ${number(message)} 条消息返回了 ${bytes(got)}，而不是 ${bytes(sent)}。`,
    byte: (message, position, got, sent) =>
      `已停止：第 ${number(message)} 条消息返回时被改变：第 ${number(position)} 个字节是 ${got}，而不是 ${sent}。`,
    extra: "已停止：收到了一条并未发送过的消息。",
  },
  statistics: {
    messages: "每秒消息数",
    bytes: "每秒字节数（单向）",
    min: "最小",
    median: "中位数",
    p95: "p95",
    p99: "p99",
    max: "最大",
  },
  rate: (n) => number(n < 10 ? Math.round(n * 10) / 10 : Math.round(n)),
  byteRate: (n) => {
    const power = Math.min(3, Math.floor(Math.log(Math.max(1, n)) / Math.log(1000)));
    const scaled = n / 1000 ** power;
    return `${scaled.toFixed(power && scaled < 100 ? 1 : 0)} ${["B", "kB", "MB", "GB"][power]}/s`;
  },
  time: milliseconds,
  histogram: "往返时间分布",
  bucket: "时间",
  number: "消息数",
  count: number,
  below: (ms) => `${ms} 毫秒以下`,
  between: (from, to) => `${number(from)}–${number(to)} 毫秒`,
};
