// The page "Try it": choose a picture, type a caption, press Explain. Everything happens on the reader's own device.
//
// What is on the page: inputs, made once by `build`; the worker, started when it is first needed; and the result, drawn
// anew for each explanation that the worker sends. The address bar holds the state (`remember`, `recall`).

import { add, explore, signed } from "../explorer.js";
import { readCaption } from "./captions.js";
import { distinctColours, normalised, readPicture } from "./pictures.js";
import { buildScene, scenePainter, sceneToText, textToScene } from "./scenes.js";

const BASE = new URL(".", /** @type {HTMLScriptElement} */ (document.currentScript).src);
const WANTED = new URLSearchParams(location.search).get("engine"); // "wasm", "webgpu" (simulated ones too), or null
const TOP_PAIRS = 8;
const POOR_FIT = 0.7; // as fixlip_helpers.explanation has it
const FIRST_SCENE = "grass;dog,blue,60,6,50;car,red,56,68,14";
const ACCURACY_NAMES = {
  fast: "fast (1 024 passes)",
  good: "good (4 096)",
  best: "best (16 384)",
};
const ENGINES = { webgpu: "on this device's GPU", wasm: "on one CPU thread" };

/** @param {HTMLElement} root @param {any} facts what fixlip_helpers.export wrote */
function tryIt(root, facts) {
  const compact = root.hasAttribute("data-compact"); // within a chapter: the address stays the chapter's
  const state = {
    picture: null,
    captions: ["", ""],
    compare: false,
    model: "mini-clip",
    p: 0.5,
    accuracy: compact ? "fast" : "good",
  };
  let worker = null;
  let loaded = null; // name of the model that the worker holds
  let run = 0; // number of the explanation that is shown or made
  let running = false;
  let wanted = null; // what Explain was pressed for last (keyOf)
  let explained = null; // the same, once the worker has it: other captions may follow
  let engine = null; // what encodes the picture, a key of ENGINES
  let began = 0;
  let times = {};
  let records = []; // explanations of the captions, as they come
  let shown = "a";
  let view = null; // the explorer's handle
  let painter = null; // paints scenes, made when first needed

  // --- Inputs ---------------------------------------------------------------------------------------------------

  root.replaceChildren();
  root.classList.add("ti");
  const form = add(root, "form", "ti-form", { novalidate: "" });

  const pictureSet = group(form, "Picture");
  const examples = add(pictureSet, "div", "ti-examples", { role: "group", "aria-label": "Examples" });
  const exampleButtons = facts.examples.map((example) => {
    const button = add(examples, "button", "ti-example", {
      type: "button",
      title: `${example.title}: “${example.caption}”`,
    });
    add(button, "img", "", { src: example.picture, alt: `Example: ${example.title}`, width: 56, height: 56 });
    button.addEventListener("click", () => choose(example));
    return button;
  });
  const own = add(pictureSet, "div", "ti-own");
  const preview = add(own, "img", "ti-preview", {
    alt: "The picture as the encoder sees it",
    width: 128,
    height: 128,
  });
  const ownText = add(own, "div");
  const fileLabel = add(ownText, "label", "ti-file");
  add(fileLabel, "span").textContent = "Load a picture file, or drop one here";
  const file = add(fileLabel, "input", "", { type: "file", accept: "image/*" });
  const build = add(ownText, "button", "fx-action", { type: "button", "aria-expanded": "false" });
  build.textContent = "Build a scene";
  build.addEventListener("click", () => (builder.hidden ? openBuilder(FIRST_SCENE) : closeBuilder()));
  const note = add(ownText, "p", "ti-note");
  const builder = add(pictureSet, "div", "ti-builder");
  builder.hidden = true;

  const captionSet = group(form, "Caption");
  const fields = ["Caption", "Second caption"].map((label, which) => {
    const line = add(captionSet, "div", "ti-caption");
    const input = add(line, "input", "", {
      type: "text",
      "aria-label": label,
      autocomplete: "off",
      autocapitalize: "off",
      spellcheck: "false",
      maxlength: 300,
    });
    const hints = add(line, "div", "ti-hints", { "aria-live": "polite" });
    input.addEventListener("input", () => typed(which));
    input.addEventListener("keydown", (event) => {
      const first = hints.querySelector("button[data-tab]");
      if (event.key === "Tab" && !event.shiftKey && first) {
        event.preventDefault();
        first.click();
      }
    });
    return { line, input, hints };
  });
  const compare = add(captionSet, "button", "fx-action", { type: "button", "aria-pressed": "false" });
  compare.textContent = "Compare with a second caption";
  compare.addEventListener("click", () => {
    setCompare(!state.compare);
    if (state.compare) fields[1].input.focus();
    typed(0);
  });

  const options = add(form, "div", "ti-options");
  const model = choice(
    "Encoder",
    Object.fromEntries(Object.keys(facts.models).map((name) => [name, name])),
    (value) => (state.model = value),
  );
  const p = choice(
    "p, the share left visible",
    { 0.3: "0.3: few visible", 0.5: "0.5: half", 0.7: "0.7: most visible" },
    (value) => (state.p = Number(value)),
  );
  const accuracy = choice("Accuracy", ACCURACY_NAMES, (value) => (state.accuracy = value));

  const actions = add(form, "div", "ti-actions");
  const go = add(actions, "button", "ti-go", { type: "submit" });
  go.textContent = "Explain";
  const stop = add(actions, "button", "fx-action", { type: "button" });
  stop.textContent = "Cancel";
  stop.hidden = true;
  const progress = add(actions, "progress", "ti-progress", {
    max: 1,
    value: 0,
    "aria-label": "Encoder passes",
  });
  const count = add(actions, "span", "ti-count");
  progress.hidden = count.hidden = true;
  const status = add(form, "p", "ti-status", { role: "status" });

  const result = add(root, "section", "ti-result", { "aria-label": "Explanation" });
  result.hidden = true;
  const score = add(result, "p", "ti-score");
  const unit = add(result, "p", "ti-unit");
  const trust = add(result, "p", "ti-trust");
  const tabs = add(result, "div", "fx-bar", { role: "group", "aria-label": "Which caption" });
  const tabButtons = Object.fromEntries(
    [
      ["a", "Caption A"],
      ["b", "Caption B"],
      ["difference", "A minus B"],
    ].map(([name, label]) => {
      const button = add(tabs, "button", "fx-action", { type: "button" });
      button.textContent = label;
      button.addEventListener("click", () => {
        shown = name;
        drawResult();
      });
      return [name, button];
    }),
  );
  const explorer = add(result, "div", "ti-explorer");
  const pairs = add(result, "table", "ti-pairs");
  const saves = add(result, "div", "fx-bar ti-saves");
  save("Download JSON", () =>
    download(new Blob([json.textContent + "\n"], { type: "application/json" }), "explanation.json"),
  );
  save("Download PNG", async () =>
    download(await pictureOf(current(), state.picture, view.pinned()), "explanation.png"),
  );
  save("Copy link", copyLink);
  const json = add(result, "script", "", { type: "application/json" });

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    explain();
  });
  stop.addEventListener("click", () => {
    worker?.postMessage({ type: "cancel" });
    if (loaded !== state.model) finished("idle"); // the model was still on its way
  });
  file.addEventListener("change", () => file.files[0] && load(file.files[0]));
  for (const type of ["dragover", "drop"]) {
    form.addEventListener(type, (event) => {
      if (![...event.dataTransfer.types].includes("Files")) return;
      event.preventDefault();
      if (type === "drop") load(event.dataTransfer.files[0]);
    });
  }

  function group(parent, legend) {
    const set = add(parent, "fieldset", "ti-group");
    add(set, "legend").textContent = legend;
    return set;
  }

  function choice(label, values, set) {
    const line = add(options, "label", "ti-choice");
    add(line, "span").textContent = label;
    const select = add(line, "select");
    for (const [value, text] of Object.entries(values))
      add(select, "option", "", { value }).textContent = text;
    select.addEventListener("change", () => {
      set(select.value);
      fields.forEach((_, which) => hint(which));
      if (records.length && !matches()) say("The settings have changed: press Explain.");
    });
    return select;
  }

  function save(label, run) {
    const button = add(saves, "button", "fx-action", { type: "button" });
    button.textContent = label;
    button.addEventListener("click", run);
  }

  // --- Pictures -------------------------------------------------------------------------------------------------

  async function choose(example) {
    const data = Uint8Array.from(atob(example.picture.split(",")[1]), (c) => c.charCodeAt(0));
    await take(new Blob([data], { type: "image/png" }), {
      example: example.name,
      alt: example.title,
      src: example.picture,
    });
    note.textContent = example.note;
    fields[0].input.value = example.caption;
    typed(0);
  }

  async function load(blob) {
    if (await take(blob, { example: null, alt: "Your picture" })) {
      note.textContent =
        `It stays on this device. ${isPhotograph(state.picture) ? "It looks like a photograph. " : ""}` +
        "The encoder has seen drawings of about a hundred things, and no photograph: " +
        "of one it knows colours at best.";
    }
  }

  /** Whether a file that was loaded looks like what the encoder never saw. */
  function isPhotograph(picture) {
    const loaded = picture.example === null; // neither an example nor a scene that was built here
    return loaded && distinctColours(picture.seen) > facts.mostColours;
  }

  /** Make a file the picture; false, with a sentence, where it is none. */
  async function take(blob, about) {
    const { vision } = facts.models[state.model];
    try {
      const read = await readPicture(blob, vision.size);
      closeBuilder();
      show({ ...read, ...about, src: about.src ?? read.src });
    } catch (error) {
      say(error.message, true);
      return false;
    }
    return true;
  }

  /** Make this the picture: { seen, src, alt } with `example` or `scene`, where it is one. */
  function show(picture) {
    state.picture = picture;
    preview.src = bitmapOf(picture.seen, facts.models[state.model].vision.size).toDataURL("image/png");
    exampleButtons.forEach((button, i) =>
      button.setAttribute("aria-pressed", String(facts.examples[i].name === picture.example)),
    );
    say(running || records.length ? "The picture has changed: press Explain." : "");
  }

  /** Show the builder with a scene given as text; whether it is one. */
  async function openBuilder(text) {
    try {
      await script("scenes.js", () => globalThis.fixlipDrawings);
    } catch (error) {
      say(error.message, true);
      return false;
    }
    const drawings = globalThis.fixlipDrawings;
    const scene = textToScene(text, drawings);
    if (!scene) return false;
    painter ??= await scenePainter(drawings);
    builder.hidden = false;
    build.setAttribute("aria-expanded", "true");
    note.textContent = "Drag the drawings; choose colours and things. Press Explain when it is done.";
    buildScene(builder, drawings, painter, scene, (now, canvas) => {
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      const seen = new Uint8ClampedArray((data.length / 4) * 3).map(
        (_, i) => data[4 * Math.floor(i / 3) + (i % 3)],
      );
      const things = now.objects.map(({ noun, colour }) => `${colour} ${noun}`.trim()).join(", ");
      show({
        seen,
        src: canvas.toDataURL("image/png"),
        alt: `A scene: ${things} on ${now.background}`,
        scene: sceneToText(now),
      });
    });
    return true;
  }

  function closeBuilder() {
    builder.hidden = true;
    build.setAttribute("aria-expanded", "false");
  }

  // --- Captions -------------------------------------------------------------------------------------------------

  function setCompare(on) {
    state.compare = on;
    compare.setAttribute("aria-pressed", String(on));
    fields[1].line.hidden = !on;
    if (on && !fields[1].input.value) fields[1].input.value = fields[0].input.value;
    hint(1);
  }

  const recaption = debounced(20, () => {
    const captions = readCaptions();
    if (!captions.fault && matches()) {
      began = performance.now();
      worker.postMessage({ type: "captions", id: run, captions });
    }
  });

  function typed(which) {
    hint(which);
    if (matches()) recaption();
  }

  /** Completions of the word that is being typed, and known words near unknown ones. */
  function hint(which) {
    const { input, hints } = fields[which];
    state.captions[which] = input.value;
    hints.replaceChildren();
    const { vocabulary } = facts.models[state.model];
    const replace = (word, by, completes) => {
      const button = add(hints, "button", "ti-hint", {
        type: "button",
        ...(completes && !isKnown ? { "data-tab": "" } : {}),
      });
      button.textContent = by;
      button.setAttribute("aria-label", completes ? `Complete ${word} to ${by}` : `Replace ${word} by ${by}`);
      button.addEventListener("click", () => {
        input.value = completes
          ? `${input.value.slice(0, input.value.length - word.length)}${by} `
          : input.value.replace(new RegExp(`(^|[^\\p{L}\\p{N}])${word}(?![\\p{L}\\p{N}])`, "iu"), `$1${by}`);
        input.focus();
        typed(which);
      });
    };
    const last = input.value.match(/[\p{L}\p{N}]+$/u)?.[0] ?? "";
    const isKnown = Object.hasOwn(vocabulary, last.toLowerCase()); // Tab then leaves the field as always
    const known = Object.keys(vocabulary);
    const completions = last
      ? known.filter((word) => word.startsWith(last.toLowerCase()) && word !== last.toLowerCase()).slice(0, 6)
      : [];
    const { unknown = [], near = {}, fault } = readCaption(input.value, facts.models[state.model]);
    const wrong = unknown.filter((word) => !(completions.length && word === last.toLowerCase()));
    input.setAttribute(
      "aria-invalid",
      String(Boolean(fault) && Boolean(wrong.length || !unknown.length) && input.value !== ""),
    );
    for (const word of wrong) {
      add(hints, "span", "ti-unknown").textContent =
        `“${word}” is not known${near[word].length ? "; nearest:" : ""}`;
      for (const by of near[word]) replace(word, by, false);
    }
    if (completions.length) {
      add(hints, "span").textContent = isKnown ? "or" : "Tab completes:";
      for (const by of completions) replace(last, by, true);
    }
    if (fault && !unknown.length && input.value) add(hints, "span", "ti-unknown").textContent = fault;
  }

  /** @returns {any} the captions as the encoder reads them, or { fault } with a sentence */
  function readCaptions() {
    const texts = state.captions.slice(0, state.compare ? 2 : 1);
    const captions = texts.map((text) => readCaption(text, facts.models[state.model]));
    const faulty = captions.find(({ fault }) => fault);
    return faulty ? { fault: faulty.fault } : captions;
  }

  // --- The worker -----------------------------------------------------------------------------------------------

  /** Whether the picture's side, fitted or on its way, is that of the present settings. */
  function matches() {
    return Boolean(explained && state.picture && explained === keyOf());
  }

  function keyOf() {
    return [(state.picture.number ??= ++pictureCount), state.model, state.p, state.accuracy].join(" ");
  }

  async function explain() {
    const captions = readCaptions();
    if (!state.picture) return say("Choose a picture first.", true);
    if (captions.fault) return say(captions.fault, true);
    if (running && wanted === keyOf()) return say("This is being explained already: wait for it, or cancel it first.");
    const number = ++run;
    wanted = keyOf();
    const asked = { ...state };
    explained = null;
    running = true;
    engine = null;
    began = performance.now();
    times = {};
    root.dataset.state = "running";
    stop.hidden = progress.hidden = count.hidden = false;
    count.textContent = "";
    progress.removeAttribute("value");
    remember();
    try {
      await ready(asked.model);
    } catch (error) {
      if (number === run) finished("failed", error.message);
      return;
    }
    if (number !== run || !running) return;
    explained = wanted;
    say("Encoding the picture with patches removed, over and over.");
    const pixels = normalised(asked.picture.seen, facts.models[asked.model].vision);
    worker.postMessage(
      { type: "explain", id: number, pixels, captions, p: asked.p, accuracy: asked.accuracy },
      [pixels.buffer],
    );
  }

  /** A worker with this model in it. */
  async function ready(name) {
    if (loaded === name) return;
    say(`Loading ${name} (5 MB, once).`);
    await script(`${name}.js`, () => globalThis.fixlipWeights?.[name]);
    const { tensors, weights } = globalThis.fixlipWeights[name];
    worker?.terminate();
    loaded = null;
    const source = new Blob([`"use strict";\n${WORKER}\nserve(self);`], { type: "text/javascript" });
    const address = URL.createObjectURL(source);
    try {
      worker = new Worker(address);
    } catch {
      throw new Error("This browser lets the page start no worker, which the encoder needs.");
    }
    await new Promise((resolve, reject) => {
      worker.onmessage = ({ data }) => (data.type === "loaded" ? resolve() : reject(new Error(data.message)));
      worker.onerror = () =>
        reject(new Error("The worker, which runs the encoder, could not be started here."));
      const bytes = bytesOf(weights);
      const kernels = { fma: bytesOf(KERNELS.fma), plain: bytesOf(KERNELS.plain) };
      worker.postMessage(
        { type: "load", record: { ...facts.models[name], tensors }, weights: bytes, kernels, engine: WANTED },
        [bytes.buffer],
      );
    });
    URL.revokeObjectURL(address);
    worker.onmessage = ({ data }) => data.id === run && heard(data);
    worker.onerror = (event) => {
      event.preventDefault();
      loaded = null;
      finished("failed", `The encoder stopped: ${event.message}`);
    };
    loaded = name;
  }

  function heard(message) {
    const seconds = (performance.now() - began) / 1000;
    if (message.type === "score") {
      times.score ??= seconds;
      drawScore(message.values);
    } else if (message.type === "progress") {
      if (message.engine !== engine) {
        root.dataset.engine = engine = message.engine;
        say(`Encoding the picture with patches removed, over and over, ${ENGINES[engine]}.`);
      }
      progress.value = message.done / message.total;
      const rate = (message.done / (performance.now() - began)) * 1000;
      const left = Math.ceil((message.total - message.done) / rate);
      count.textContent = `${message.done} of ${message.total} passes, about ${left} s to go`;
    } else if (message.type === "partial" || message.type === "done") {
      records = message.explanations;
      times[message.type === "done" ? "done" : "heat"] ??= seconds;
      drawResult();
      if (message.type === "done" && running) finished("done");
      if (message.type === "done") root.dataset.state = "done";
    } else if (message.type === "cancelled") {
      explained = null;
      finished("idle", records.length ? "Cancelled: what is shown is as far as it came." : "Cancelled.");
    } else if (message.type === "failed") {
      explained = null;
      finished("failed", message.message);
    }
  }

  function finished(how, sentence) {
    running = false;
    stop.hidden = progress.hidden = count.hidden = true;
    root.dataset.state = how;
    root.dataset.times = JSON.stringify(times);
    const at = (name) => `${times[name].toFixed(1)} s`;
    say(
      sentence ??
        (how === "done"
          ? `Done ${ENGINES[engine]}: score after ${at("score")}, ${times.heat ? `first heat after ${at("heat")}, ` : ""}` +
            `all after ${at("done")}. Change the caption: it is explained as you type.`
          : "Cancelled."),
      how === "failed",
    );
  }

  function say(sentence, wrong = false) {
    status.textContent = sentence;
    status.classList.toggle("ti-wrong", wrong);
  }

  // --- The result -----------------------------------------------------------------------------------------------

  function drawScore(values) {
    result.hidden = false;
    const names = values.length > 1 ? ["A", "B"] : [""];
    score.replaceChildren();
    values.forEach((value, i) => {
      const line = add(score, "span", "ti-value");
      add(line, "span").textContent =
        `${state.model} scores ${names[i] ? `caption ${names[i]}` : "the pair"} `;
      add(line, "strong").textContent = `${signed(value, 2)} logits`;
    });
    const photograph = isPhotograph(state.picture);
    unit.classList.toggle("ti-photograph", photograph);
    unit.textContent = photograph
      ? `This looks like a photograph, and ${state.model} has seen drawings only: the number means little, ` +
        "and what follows explains a number that means little."
      : "Logits are the encoder's own points: the more, the better it finds that picture and caption fit. " +
        "They are no percentages and have no top mark; compare them with other scores of this encoder only.";
  }

  /** The explanation that is shown. */
  function current() {
    const [a, b] = records;
    if (!b || shown === "a") return a;
    return shown === "b" ? b : difference(a, b);
  }

  function drawResult() {
    const [a, b] = records;
    tabs.hidden = !b;
    const comparable = b && a.n_text === b.n_text;
    if (!b || (shown === "difference" && !comparable)) shown = "a";
    for (const [name, button] of Object.entries(tabButtons))
      button.setAttribute("aria-pressed", String(name === shown));
    tabButtons.difference.disabled = !comparable;
    tabButtons.difference.title = comparable ? "" : "For captions of the same number of words";
    const record = current();
    json.textContent = JSON.stringify(record);
    const r2 = record.meta.held_out_r2;
    const { image } = record.meta.order;
    const judged = r2 !== null && r2 !== undefined;
    trust.textContent = judged
      ? `R² ${r2.toFixed(3)}: the share of the score's variance that this explanation gets right on coalitions ` +
        `it was not fitted to${image === 1 ? " (patch–patch pairs left out)" : ""}.` +
        (r2 < POOR_FIT ? " A poor fit: read it with care." : "")
      : "A first look: rough still.";
    const focused = explorer.contains(document.activeElement) ? { .../** @type {HTMLElement} */ (document.activeElement).dataset } : null;
    const kept = view?.pinned();
    const picture = { src: state.picture.src, alt: `${state.picture.alt}, with the explanation` };
    view = explore(explorer, record, picture);
    if (kept !== undefined && (kept === null || kept < record.players.length)) view.pin(kept);
    const selector =
      focused &&
      (focused.word ? `[data-word="${focused.word}"]` : focused.patch && `[data-patch="${focused.patch}"]`);
    if (selector) explorer.querySelector(selector)?.focus();
    drawPairs(record);
  }

  function drawPairs(record) {
    pairs.replaceChildren();
    add(pairs, "caption").textContent = "Strongest patch–word pairs";
    const head = add(add(pairs, "thead"), "tr");
    for (const name of ["word", "patch", "logits"]) add(head, "th", "", { scope: "col" }).textContent = name;
    const body = add(pairs, "tbody");
    for (const { patch, word, value } of strongest(record, TOP_PAIRS)) {
      const line = add(body, "tr");
      const [row, column] = [Math.floor(patch / record.meta.grid[1]) + 1, (patch % record.meta.grid[1]) + 1];
      for (const text of [record.players[word], `row ${row}, column ${column}`])
        add(line, "td").textContent = text;
      add(line, "td", value < 0 ? "fx-number fx-lowers" : "fx-number").textContent = signed(value, 2);
    }
  }

  // --- Links ----------------------------------------------------------------------------------------------------

  /** The state as the address's fragment; a loaded picture is part of it only where `whole`. */
  function fragment(whole) {
    const parts = new URLSearchParams();
    const { picture } = state;
    if (picture?.example) parts.set("e", picture.example);
    else if (picture?.scene) parts.set("s", picture.scene);
    else if (picture && whole)
      parts.set(
        "x",
        bitmapOf(picture.seen, facts.models[state.model].vision.size).toDataURL("image/png").split(",")[1],
      );
    parts.set("c", state.captions[0]);
    if (state.compare) parts.set("c2", state.captions[1]);
    parts.set("m", state.model);
    parts.set("p", String(state.p));
    parts.set("a", state.accuracy);
    return parts.toString();
  }

  function remember() {
    if (!compact) history.replaceState(null, "", `#${fragment(false)}`);
  }

  async function copyLink() {
    remember();
    const address = `${location.href.split("#")[0]}#${fragment(true)}`;
    const holds =
      state.picture.example || state.picture.scene ? "" : " It holds your picture, as the encoder sees it.";
    try {
      await navigator.clipboard.writeText(address);
      say(`The link is copied.${holds}`);
    } catch {
      say(`Your browser does not let the page copy. The link: ${address}`);
    }
  }

  /** Take the state from the address; whether it had any. */
  async function recall() {
    const parts = new URLSearchParams(compact ? "" : location.hash.slice(1));
    const example = facts.examples.find(({ name }) => name === parts.get("e"));
    if (Object.hasOwn(facts.models, parts.get("m") ?? "")) model.value = state.model = parts.get("m");
    if ([...p.options].some(({ value }) => value === parts.get("p")))
      state.p = Number((p.value = parts.get("p")));
    if (Object.hasOwn(ACCURACY_NAMES, parts.get("a") ?? "")) accuracy.value = state.accuracy = parts.get("a");
    if (parts.has("x")) {
      let bytes = new Uint8Array();
      try {
        bytes = bytesOf(parts.get("x"));
      } catch {
        // not base64: the empty file is refused below
      }
      await take(new Blob([bytes]), { example: null, alt: "The picture of the link" });
    }
    if (parts.has("s")) await openBuilder(parts.get("s"));
    if (example || !state.picture) await choose(example ?? facts.examples[0]);
    if (parts.has("c")) fields[0].input.value = parts.get("c");
    if (parts.has("c2")) fields[1].input.value = parts.get("c2");
    setCompare(parts.has("c2"));
    hint(0);
    return parts.has("c");
  }

  fields[1].line.hidden = true;
  accuracy.value = state.accuracy;
  p.value = String(state.p);
  root.dataset.state = "idle";
  recall().then((linked) => linked && explain());
  addEventListener("hashchange", () => {
    if (compact || !new URLSearchParams(location.hash.slice(1)).has("c")) return; // a heading of the page
    recall().then(explain);
  });
}

