// What was found: drawn, saved and linked from one record that never changes, or not at all.
//
// A result is { origin, picture, model, p, accuracy, explanations, final }: one explanation, or two of the same picture.
// Nothing here looks at the form: what it says at the moment may belong to another result.

import { add, explore, signed } from "../explorer.js";
import { BASE } from "./engine.js";
import { drawingOf } from "./drawing.js";
import { difference, strongest } from "./numbers.js";
import { looksLikePhotograph } from "./pictures.js";

const TOP_PAIRS = 8;
const POOR_FIT = 0.7; // as fixlip_helpers.explanation has it

/**
 * @param {HTMLElement} root
 * @param {{ facts: any, say: (sentence: string, wrong?: boolean) => void, link: (result: any) => string }} page
 */
export function resultView(root, { facts, say, link }) {
  const column = add(root, "div", "ti-column");
  const empty = add(column, "figure", "ti-empty");
  const section = add(column, "section", "ti-result", { "aria-label": "Explanation" });
  const score = add(section, "p", "ti-score");
  const tabs = add(section, "div", "fx-bar ti-tabs", { role: "group", "aria-label": "Which caption" });
  const tabButtons = Object.fromEntries(
    [
      ["a", "Caption A"],
      ["b", "Caption B"],
      ["difference", "A minus B"],
    ].map(([name, label]) => {
      const button = action(tabs, label, () => {
        tab = name;
        draw();
        if (name === "difference") view.pin(changedWord() ?? view.pinned());
      });
      return [name, button];
    }),
  );
  const explorer = add(section, "div", "ti-explorer");
  const trust = add(section, "p", "ti-trust");
  const unit = add(section, "p", "ti-unit");
  const pairs = add(section, "table", "ti-pairs");
  const saves = add(section, "div", "fx-bar ti-saves");
  const repeat = add(section, "details", "ti-repeat");
  add(repeat, "summary").textContent = "Repeat it in Python";
  const how = add(repeat, "p");
  const command = add(repeat, "code", "ti-command");
  const repeating = add(repeat, "div", "fx-bar");
  const json = add(section, "script", "", { type: "application/json" });
  let result = null;
  let tab = "a";
  let view = null; // the explorer's handle
  let drawn = null; // the record that it shows

  action(saves, "Download JSON", () =>
    download(new Blob([`${json.textContent}\n`], { type: "application/json" }), "explanation.json"),
  );
  action(saves, "Download PNG", savePicture);
  const copy = action(saves, "Copy link", copyLink);
  action(repeating, "Copy the command", async () => {
    try {
      await navigator.clipboard.writeText(command.textContent);
      say("The command is copied.");
    } catch {
      getSelection().selectAllChildren(command);
      say("Your browser does not let the page copy: the command is marked, copy it by the keyboard.");
    }
  });
  const original = action(repeating, "Save the picture", () => download(result.picture.blob, fileOf(result.picture)));

  function action(parent, label, run) {
    const button = add(parent, "button", "fx-action", { type: "button" });
    button.textContent = label;
    button.addEventListener("click", run);
    return button;
  }

  /** Show a result, or none (null): then the picture as it is, where there is one. */
  function set(next, picture = null) {
    if (!next || next.picture !== result?.picture || next.explanations.length !== result.explanations.length) tab = "a";
    result = next;
    section.hidden = !result;
    empty.hidden = Boolean(result);
    empty.replaceChildren();
    if (!result) {
      if (picture) add(empty, "img", "", { src: picture.src, alt: picture.alt });
      add(empty, "figcaption").textContent = picture ? "Not explained yet." : "No picture yet.";
      json.textContent = "";
      explorer.replaceChildren();
      view = null;
      return;
    }
    draw();
  }

  function record() {
    const [a, b] = result.explanations;
    return tab === "a" ? a : tab === "b" ? b : difference(a, b);
  }

  function draw() {
    const [a, b] = result.explanations;
    const comparable = b && a.n_text === b.n_text;
    if (tab === "difference" && !comparable) tab = "a";
    tabs.hidden = !b;
    // a link finds neither a file nor a model of the reader's again
    copy.hidden = result.origin === "opened" || Boolean(facts.models[result.model]?.opened);
    for (const [name, button] of Object.entries(tabButtons))
      button.setAttribute("aria-pressed", String(name === tab));
    tabButtons.difference.disabled = !comparable;
    tabButtons.difference.title = comparable ? "" : "For captions of the same number of words";
    const { picture } = result;
    const shown = record();
    const { src, alt, box } = picture;
    json.textContent = JSON.stringify({ ...shown, meta: { ...shown.meta, picture: { src, alt, box: box ?? [0, 0, 1, 1] } } });
    drawScore();
    drawTrust(shown);
    const pictured = { src: picture.src, alt: `${picture.alt}, with the explanation`, box: picture.box };
    if (!view?.update(shown, pictured)) {
      const word = view ? view.pinned() - drawn.n_image : -1;
      view = explore(explorer, shown, pictured);
      // from blocks to patches, the word that was chosen stays so
      if (word >= 0 && drawn.players[drawn.n_image + word] === shown.players[shown.n_image + word]) {
        view.pin(shown.n_image + word);
      }
    }
    drawn = shown;
    drawPairs(shown);
    drawRepeat(shown);
  }

  /** The command that computes the same numbers in Python; none of what is no whole run of this page's. */
  function drawRepeat({ meta }) {
    repeat.hidden = !meta.repeat || result.origin === "opened" || tab === "difference";
    if (repeat.hidden) return;
    const { picture, model } = result;
    const path = facts.models[model]?.path ?? model;
    const words = ["fixlip explain", quoted(fileOf(picture)), quoted(meta.caption), "--model", quoted(path), meta.repeat];
    command.textContent = words.join(" ");
    original.hidden = Boolean(picture.blob.name);
    how.replaceChildren("The same coalitions and the same numbers, by ");
    add(how, "a", "", { href: new URL("../../book/setup.html", BASE).href }).textContent = "the package";
    how.append(path === "FOLDER" ? ", with the model’s own folder in place of FOLDER:" : ":");
  }

  function drawScore() {
    score.replaceChildren();
    const several = result.explanations.length > 1;
    result.explanations.forEach(({ meta }, i) => {
      const line = add(score, "span", "ti-value");
      if (several) add(line, "span", "ti-which").textContent = `${"AB"[i]} `;
      add(line, "q").textContent = meta.caption ?? "";
      const value = meta.full_value;
      if (typeof value === "number") add(line, "strong").textContent = ` ${signed(value, 2)} logits`;
    });
    add(score, "span", "ti-by").textContent = `by ${sourceOf(result)}`;
    const { picture } = result;
    const photograph =
      picture.own && Object.hasOwn(facts.models, result.model) && !facts.models[result.model].opened && looksLikePhotograph(picture.seen, facts.photograph);
    unit.classList.toggle("ti-photograph", Boolean(photograph));
    unit.textContent = photograph
      ? `This looks like a photograph, and ${result.model} has seen drawings only: the number means little, ` +
        "and the explanation explains a number that means little."
      : "Logits are the encoder's own points: the more, the better it finds that picture and caption fit. " +
        "They are no percentages and have no top mark; compare them with other scores of this encoder only.";
  }

  function drawTrust({ meta }) {
    if (!result.final) {
      const of = meta.image_groups ? `, at ${meta.image_groups.blocks.join(" × ")} blocks of patches` : "";
      trust.textContent = `A first look${of}, after ${meta.passes.image} image passes: rough still.`;
      return;
    }
    const judged = result.explanations.map((one) => one.meta.held_out_r2).filter((r2) => typeof r2 === "number");
    if (tab === "difference") {
      trust.textContent =
        judged.length === 2
          ? `The difference of two explanations, of R² ${judged.map((r2) => r2.toFixed(3)).join(" and ")}.`
          : "The difference of two explanations.";
      return;
    }
    const r2 = meta.held_out_r2;
    trust.textContent =
      typeof r2 === "number"
        ? `R² ${r2.toFixed(3)}: the share of the score's variance that this explanation gets right on coalitions ` +
          `it was not fitted to${meta.order?.image === 1 ? " (patch–patch pairs left out)" : ""}.` +
          (r2 < POOR_FIT ? " A poor fit: read it with care." : "")
        : "How well it fits was not measured.";
  }

  /** The rows show themselves on the map: while they are pointed at or have the focus, and a click keeps the word. */
  function drawPairs(shown) {
    pairs.replaceChildren();
    add(pairs, "caption").textContent = "Strongest patch–word pairs";
    const head = add(add(pairs, "thead"), "tr");
    for (const name of ["word", shown.meta.image_groups?.blocks ? "block" : "patch", "logits"]) add(head, "th", "", { scope: "col" }).textContent = name;
    const body = add(pairs, "tbody");
    for (const { patch, word, value } of strongest(shown, TOP_PAIRS)) {
      const line = add(body, "tr");
      const across = (shown.meta.image_groups?.blocks ?? shown.meta.grid)?.[1];
      const place = across
        ? `row ${Math.floor(patch / across) + 1}, column ${(patch % across) + 1}`
        : shown.players[patch];
      const button = add(add(line, "td"), "button", "ti-row", { type: "button" });
      button.textContent = shown.players[word];
      button.setAttribute("aria-label", `Show ${shown.players[word]} with ${place} on the map`);
      add(line, "td").textContent = place;
      add(line, "td", value < 0 ? "fx-number fx-lowers" : "fx-number").textContent = signed(value, 2);
      const point = () => {
        view.pin(word);
        view.point(patch);
      };
      line.addEventListener("pointerenter", point);
      line.addEventListener("click", point);
      button.addEventListener("focus", point);
      for (const type of ["pointerleave", "focusout"]) line.addEventListener(type, () => view.point(null));
    }
  }

  /** Where two captions differ, the strongest of those words. */
  function changedWord() {
    const [a, b] = result.explanations;
    const changed = (i) => a.players[i] !== b.players[i];
    return strongest(record(), Infinity).find(({ word }) => changed(word))?.word;
  }

  async function savePicture() {
    const shown = record();
    const [a, b] = result.explanations;
    const score = ({ meta }) => (typeof meta.full_value === "number" ? `${signed(meta.full_value, 2)} logits` : "score unknown");
    const differs = tab === "difference";
    const r2 = shown.meta.held_out_r2;
    const said = {
      title: differs ? `“${a.meta.caption}” minus “${b.meta.caption}”` : `“${shown.meta.caption ?? ""}”`,
      score: `${differs ? `${score(a)} and ${score(b)}` : score(shown)}, by ${sourceOf(result)}`,
      source: `p = ${shown.p}${typeof r2 === "number" ? `, held-out R² ${r2.toFixed(3)}` : ""}`,
    };
    const canvas = await drawingOf(shown, result.picture, view.pinned(), said);
    canvas.toBlob((blob) => download(blob, "explanation.png"), "image/png");
  }

  async function copyLink() {
    const { own } = result.picture;
    const address = link(result);
    const holds = own
      ? ` It has ${address.length.toLocaleString("en")} characters, for it holds your picture, made small (numbers may ` +
        "differ a little). A mail program may cut it, and then it is refused: safer is the file of Download JSON, which " +
        "“Open an explanation” shows."
      : ` It has ${address.length.toLocaleString("en")} characters.`;
    try {
      await navigator.clipboard.writeText(address);
      say(`The link is copied.${holds}`);
    } catch {
      say(`Your browser does not let the page copy.${holds} The link: ${address}`);
    }
  }

  set(null);
  return { set, get: () => result };
}

/** A picture's file, by the name that it had or gets. */
function fileOf({ blob, example }) {
  return blob.name ?? `${example ?? "picture"}.${blob.type.split("/")[1]}`;
}

/** A word of a command line, as shells of Linux, macOS and Windows read it where it holds no quotes. */
function quoted(word) {
  if (/^[\w./-]+$/.test(word)) return word;
  return /["$`\\!]/.test(word) ? `'${word.replaceAll("'", "'\\''")}'` : `"${word}"`;
}

/** Who found a result: model and settings, and whether it came out of a file. */
function sourceOf({ model, p, origin }) {
  return `${model}${p === null ? "" : `, p = ${p}`}${origin === "opened" ? ", from a file" : ""}`;
}

export function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
