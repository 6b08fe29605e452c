/*
 * Why an attempt to connect failed. A browser does not tell scripts; the server does, if it knows.
 */

import { make } from "../ui/dom.js";
import { visible } from "../ui/safe_text.js";

/** What the server's answer says of the attempt (see askServer), in a sentence. */
export function diagnose({ state, status }, { diagnosis }) {
  if (state === "refused") return diagnosis.refused(status);
  if (state === "open" || state === "closed") return diagnosis.accepted;
  return status ? diagnosis.answered(status) : diagnosis[state];
}

/** The same as elements, with the reason and what to change. */
export function showDiagnosis(server, texts) {
  const parts = [make("span", "explanation", diagnose(server, texts))];
  if (server.status && server.reason) parts.push(make("span", "reason", visible(String(server.reason))));
  if (Array.isArray(server.cures) && server.cures.length) {
    const lines = server.cures.map((cure) => make("li", "", make("code", "", visible(String(cure)))));
    parts.push(make("span", "explanation", texts.diagnosis.cures), make("ul", "cures", ...lines));
  }
  return parts;
}
