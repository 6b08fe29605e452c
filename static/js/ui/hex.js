/*
 * Bytes as hex strings, two lower-case digits each, as the inspector writes them.
 */

/** The bytes of a hex string, two digits each. */
export const octetsOf = (hex) => hex.match(/../g) ?? [];

/** Bytes in hex. */
export const toHex = (bytes) =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

/** Lines of a dump: offset, eight bytes in hex, and the same as text with a dot for what is none. */
export function dump(hex, from = 0) {
  const octets = octetsOf(hex);
  const lines = [];
  for (let i = 0; i < octets.length; i += 8) {
    const part = octets.slice(i, i + 8);
    const text = part.map((octet) => {
      const value = parseInt(octet, 16);
      return value >= 0x20 && value < 0x7f ? String.fromCharCode(value) : "·";
    });
    const offset = (from + i).toString(16).padStart(4, "0");
    const width = octets.length > 8 ? 23 : 0; // the texts of several lines stand below each other
    lines.push([offset, part.join(" ").padEnd(width), text.join("")]);
  }
  return lines;
}
