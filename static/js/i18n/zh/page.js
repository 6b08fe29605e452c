/* 简体中文文本。各语言表的键相同（见 texts.js）。 */

import { closeCodes, closeRanges, notes } from "./rfc.js";
import { composer, load, roundTrips } from "./tools.js";
import { bytes, duration, milliseconds, number } from "./units.js";

const coded = (code) => (closeCodes[code] ? `${code}（${closeCodes[code][0]}）` : `${code}`);

export default {
  composer,
  roundTrips,
  load,
  closeCodes,
  closeRanges,
  notes,

  bytes,
  milliseconds,

  title: "WebSocket 回显",
  tagline: "发送一条消息，原样收回，并看清线路上的一切：握手、每一帧的比特、关闭过程。",
  otherLanguage: "English",

  connectionTitle: "连接",
  connectTo: "连接到",
  targets: { echo: "回显", inspect: "检视器" },
  targetHints: {
    echo: "把每条消息原样发回。",
    inspect: "对每条消息，用一份报告回答：它由哪些帧送达。",
  },
  protocols: "提供的子协议",
  protocolsExample: "例如 chat, v2.bookings",
  protocolProblems: {
    token: (protocol) => `“${protocol}”不是合法的 token：只能用字母、数字和 !#$%&'*+-.^_\`|~。未作任何更改。`,
    twice: (protocol) => `“${protocol}”出现了两次，每个子协议只能提供一次。未作任何更改。`,
  },
  address: "地址",
  connectionId: "标识（由本页选定）",
  subprotocol: "子协议",
  extensions: "扩展",
  none: "无",
  noneYet: "–",

  states: {
    connecting: "正在连接",
    connected: "已连接",
    reconnecting: "正在重新连接",
    disconnecting: "正在断开",
    disconnected: "已断开",
  },
  retryIn: (seconds, attempt) => `${seconds} 秒后（第 ${attempt} 次尝试）`,
  retryNow: (attempt) => `正在尝试（第 ${attempt} 次）`,
  connect: "连接",
  connectNow: "立即连接",
  reconnect: "重新连接",
  disconnect: "断开",
  stop: "停止",
  giveUp: "不再等待",

  logTitle: "连接的记录",
  view: "视图",
  views: { messages: "消息", wire: "线路" },
  copyLink: "复制链接",
  copyLog: "复制记录",
  downloadLog: "下载",
  clear: "清空",
  copyLogTitle: "以 JSON Lines 格式复制记录",
  downloadLogTitle: "以 JSON Lines 格式下载记录",
  placeholder: "这里还是空的。你发送的和收到的内容都会列在这里。",
  newest: "最新",
  dropped: (n) => `已丢弃 ${number(n)} 条较早的记录`,
  news: (n) => `记录中有 ${number(n)} 条新内容`,
  linkCopied: "链接已复制，其中包含视图、服务端、子协议、语言和你的草稿。",
  logCopied: (n) => `已以 JSON Lines 格式复制 ${number(n)} 条记录。`,
  notCopied: "浏览器不允许本页复制。",
  echoNotice: "浏览器不向脚本展示帧：在这个连接上，本页只知道消息，不知道它们在线路上的字节。",
  toInspector: "重新连接到检视器",

  directions: { sent: ["↑", "已发送"], received: ["↓", "已收到"], event: ["•", "连接"] },
  hex: "十六进制",
  empty: "（空消息）",
  moreCharacters: (shown, left) => `… 显示了前 ${number(shown)} 个字符，省略了 ${number(left)} 个`,
  moreBytes: (left) => `… 另有 ${bytes(left)}`,
  noAnswer: "没有回答",
  different: "这不是所发送的内容：回显与它所回答的消息不同。",
  unasked: "没有消息在等待回答：这条消息不是回显。",
  badReport: "检视器发来的内容不是版本 2 的报告。",
  showJson: "报告原文",

  // 检视器的报告，每种一句。
  reports: {
    handshake: () => "检视器报告了你的打开握手。",
    message: ({ kind, bytes: size, fragments, frames_omitted: omitted }) =>
      `检视器看到了你的${kind === "text" ? "文本" : "二进制"}消息：${bytes(size)}，共 ${number(fragments ?? omitted)} 帧。`,
    ping: () => "检视器看到了你的 ping。",
    pong: () => "检视器看到了你的 pong。",
    close: ({ code }) => `检视器看到了你的关闭帧，代码 ${coded(code)}。`,
    failure: ({ reason }) => `检视器看到规则被违反：${reason}`,
  },

  connected: (ms, target) => `已用 ${milliseconds(ms)}连接到${target === "echo" ? "回显服务" : "检视器"}`,
  stopped: "你停止了连接的尝试",
  reason: "给出的原因：",
  failed: (attempts) => (attempts > 1 ? `无法连接，已尝试 ${number(attempts)} 次` : "无法连接"),
  cancelled: "你取消了连接的尝试",

  // 连接失败的原因，以服务端所知为限。
  diagnosis: {
    asking: "浏览器不说明原因，正在询问服务端 …",
    refused: (status) => `服务端以 ${status} 拒绝了握手：`,
    cures: "让代理保留被丢弃内容的配置：",
    unknown:
      "握手没有到达服务端，而服务端能回答其他请求。通常是中间的某一环拦下了它：" +
      "不转发 WebSocket 的代理、防火墙、杀毒软件或浏览器扩展。若服务端有多个进程，另一个进程可能知道更多。",
    answered: (status) => `握手失败，对原因的询问得到 ${status}：`,
    unreachable: "服务端完全没有回答。它在运行吗？网络通吗？",
    accepted: "服务端接受了握手，但浏览器没有接受它的回答。通常是服务端没有选择所提供的任何子协议。",
  },
  ownCode: "关闭码由你选择，服务端以同样的码回答。",
  unanswered: "服务端没有及时确认关闭，因此页面不再等待。",

  // 一句话的两半：浏览器怎么说，服务端怎么说。
  ended: {
    sentence: (browser, server) => (server ? `${browser}；${server}。` : `${browser}。`),
    byYou: (code) => `你以 ${coded(code)} 关闭了连接`,
    byServer: (code) => (code === 1005 ? "服务端关闭了连接，未给出代码" : `服务端以 ${coded(code)} 关闭了连接`),
    unanswered: (code) => `你以 ${coded(code)} 关闭连接，但未及时得到回答`,
    lost: () => "连接中断，没有关闭握手（1006）",
    asking: "正在询问服务端看到了什么 …",
    unreachable: "无法询问服务端看到了什么",
    unknown: "服务端已不再记得这个连接",
    open: "服务端仍认为它是打开的",
    causes: {
      "peer-close": "服务端收到了浏览器的关闭帧并作了回答",
      "server-close": "服务端说是它先关闭的",
      shutdown: "服务端说它正在停止",
      "internal-error": "服务端说其内部出错了",
      "ping-timeout": "服务端说它的 ping 没有得到回答",
      violation: "服务端说浏览器违反了协议的规则",
      limit: "服务端说达到了它的某个上限",
      "end-of-stream": "服务端看到数据流结束，但没有关闭帧",
      reset: "服务端看到连接被重置",
      "write-timeout": "服务端写出的数据无人接收，于是放弃",
      "network-error": "服务端看到网络出错",
    },
    otherCause: "服务端看到它结束了",
    figures: ({ code, codeDiffers, duration: ms, messagesIn, messagesOut }) =>
      `${codeDiffers ? `，代码 ${coded(code)}` : ""}，历时 ${duration(ms)}，` +
      `收到 ${number(messagesIn)} 条消息，发出 ${number(messagesOut)} 条`,
  },

  wire: {
    from: { client: ["↑", "你到服务端"], server: ["↓", "服务端到你"] },
    kinds: {
      continuation: "延续", text: "文本", binary: "二进制",
      close: "关闭", ping: "ping", pong: "pong", reserved: "保留",
    },
    frame: (kind, bytesOfIt) => `${kind}帧，载荷 ${bytes(bytesOfIt)}`,
    part: (index, of, message) => `第 ${number(index)} 帧，共 ${number(of)} 帧，消息 ${number(message)}`,
    sources: {
      reported: "由检视器报告",
      reconstructed: "由收到的内容还原",
      failed: "违反规则的帧",
    },
    times: (elapsed, gap) =>
      gap === null
        ? `握手之后 ${milliseconds(elapsed)}`
        : `握手之后 ${milliseconds(elapsed)}，距上一帧 ${milliseconds(gap)}`,
    header: "帧头，逐个比特。用方向键在字段间移动。",
    labels: {
      fin: "FIN", rsv1: "RSV1", rsv2: "RSV2", rsv3: "RSV3", opcode: "操作码", mask: "MASK",
      length: "载荷长度", extended: "扩展载荷长度", key: "掩码密钥",
    },
    continued: (label) => `${label}（续）`,
    cell: (label, bits, value) => `${label}：${bits}${value ? `，${value}` : ""}`,
    lengthValue: (n) => (n === 126 ? "126：后 16 比特" : n === 127 ? "127：后 64 比特" : bytes(n)),
    extendedValue: bytes,
    payload: "载荷",
    masked: "加掩码，如线路上所见",
    unmasked: "去掉掩码",
    stillCompressed: "去掉掩码，仍是压缩的",
    plain: "如线路上所见（服务端不加掩码）",
    bare: "如线路上所见，未加掩码",
    noPayload: "没有载荷。",
    showAll: (n) => `显示 ${bytes(n)}`,
    omitted: (n) => `… 另有 ${bytes(n)}未报告`,
    omittedHere: (n) => `… 另有 ${bytes(n)}未显示`,
    inflated: "解压后",
    message: ({ number: n, kind, bytes: size, fragments, utf8, compressed_bytes: compressed }) =>
      `消息 ${number(n)} 已完整：${kind}，${bytes(size)}，共 ${number(fragments)} 帧` +
      (compressed === null || compressed === undefined ? "" : `，压缩为 ${bytes(compressed)}`) +
      (utf8 === true ? "，UTF-8 有效。" : "。"),
    framesOmitted: (n) => `这条消息另有 ${number(n)} 帧未报告。`,
    brief: ({ number: n, kind, bytes: size, frames_omitted: omitted }) =>
      `${n ? `消息 ${number(n)}：${kind}` : kind}，${bytes(size)}，共 ${number(omitted)} 帧。` +
      "没有细节：这个连接发送了太多极小的帧，无法逐一完整报告。",
    unseenSent: (kind, size) => `一条${kind}消息（${bytes(size)}）。浏览器不展示它的帧。`,
    unseenReceived: (kind, size) =>
      `一条${kind}消息（${bytes(size)}），可能经过压缩。浏览器不展示它的帧。`,
    unseenReport: (size) =>
      `检视器的报告（${bytes(size)}），可能经过压缩。浏览器不展示它的帧。`,
    handshakeTitle: "打开握手",
    request: "浏览器的请求",
    response: "服务端的响应",
    redacted: (names) =>
      `服务端隐藏了 ${names} 中的凭据：这里只显示其长度和散列值，每个连接的散列值各不相同。` +
      "服务端的选项 --show-credentials 会显示它们。",
    forwarded: "途中的代理所添加的",
    peer: (peer) => `服务端看到的对端是 ${peer}。`,
    acceptTitle: "Sec-WebSocket-Accept 的由来",
    accept: {
      key: "浏览器的 Sec-WebSocket-Key",
      guid: "RFC 6455 的 GUID",
      concatenated: "两者相接",
      sha1: "其 SHA-1，20 字节",
      value: "这 20 字节的 Base64",
    },
    acceptMatches: "这正是响应中的 Sec-WebSocket-Accept：服务端读到的就是这个请求。",
    acceptDiffers: "响应中的 Sec-WebSocket-Accept 不同，浏览器必须使这个连接失败。",
    negotiated: (what, offered, chosen) => `${what}：提供 ${offered}，选定 ${chosen}。`,
    nothing: "无",
    failure: (code) => `检视器以 ${coded(code)} 使连接失败`,
    closingTitle: "关闭握手",
    closingSteps: {
      youFirst: "浏览器先发送关闭帧，其掩码密钥不为脚本所知。",
      serverAnswers: "服务端以关闭帧回答：",
      serverFirst: "服务端先发送关闭帧：",
      youAnswer: "浏览器以代码相同的关闭帧回答，其掩码密钥不为脚本所知。",
      noAnswer: "服务端没有及时发来关闭帧。",
      none: "双方都没有发来关闭帧：没有关闭握手。",
    },
  },
};