let pictureCount = 0;

// --- Numbers ------------------------------------------------------------------------------------------------------

/** The pair (i, j), i < j, in an explanation's list of pairs. */
function pairAt(record, i, j) {
  const n = record.players.length;
  return record.pairs[(i * (2 * n - i - 1)) / 2 + j - i - 1];
}

function strongest(record, most) {
  const found = [];
  for (let patch = 0; patch < record.n_image; patch++) {
    for (let word = record.n_image; word < record.players.length; word++) {
      found.push({ patch, word, value: pairAt(record, patch, word) });
    }
  }
  return found.sort((a, b) => Math.abs(b.value) - Math.abs(a.value)).slice(0, most);
}

/** The explanation of the difference of two scores, as Explanation.__sub__ gives it. */
function difference(a, b) {
  const kept = Object.entries(a.meta).filter(
    ([key, value]) => JSON.stringify(value) === JSON.stringify(b.meta[key]),
  );
  return {
    ...a,
    baseline: a.baseline - b.baseline,
    empty_value: a.empty_value - b.empty_value,
    main: a.main.map((value, i) => value - b.main[i]),
    pairs: a.pairs.map((value, i) => value - b.pairs[i]),
    players: a.players.map((name, i) => (name === b.players[i] ? name : `${name}/${b.players[i]}`)),
    meta: { ...Object.fromEntries(kept), order: a.meta.order },
  };
}

