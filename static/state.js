/*
 * The page's state as it stands in the fragment of a link: which view, which server, which
 * subprotocols to offer, which language and what was about to be sent.
 */

import { TEXTS } from "./texts.js";

export const VIEWS = ["messages", "wire"];
export const TARGETS = ["echo", "inspect"];

const DRAFT_LIMIT = 4000; // characters: links have to stay short enough for what carries them

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

/** The state in a fragment; what is missing there or is no good is undefined. */
export function readState(fragment) {
  const fields = new URLSearchParams(fragment.replace(/^#/, ""));
  const oneOf = (name, values) => values.find((value) => value === fields.get(name));
  return {
    view: oneOf("view", VIEWS),
    target: oneOf("target", TARGETS),
    protocols: fields.has("protocols") ? parseProtocols(fields.get("protocols")).protocols : undefined,
    language: oneOf("language", Object.keys(TEXTS)),
    draft: fields.get("draft")?.slice(0, DRAFT_LIMIT),
  };
}

/** The fragment for a state; what is as it would be anyway is left out. */
export function writeState({ view, target, protocols, language, draft }) {
  const fields = new URLSearchParams();
  if (view !== VIEWS[0]) fields.set("view", view);
  if (target !== TARGETS[0]) fields.set("target", target);
  if (protocols.length) fields.set("protocols", protocols.join(","));
  if (language) fields.set("language", language);
  if (draft) fields.set("draft", draft.slice(0, DRAFT_LIMIT));
  const fragment = fields.toString();
  return fragment && `#${fragment}`;
}
