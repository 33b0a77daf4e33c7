// What is asked for, as the fragment of an address, and back: #c=CAPTION&c2=SECOND&m=ENCODER&p=P&a=ACCURACY, and last the
// picture: e=EXAMPLE, s=SCENE, x=PICTURE (as small as the encoder sees it) or own=NUMBER (kept in this tab only).
//
// An address that was cut on its way must not explain another picture: what may be cut unseen (s, x) has its checksum, k,
// before it, and an address that names no picture, or one that is not there, is refused with a sentence.

const KEPT = 3; // own pictures that a tab keeps
const STORE = "try-it-pictures";
export const PS = ["0.3", "0.5", "0.7"];
export const ACCURACY_NAMES = {
  fast: "fast (1 024 passes)",
  good: "good (4 096)",
  best: "best (16 384)",
};

/** FNV-1a of a text or of bytes, as eight hexadecimal digits. */
export function checksum(data) {
  let hash = 0x811c9dc5;
  for (let i = 0; i < data.length; i++) {
    hash = Math.imul(hash ^ (typeof data === "string" ? data.charCodeAt(i) : data[i]), 0x01000193);
  }
  return (hash >>> 0).toString(16).padStart(8, "0");
}

/**
 * @param {any} asked { captions, model, p, accuracy, picture }
 * @param {string} [packed] the reader's own picture as base64, where the address is to hold it
 */
export function toFragment({ captions, model, p, accuracy, picture }, packed) {
  const parts = new URLSearchParams({ c: captions[0] });
  if (captions.length > 1) parts.set("c2", captions[1]);
  parts.set("m", model);
  parts.set("p", String(p));
  parts.set("a", accuracy);
  const checked = (name, text) => {
    parts.set("k", checksum(text));
    parts.set(name, text);
  };
  if (picture?.example) parts.set("e", picture.example);
  else if (picture?.scene) checked("s", picture.scene);
  else if (packed) checked("x", packed.replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, ""));
  else if (picture) parts.set("own", picture.id);
  return parts.toString();
}

/**
 * What a fragment asks for: null where it asks for nothing (a heading of the page), else the captions, the settings that
 * it names, and either `picture` ({ example }, { scene }, { packed: base64 } or { own }) or `fault`, a sentence.
 */
export function fromFragment(fragment, facts) {
  const parts = new URLSearchParams(fragment);
  if (!["c", "e", "s", "x", "own"].some((name) => parts.has(name))) return null;
  const asked = { captions: parts.has("c") ? [parts.get("c")] : [] };
  if (parts.has("c") && parts.has("c2")) asked.captions.push(parts.get("c2"));
  const cut = "This address is cut short or mistyped";
  const setting = (name, allowed, key) => {
    const value = parts.get(name);
    if (value === null) return;
    if (allowed.includes(value)) asked[key] = value;
    else asked.fault ??= `${cut}: “${value}” is none of ${allowed.join(", ")}. Ask for it again, or choose a picture.`;
  };
  setting("m", Object.keys(facts.models), "model");
  setting("p", PS, "p");
  setting("a", Object.keys(ACCURACY_NAMES), "accuracy");
  const [example, scene, packed, own] = ["e", "s", "x", "own"].map((name) => parts.get(name));
  const whole = (text) => !parts.has("k") || parts.get("k") === checksum(text);
  if (example !== null) {
    if (facts.examples.some(({ name }) => name === example)) asked.picture = { example };
    else asked.fault ??= `${cut}: there is no example “${example}”. Choose a picture.`;
  } else if (scene !== null) {
    if (whole(scene)) asked.picture = { scene };
    else asked.fault ??= `${cut}: a part of its scene is missing. Ask for it again, or choose a picture.`;
  } else if (packed !== null) {
    if (parts.has("k") && whole(packed)) asked.picture = { packed: packed.replaceAll("-", "+").replaceAll("_", "/") };
    else asked.fault ??= `${cut}: a part of its picture is missing. Ask for the file of the explanation instead.`;
  } else if (own !== null) {
    asked.picture = { own };
  } else {
    asked.fault ??= `${cut}: it names no picture. Ask for it again, or choose a picture.`;
  }
  return asked;
}

// --- Own pictures, kept in the tab -------------------------------------------------------------------------------

/** What this tab has kept: [{ id, seen, src, alt }], the last one used first; seen and src are data URIs. */
function store() {
  try {
    return JSON.parse(sessionStorage.getItem(STORE) ?? "[]");
  } catch {
    return []; // no storage here
  }
}

/** Keep a picture over a reload; where there is no room, as the encoder sees it only. */
export function keep({ id, alt, src }, seen) {
  const others = store().filter((one) => one.id !== id);
  for (const list of [[{ id, seen, src, alt }, ...others.slice(0, KEPT - 1)], [{ id, seen, src: seen, alt }], []]) {
    try {
      sessionStorage.setItem(STORE, JSON.stringify(list));
      return;
    } catch {
      // full, or not allowed: keep less
    }
  }
}

/** A kept picture, or undefined. */
export function kept(id) {
  return store().find((one) => one.id === id);
}
