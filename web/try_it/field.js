// A line for a caption: completions of the word that is typed, known words near unknown ones.

import { add } from "../explorer.js";
import { readCaption } from "./captions.js";

/**
 * @param {HTMLElement} parent
 * @param {string} label
 * @param {() => any} encoder the facts of the encoder that is to read the caption
 * @param {() => void} changed called after every change of the reader's
 */
export function captionField(parent, label, encoder, changed) {
  const line = add(parent, "div", "ti-caption");
  const input = add(line, "input", "", {
    type: "text",
    "aria-label": label,
    placeholder: "a caption of your own",
    autocomplete: "off",
    autocapitalize: "off",
    spellcheck: "false",
    enterkeyhint: "go",
    maxlength: 300,
  });
  const hints = add(line, "div", "ti-hints", { "aria-live": "polite" });
  const typed = () => {
    hint();
    changed();
  };
  input.addEventListener("input", typed);
  input.addEventListener("keydown", (event) => {
    const first = hints.querySelector("button[data-tab]");
    if (event.key === "Tab" && !event.shiftKey && first) {
      event.preventDefault();
      first.click();
    }
  });

  function hint() {
    hints.replaceChildren();
    const { vocabulary = {} } = encoder(); // one of pieces completes no words
    const text = input.value;
    const known = Object.keys(vocabulary);
    const last = text.match(/[\p{L}\p{N}]+$/u)?.[0] ?? "";
    const isKnown = Object.hasOwn(vocabulary, last.toLowerCase()); // Tab then leaves the field as always
    const completions = last
      ? known.filter((word) => word.startsWith(last.toLowerCase()) && word !== last.toLowerCase()).slice(0, 6)
      : [];
    const replace = (word, by, completes) => {
      const button = add(hints, "button", "ti-hint", {
        type: "button",
        ...(completes && !isKnown ? { "data-tab": "" } : {}),
      });
      button.textContent = by;
      button.setAttribute("aria-label", completes ? `Complete ${word} to ${by}` : `Replace ${word} by ${by}`);
      button.addEventListener("click", () => {
        input.value = completes
          ? `${text.slice(0, text.length - word.length)}${by} `
          : text.replace(new RegExp(`(^|[^\\p{L}\\p{N}])${word}(?![\\p{L}\\p{N}])`, "iu"), `$1${by}`);
        input.focus();
        typed();
      });
      return button;
    };
    const { unknown = [], near = {}, fault } = readCaption(text, encoder());
    const wrong = unknown.filter((word) => !(completions.length && word === last.toLowerCase()));
    input.setAttribute("aria-invalid", String(Boolean(text && fault && (wrong.length || !unknown.length))));
    for (const word of wrong) {
      add(hints, "span", "ti-unknown").textContent =
        `“${word}” is not known${near[word].length ? "; nearest:" : ""}`;
      for (const by of near[word]) replace(word, by, false);
    }
    if (completions.length) {
      add(hints, "span", "ti-completes").textContent = isKnown ? "or" : "Tab completes:";
      for (const by of completions) replace(last, by, true).classList.add("ti-completes");
    }
    if (fault && !unknown.length && text) add(hints, "span", "ti-unknown").textContent = fault;
  }

  return { line, input, hint };
}
