/*
 * Subprotocols as they are typed.
 */

/** A token of RFC 9110 (section 5.6.2), which a subprotocol has to be. */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/**
 * The subprotocols in a text that separates them by commas or spaces.
 *
 * Returns {protocols} or {problem, protocol}, where problem is "token" or "twice".
 */
export function parseProtocols(text) {
  const protocols = text.split(/[,\s]+/).filter(Boolean);
  for (const [i, protocol] of protocols.entries()) {
    if (!TOKEN.test(protocol)) return { problem: "token", protocol };
    if (protocols.indexOf(protocol) < i) return { problem: "twice", protocol };
  }
  return { protocols };
}
