/*
 * The page's state as it stands in the fragment of a link: which view, which server, which
 * subprotocols to offer, which language, and what was about to be sent and as what.
 */

import { KINDS } from "../composer/payloads.js";
import { parseProtocols } from "../connection/subprotocols.js";
import { TEXTS } from "../i18n/texts.js";

const VIEWS = ["messages", "wire"];
const TARGETS = ["echo", "inspect"];

/** The state that needs no fragment; a language of null is the browser's. */
export const DEFAULTS = Object.freeze({
  view: "messages",
  target: "echo",
  protocols: [],
  language: null,
  kind: "text",
  draft: "",
});

const DRAFT_LIMIT = 4000; // characters: links have to stay short enough for what carries them

/** The part of the state that is in a fragment; values that are no good are left out. */
export function readState(fragment) {
  const fields = new URLSearchParams(fragment.replace(/^#/, ""));
  const oneOf = (name, values) => values.find((value) => value === fields.get(name));
  const read = {
    view: oneOf("view", VIEWS),
    target: oneOf("target", TARGETS),
    protocols: fields.has("protocols") ? parseProtocols(fields.get("protocols")).protocols : undefined,
    language: oneOf("language", Object.keys(TEXTS)),
    kind: oneOf("kind", KINDS),
    draft: fields.get("draft")?.slice(0, DRAFT_LIMIT),
  };
  return Object.fromEntries(Object.entries(read).filter(([, value]) => value !== undefined));
}

/** The fragment for a state; what is as it would be anyway is left out. */
export function writeState({ view, target, protocols, language, kind, draft }) {
  const fields = new URLSearchParams();
  if (view !== DEFAULTS.view) fields.set("view", view);
  if (target !== DEFAULTS.target) fields.set("target", target);
  if (protocols.length) fields.set("protocols", protocols.join(","));
  if (language) fields.set("language", language);
  if (kind !== DEFAULTS.kind) fields.set("kind", kind);
  if (draft) fields.set("draft", draft.slice(0, DRAFT_LIMIT));
  const fragment = fields.toString();
  return fragment && `#${fragment}`;
}