// --- Files and pictures -------------------------------------------------------------------------------------------

function bytesOf(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/** Load one of the page's own scripts, unless what it brings is there. */
function script(name, there) {
  if (there()) return Promise.resolve();
  return new Promise((resolve, reject) => {
    const element = document.createElement("script");
    element.src = new URL(name, BASE).href;
    element.onload = () => resolve();
    element.onerror = () =>
      reject(
        new Error(
          `The encoder's file ${name} could not be loaded: check the connection and press Explain again.`,
        ),
      );
    document.head.append(element);
  });
}

function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** A canvas with what the encoder sees: (size, size, 3) levels. */
function bitmapOf(seen, size) {
  const canvas = Object.assign(document.createElement("canvas"), { width: size, height: size });
  const image = new ImageData(size, size);
  for (let i = 0; i < size * size; i++)
    image.data.set([seen[3 * i], seen[3 * i + 1], seen[3 * i + 2], 255], 4 * i);
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

function debounced(milliseconds, run) {
  let timer;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(run, milliseconds);
  };
}

/** One picture of an explanation: the heat of a word (or of all values) on the picture, and the words' values. */
async function pictureOf(record, picture, player) {
  const [side, margin, lines] = [560, 24, 34];
  const words = record.players.slice(record.n_image);
  const word = player !== null && player >= record.n_image ? player : null;
  const share = record.p;
  const of = (i, j) => (i < j ? pairAt(record, i, j) : pairAt(record, j, i));
  const values = record.main.map(
    (own, i) => own + share * record.players.reduce((sum, _, j) => (i === j ? sum : sum + of(i, j)), 0),
  );
  const heat = Array.from({ length: record.n_image }, (_, i) => (word === null ? values[i] : of(i, word)));
  const limit =
    Math.max(
      ...strongest(record, 1).map(({ value }) => Math.abs(value)),
      word === null ? Math.max(...values.map(Math.abs)) : 0,
    ) || 1;
  const canvas = Object.assign(document.createElement("canvas"), {
    width: side + 2 * margin,
    height: side + 2 * margin + lines * (words.length + 2),
  });
  const context = canvas.getContext("2d");
  context.fillStyle = "white";
  context.fillRect(0, 0, canvas.width, canvas.height);
  const image = new Image();
  image.src = picture.src;
  await image.decode();
  context.imageSmoothingEnabled = image.naturalWidth > 256;
  context.filter = "grayscale(1)";
  context.globalAlpha = 0.5;
  context.drawImage(image, margin, margin, side, side);
  context.filter = "none";
  const [rows, columns] = record.meta.grid;
  const colour = (value) => (value < 0 ? "#1f5fbf" : "#c4161c");
  heat.forEach((value, i) => {
    context.globalAlpha = 0.9 * Math.min(1, Math.abs(value) / limit);
    context.fillStyle = colour(value);
    context.fillRect(
      margin + (i % columns) * (side / columns),
      margin + Math.floor(i / columns) * (side / rows),
      side / columns,
      side / rows,
    );
  });
  context.globalAlpha = 1;
  context.textBaseline = "middle";
  const write = (text, line, x, style = "#1f2328", font = "18px system-ui, sans-serif") => {
    context.fillStyle = style;
    context.font = font;
    context.fillText(text, x, side + 2 * margin + lines * (line + 0.5), canvas.width - x - margin);
  };
  const what =
    word === null ? "value of each patch" : `interaction of each patch with “${record.players[word]}”`;
  write(
    `${what}: red raises, blue lowers, to ±${limit.toFixed(2)} logits`,
    0,
    margin,
    "#57606a",
    "15px system-ui, sans-serif",
  );
  const longest = Math.max(...values.slice(record.n_image).map(Math.abs)) || 1;
  words.forEach((name, j) => {
    const value = values[record.n_image + j];
    write(
      name,
      j + 1,
      margin,
      "#1f2328",
      word === record.n_image + j ? "bold 18px system-ui, sans-serif" : undefined,
    );
    context.fillStyle = colour(value);
    context.fillRect(
      190,
      side + 2 * margin + lines * (j + 1.25),
      (Math.abs(value) / longest) * 300,
      lines / 2,
    );
    write(signed(value, 2), j + 1, 510);
  });
  const r2 = record.meta.held_out_r2;
  write(
    `${record.meta.model}, p = ${record.p}${r2 == null ? "" : `, held-out R² ${r2.toFixed(3)}`}; bars: value of each word`,
    words.length + 1,
    margin,
    "#57606a",
    "15px system-ui, sans-serif",
  );
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

tryIt(document.getElementById("explain-here"), globalThis.fixlipFacts);
