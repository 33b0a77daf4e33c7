// "Check a CLIP ViT-B/32": the opened model explains the published photograph, and what it gives is compared with what
// FIxLIP's authors published, as `fixlip verify` does, within the error that the passes of both allow (agreement.js).

import { add, signed } from "../explorer.js";
import { script } from "./engine.js";

const VERDICTS = {
  passed: "Passed: these are the published numbers, as far as so many passes can tell.",
  failed: "Not passed: the numbers are not those that were published. The weights are others, or something here computes wrongly.",
  undecided: "Not decided: so few passes leave open more than the published numbers are large.",
};

/**
 * The button, and what it found.
 * @param {HTMLElement} parent
 * @param {{ encoder: () => any, say: (sentence: string, wrong?: boolean) => void, run: (published: any, caption: any) => Promise<void> }} page
 *   encoder: the record of the one that is chosen; run: explain the published photograph by a caption as its tokens
 * @returns {(found: any) => void} shows what agreement.js found
 */
export function verifier(parent, { encoder, say, run }) {
  const button = add(parent, "button", "fx-action", { type: "button" });
  button.textContent = "Check a CLIP ViT-B/32";
  const found = add(parent, "div", "ti-verdict", { role: "status" });
  found.hidden = true;
  button.addEventListener("click", async () => {
    found.hidden = true;
    try {
      const { opened, name } = encoder();
      if (!opened) throw new Error("Open a model first: this compares a real CLIP ViT-B/32 with what was published of it.");
      await script("published.js", () => globalThis.fixlipPublished);
      const published = globalThis.fixlipPublished;
      const caption = opened.read(published.caption, true);
      const { patches } = encoder().vision;
      if (caption.fault || patches !== published.cross.length || caption.words.join() !== published.tokens.join()) {
        throw new Error(
          `Not comparable: ${name} has ${patches} patches and reads “${(caption.words ?? []).join(" · ")}”; ` +
            `published are ${published.cross.length} patches and “${published.tokens.join(" · ")}”.`,
        );
      }
      await run(published, caption);
    } catch (error) {
      say(error.message, true);
    }
  });
  return ({ verdict, blocks }) => {
    found.hidden = false;
    found.dataset.verdict = verdict;
    found.replaceChildren();
    add(found, "p").textContent = VERDICTS[verdict];
    for (const { name, correlation, largest, ratio } of blocks) {
      add(found, "p").textContent =
        `${name}: correlation ${signed(correlation, 3)}, largest difference ${largest.toFixed(3)} logits, ` +
        `typical difference ${ratio.toFixed(ratio < 10 ? 2 : 0)} times the error to be expected.`;
    }
  };
}
