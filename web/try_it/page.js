// The page "Try it": choose a picture, type a caption, see what made the score. All of it on the reader's own device.
//
// Three things, each of which belongs to itself. The draft is what the form says now, and changes with every key. A run
// is a picture and settings that are being encoded, and never changes: a message of another run's is dropped by its number
// (engine.js). A result is what a run, a stored explanation or a file gave, with its own picture, caption, model and
// settings, and is drawn, saved and linked as one (result.js). A result of another picture than the draft's is not shown.

import { readExplanation } from "../explanation.js";
import { add, signed } from "../explorer.js";
import { ACCURACY_NAMES, checksum, fromFragment, keep, kept, toFragment } from "./address.js";
import { readCaption } from "./captions.js";
import { openCheckpoint } from "./checkpoint.js";
import { Engine, bytesOf, script } from "./engine.js";
import { captionField } from "./field.js";
import { bitmapOf, looksLikePhotograph, lossy, readPicture } from "./pictures.js";
import { pieceReader } from "./pieces.js";
import { resultView } from "./result.js";
import { buildScene, scenePainter, sceneToText, textToScene } from "./scenes.js";
import { modelShelf } from "./shelf.js";
import { verifier } from "./verify.js";

const FIRST_SCENE = "grass;dog,blue,60,6,50;car,red,56,68,14";
const P_NAMES = { 0.3: "0.3: few visible", 0.5: "0.5: half", 0.7: "0.7: most visible" };
const THREADS = ["on this device's GPU", "on one CPU thread"]; // by their number; more are counted
const LINK_QUALITY = 0.8; // of the WebP in an address
const MOST_PAIRED = 64; // patches, as the embedded models have, of which pairs are fitted here
const LONG = 30; // seconds, from which on a run says before how long it will take
const TIMED = 8; // passes, by which that is known
const TYPING = 400; // milliseconds without a key, after which a caption starts a run

/** @param {HTMLElement} root @param {any} facts what fixlip_helpers.export wrote */
function tryIt(root, facts) {
  const compact = root.hasAttribute("data-compact"); // within a chapter: the address stays the chapter's
  const draft = {
    picture: null,
    compare: false,
    model: facts.stored.model,
    p: facts.stored.p,
    accuracy: compact ? "fast" : facts.stored.accuracy,
  };
  let run = null; // what is encoded, or was last, while its picture's side can take other captions
  let running = false;
  let live = false; // whether a changed caption is explained at once: after the first explanation of a picture
  let progressOf = null; // { began, threads, times } of the run
  let reading = 0; // number of the picture that is read last
  let runs = 0;
  let recalls = 0; // number of the address that is done last
  let painter = null; // paints scenes, made when first needed
  const engine = new Engine(facts, heard);

  // --- The form -------------------------------------------------------------------------------------------------

  root.replaceChildren();
  root.classList.add("ti");
  const form = add(root, "form", "ti-form", { novalidate: "" });

  const pictureSet = add(form, "div", "ti-pictures", { role: "group", "aria-label": "Picture" });
  const examples = add(pictureSet, "div", "ti-examples", { role: "group", "aria-label": "Examples" });
  const shownExamples = facts.examples.filter(({ captions }) => captions);
  const exampleButtons = shownExamples.map((example) => {
    const button = add(examples, "button", "ti-example", { type: "button", title: example.title });
    add(button, "img", "", { src: example.picture, alt: "", width: 56, height: 56 });
    add(button, "span").textContent = example.label;
    button.addEventListener("click", () => choose(example));
    return button;
  });
  const own = add(pictureSet, "div", "ti-own");
  const preview = add(own, "img", "ti-preview", { alt: "The picture as the encoder sees it", width: 44, height: 44 });
  const file = chooser(own, "Your picture", { accept: "image/*" });
  const build = add(own, "button", "fx-action", { type: "button", "aria-expanded": "false" });
  build.textContent = "Build a scene";
  build.addEventListener("click", () => (builder.hidden ? openBuilder(FIRST_SCENE) : closeBuilder()));
  const opener = chooser(own, "Open an explanation", { accept: ".json,application/json,image/*", multiple: "" });
  const builder = add(pictureSet, "div", "ti-builder");
  builder.hidden = true;
  const note = add(pictureSet, "p", "ti-note");

  const captionSet = add(form, "div", "ti-captions", { role: "group", "aria-label": "Caption" });
  const given = add(captionSet, "div", "ti-given", { role: "group", "aria-label": "Captions of this example" });
  const line = add(captionSet, "div", "ti-line");
  const encoder = () => facts.models[draft.model];
  const fields = ["Caption", "Second caption"].map((label) => captionField(line, label, encoder, typed));

  const actions = add(form, "div", "ti-actions");
  const go = add(actions, "button", "ti-go", { type: "submit" });
  go.textContent = "Explain";
  const stop = add(actions, "button", "fx-action", { type: "button" });
  stop.textContent = "Cancel";
  const progress = add(actions, "progress", "ti-progress", { max: 1, value: 0, "aria-label": "Encoder passes" });
  const loading = add(actions, "p", "ti-loading");
  const count = add(actions, "span", "ti-count");
  const status = add(actions, "p", "ti-status", { role: "status" });
  engine.tell = (sentence) => (loading.textContent = sentence);

  const more = add(form, "details", "ti-more");
  add(more, "summary").textContent = "Options";
  const compare = add(more, "button", "fx-action", { type: "button", "aria-pressed": "false" });
  compare.textContent = "Compare with a second caption";
  compare.addEventListener("click", () => {
    setCompare(!draft.compare);
    if (draft.compare) fields[1].input.focus();
    typed();
  });
  const options = add(more, "div", "ti-options");
  const names = Object.fromEntries(Object.keys(facts.models).map((name) => [name, name]));
  const model = choice("Encoder", names, (value) => {
    draft.model = value;
    refit();
  });
  const p = choice("p, the share left visible", P_NAMES, (value) => (draft.p = Number(value)));
  const accuracy = choice("Accuracy", ACCURACY_NAMES, (value) => (draft.accuracy = value));

  const ownModel = add(more, "div", "ti-own-model");
  const modelFiles = chooser(ownModel, "Open a model…", { multiple: "", webkitdirectory: "" });
  const looseFiles = chooser(ownModel, "or its files", { multiple: "", accept: ".safetensors,.json" });
  add(ownModel, "p", "ti-note").textContent =
    "A real CLIP or SigLIP from your disk, for photographs: the folder with model.safetensors, config.json and " +
    "tokenizer.json. Nothing is sent anywhere.";
  const shelf = compact ? null : modelShelf(ownModel, facts.hub, { say, adopt });
  more.addEventListener("toggle", () => more.open && shelf?.());

  const showVerdict = verifier(ownModel, { encoder, say, run: verify });

  const view = resultView(root, { facts, say, link: linkOf });

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    explain();
  });
  stop.addEventListener("click", () => {
    abandon();
    finished("idle", `Cancelled${view.get() ? ": what is shown is as far as it came" : ""}. Explain goes on from there.`);
  });
  file.addEventListener("change", () => take([...file.files]));
  opener.addEventListener("change", () => take([...opener.files]));
  for (const input of [modelFiles, looseFiles]) {
    input.addEventListener("change", () => {
      const files = [...input.files];
      input.value = "";
      openModel(files);
    });
  }
  for (const type of ["dragover", "drop"]) {
    root.addEventListener(type, (/** @type {DragEvent} */ event) => {
      if (![...event.dataTransfer.types].includes("Files")) return;
      event.preventDefault();
      if (type === "drop") take([...event.dataTransfer.files]);
    });
  }

  function chooser(parent, label, attributes) {
    const box = add(parent, "label", "ti-file fx-action");
    add(box, "span").textContent = label;
    return add(box, "input", "ti-hidden", { type: "file", ...attributes });
  }

  function choice(label, values, set) {
    const box = add(options, "label", "ti-choice");
    add(box, "span").textContent = label;
    const select = add(box, "select");
    for (const [value, text] of Object.entries(values))
      add(select, "option", "", { value }).textContent = text;
    select.addEventListener("change", () => {
      set(select.value);
      fields.forEach(({ hint }) => hint());
      if (view.get()) say("The settings have changed: press Explain. What is shown was found with those that it names.");
    });
    return select;
  }

  // --- Pictures -------------------------------------------------------------------------------------------------

  /** An example, and what is known of it. */
  async function choose(example, caption = example.caption) {
    const mine = ++reading;
    const picture = await drawnExample(example);
    if (mine !== reading) return;
    show(picture);
    note.textContent = example.note;
    fields[0].input.value = caption;
    setCompare(false);
    fields[0].hint();
    offerCaptions(example);
    typed();
  }

  async function drawnExample(example) {
    const blob = new Blob([bytesOf(example.picture.split(",")[1])], { type: "image/png" });
    const { vision } = encoder();
    const { seen, cut } = await readPicture(blob, vision);
    return { seen, box: cut, blob, vision, src: example.picture, alt: example.title, example: example.name };
  }

  /** The true and the false caption of an example, side by side. */
  function offerCaptions(example) {
    given.replaceChildren();
    for (const { text, fits } of example?.captions ?? []) {
      const button = add(given, "button", "ti-hint", { type: "button" });
      add(button, "b").textContent = fits ? "true " : "false ";
      button.append(text);
      button.dataset.caption = text;
      button.addEventListener("click", () => {
        fields[0].input.value = text;
        fields[0].hint();
        typed();
      });
    }
  }

  /** Files that were chosen or dropped: a picture, an explanation, or an explanation and its picture. */
  async function take(files) {
    file.value = opener.value = ""; // the same file may be chosen again
    const isRecord = ({ name, type }) => type === "application/json" || /\.json$/i.test(name);
    if (files.some(({ name }) => /\.(safetensors|bin|pt|pth|ckpt)$/i.test(name))) return openModel(files);
    const record = files.find(isRecord);
    const picture = files.find((one) => one !== record);
    try {
      if (record) await open(record, picture);
      else if (picture) await load(picture, "Your picture");
    } catch (error) {
      say(error.message, true);
    }
  }

  /** Make a file of the reader's the picture; throws where it is none. */
  async function load(blob, alt, box) {
    const picture = await ownPicture(blob, alt, box);
    if (!picture) return;
    show(picture);
    say("Type a caption and press Explain.");
    const photograph = looksLikePhotograph(picture.seen, facts.photograph);
    if (encoder().opened) note.textContent = "It stays on this device.";
    else note.textContent =
      `It stays on this device. ${photograph ? "It looks like a photograph. " : ""}` +
      "The encoder has seen drawings of about a hundred things, and no photograph: " +
      "of one it knows colours at best. For photographs open a real CLIP, under Options.";
    remember();
  }

  /** A file as a picture, or null where another one was chosen meanwhile. */
  async function ownPicture(blob, alt, box) {
    const mine = ++reading;
    const tell = (sentence) => mine === reading && say(sentence);
    tell("Reading the picture.");
    await new Promise((resolve) => setTimeout(resolve)); // the sentence is seen before the work begins
    const { vision } = encoder();
    const { seen, cut, src } = await readPicture(blob, vision, tell);
    if (mine !== reading) return null;
    const picture = { seen, src, alt, box: box ?? cut, cut, blob, vision, own: true, id: checksum(seen) };
    keep(picture, bitmapOf(seen, vision.size).toDataURL("image/png"));
    return picture;
  }

  /** The picture as another encoder sees it, where it sees it otherwise: at another size, or the middle of it. */
  async function refit() {
    const { picture } = draft;
    const { vision } = encoder();
    if (!picture || sameSight(picture.vision, vision)) return;
    const mine = ++reading;
    const { seen, cut } = await readPicture(picture.blob, vision);
    if (mine !== reading) return;
    const { textContent: said } = note;
    show({ ...picture, seen, vision, box: cut, cut });
    note.textContent = said;
    say("Press Explain.");
  }

  function sameSight(one, other) {
    return ["size", "crop", "edge", "bilinear"].every((key) => (one?.[key] || false) === (other[key] || false));
  }

  /** Make a checkpoint of the reader's an encoder, and take it. */
  async function openModel(files) {
    say("Reading the model's files.");
    try {
      await adopt(await openCheckpoint(files));
    } catch (error) {
      say(error.message, true);
    }
  }

  /** Make what openCheckpoint gives an encoder of the page, and take it; throws where its files do not fit. */
  async function adopt({ record, weights, tokenizer }) {
    await script("tokenizers.js", () => globalThis.fixlipTokenizers);
    const read = pieceReader(globalThis.fixlipTokenizers.Tokenizer, tokenizer, record);
    while (Object.hasOwn(facts.models, record.name)) record.name += " (opened)";
    facts.models[record.name] = { ...record, opened: { weights, read } };
    add(model, "option", "", { value: record.name }).textContent = record.name;
    model.value = draft.model = record.name;
    accuracy.value = draft.accuracy = "fast";
    more.open = true;
    await refit();
    const { vision, packed } = record;
    say(
      `${record.name} is ready: ${Math.sqrt(vision.patches)} × ${Math.sqrt(vision.patches)} patches, ` +
        `${Math.round(packed / 1e6)} MB of memory. Choose a photograph, type a caption, press Explain.`,
    );
    fields.forEach(({ hint }) => hint());
  }

  /** Make this the picture, or none (null): { seen, src, alt } and what it is: example, scene, or own with its id. */
  function show(picture) {
    reading++;
    if (!picture?.scene) closeBuilder();
    if (run && run.picture !== picture) abandon();
    draft.picture = picture && Object.freeze(picture);
    live = false;
    if (view.get()?.picture !== draft.picture) view.set(null, draft.picture);
    preview.hidden = !picture;
    root.toggleAttribute("data-own", Boolean(picture && !picture.example));
    if (picture) preview.src = bitmapOf(picture.seen, encoder().vision.size).toDataURL("image/png");
    exampleButtons.forEach((button, i) =>
      button.setAttribute("aria-pressed", String(shownExamples[i].name === picture?.example)),
    );
    if (!picture?.example) offerCaptions(null);
    note.textContent = "";
    say("");
    finished("idle", "");
  }

  /** Show the builder with a scene given as text; whether it is one. */
  async function openBuilder(text) {
    await script("scenes.js", () => globalThis.fixlipDrawings);
    const drawings = globalThis.fixlipDrawings;
    const scene = textToScene(text, drawings);
    if (!scene) return false;
    painter ??= await scenePainter(drawings);
    builder.hidden = false;
    build.setAttribute("aria-expanded", "true");
    buildScene(builder, drawings, painter, scene, (now, canvas) => {
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      const seen = new Uint8ClampedArray((data.length / 4) * 3).map(
        (_, i) => data[4 * Math.floor(i / 3) + (i % 3)],
      );
      const things = now.objects.map(({ noun, colour }) => `${colour} ${noun}`.trim()).join(", ");
      const alt = `A scene: ${things} on ${now.background}`;
      const src = canvas.toDataURL("image/png");
      show({ seen, src, alt, scene: sceneToText(now), blob: blobOf(src), vision: { size: canvas.width } });
      refit();
      note.textContent = "Drag the drawings; choose colours and things. Press Explain when it is done.";
      remember();
    });
    return true;
  }

  function closeBuilder() {
    builder.hidden = true;
    build.setAttribute("aria-expanded", "false");
  }

  // --- Explanations of files ------------------------------------------------------------------------------------

  async function open(blob, pictureFile) {
    const record = readExplanation(await blob.text());
    const { picture, ...meta } = record.meta;
    if (!picture && !pictureFile) {
      throw new Error(`“${blob.name}” holds no picture: choose the explanation and its picture together.`);
    }
    const box = picture?.box?.join() === "0,0,1,1" ? undefined : picture?.box;
    const read = await ownPicture(pictureFile ?? blobOf(picture.src), picture?.alt ?? "The picture of the file", box);
    if (!read) return;
    if (picture && !pictureFile) read.src = picture.src;
    show(read);
    setCompare(false);
    fields[0].input.value = meta.caption ?? "";
    fields[0].hint();
    view.set(
      Object.freeze({
        origin: "opened",
        picture: draft.picture,
        model: meta.model ?? "an encoder that the file does not name",
        p: record.p,
        explanations: [{ ...record, meta }],
        final: true,
      }),
    );
    finished("done", `“${blob.name}” is shown. Explain asks ${draft.model}, in this page, about its picture.`);
  }

  function blobOf(uri) {
    const [, type, data] = uri.match(/^data:([^;]+);base64,(.*)$/);
    return new Blob([bytesOf(data)], { type });
  }

  // --- Captions -------------------------------------------------------------------------------------------------

  function setCompare(on) {
    draft.compare = on;
    compare.setAttribute("aria-pressed", String(on));
    fields[1].line.hidden = !on;
    if (on && !fields[1].input.value) fields[1].input.value = fields[0].input.value;
    fields[1].hint();
  }

  /** The captions as they stand. */
  function texts() {
    return fields.slice(0, draft.compare ? 2 : 1).map(({ input }) => input.value);
  }

  /** @returns {any} the captions as the encoder reads them, or { fault } with a sentence */
  function readCaptions() {
    const captions = texts().map((text) => readCaption(text, encoder()));
    return captions.find(({ fault }) => fault) ?? captions;
  }

  const recaption = debounced(20, () => {
    const captions = readCaptions();
    if (captions.fault || !matches()) return;
    progressOf.began = performance.now();
    engine.recaption(captions);
  });
  const begin = debounced(TYPING, () => {
    if (live && draft.picture && !matches() && !readCaptions().fault && !isShown()) explain();
  });

  /** The captions have changed: what is shown of them is stored, or a text pass away, or a run of the picture. */
  function typed() {
    if (readCaptions().fault || !draft.picture) return;
    if (status.classList.contains("ti-wrong")) say("");
    remember();
    for (const button of /** @type {NodeListOf<HTMLElement>} */ (given.querySelectorAll("button")))
      button.setAttribute("aria-pressed", String(button.dataset.caption === fields[0].input.value));
    const known = stored();
    if (matches()) recaption();
    else if (known) {
      abandon();
      view.set(known);
      live = true;
      finished("stored", "Change the caption: it is explained as you type.");
    } else begin();
  }

  /** Whether the result that is shown is of the captions and settings of the form. */
  function isShown() {
    const result = view.get();
    const same = ["model", "p", "accuracy"].every((key) => result?.[key] === draft[key]);
    return same && result.final && texts().join("\n") === result.explanations.map(({ meta }) => meta.caption).join("\n");
  }

  /** The stored result of the form, or null. */
  function stored() {
    const { model, p, accuracy, records } = facts.stored;
    const known = texts().map((text) => records[draft.picture.example]?.find(({ meta }) => meta.caption === text));
    const settings = draft.model === model && draft.p === p && (compact || draft.accuracy === accuracy);
    if (!settings || !known.every(Boolean)) return null;
    return Object.freeze({ origin: "stored", picture: draft.picture, model, p, accuracy, explanations: known, final: true });
  }

  // --- Runs -----------------------------------------------------------------------------------------------------

  /** Whether the run, under way or done, is of the form's picture and settings. */
  function matches() {
    return Boolean(run && ["picture", "model", "p", "accuracy"].every((key) => run[key] === draft[key]));
  }

  /** Explain the published photograph, tokens as players, and compare. */
  async function verify(published, caption) {
    await load(blobOf(published.picture), "The published photograph");
    setCompare(false);
    fields[0].input.value = published.caption;
    p.value = String((draft.p = published.p));
    accuracy.value = draft.accuracy = "fast";
    explain([caption], published);
  }

  function explain(captions = readCaptions(), published = null) {
    if (!draft.picture) return say("Choose a picture first.", true);
    if (captions.fault) return say(captions.fault, true);
    if (running && matches()) {
      return say("This is being explained already: wait for it, or cancel it first.");
    }
    const { patches } = encoder().vision;
    if (draft.accuracy !== "fast" && patches > MOST_PAIRED) {
      return say(`${draft.model} has ${patches} patches, too many for pairs of them here: take the accuracy “fast”.`, true);
    }
    if (draft.picture.box !== draft.picture.cut) show({ ...draft.picture, box: draft.picture.cut }); // a file's own
    const { picture, model, p, accuracy } = draft;
    run = Object.freeze({ id: ++runs, picture, model, p, accuracy, published });
    progressOf = { began: performance.now(), threads: null, score: "", first: null, expected: null, times: {} };
    running = live = true;
    root.dataset.state = "running";
    stop.hidden = progress.hidden = count.hidden = false;
    count.textContent = "";
    progress.removeAttribute("value");
    say(`Starting ${model}.`);
    remember();
    engine.explain(run, captions);
  }

  /** Give the run up, and one that typing has asked for. */
  function abandon() {
    run = null;
    begin.forget();
    engine.cancel();
  }

  /** A message of the run's. */
  function heard(message) {
    const { began, times } = progressOf;
    const seconds = (performance.now() - began) / 1000;
    if (message.type === "score") {
      times.score ??= seconds;
      const values = message.values.map((value) => signed(value, 2));
      progressOf.score = `${run.model} scores ${values.join(" and ")} logits. `;
      if (running) say(`${progressOf.score}Which parts made it?`);
    } else if (message.type === "progress") {
      root.dataset.engine = message.engine;
      progressOf.threads = message.threads;
      if (progressOf.expected === null) {
        progressOf.expected = expectation(message, seconds);
        if (progressOf.expected) say(progressOf.score + progressOf.expected);
      }
      progress.value = message.done / message.total;
      const rate = (message.done - message.kept) / seconds;
      const left = (message.total - message.done) / rate;
      count.textContent = `${message.done} of ${message.total} passes ${on(message.threads)}, about ${duration(left)} to go`;
    } else if (message.type === "partial" || message.type === "done") {
      const final = message.type === "done";
      times[final ? "done" : "heat"] ??= seconds;
      view.set(Object.freeze({ ...run, origin: "run", explanations: message.explanations, final }));
      if (final && running) finished("done", sentenceOf(progressOf));
      if (final) root.dataset.state = "done";
    } else if (message.type === "compared") {
      showVerdict(message.found);
    } else if (message.type === "failed") {
      run = null;
      finished("failed", message.message);
    }
  }

  /** How long a run will take, by its first passes; null while they are too few, nothing to say where it is short. */
  function expectation({ done, first, total }, seconds) {
    const begun = (progressOf.first ??= { done, seconds });
    if (done < begun.done + TIMED) return null;
    const pace = (seconds - begun.seconds) / (done - begun.done);
    const [map, all] = [(first - done) * pace, (total - done) * pace];
    if (all < LONG) return "";
    return `About ${map > 0 ? `${duration(map)} to the first map, ` : ""}${duration(all)} to the whole of “${run.accuracy}”.`;
  }

  function on(threads) {
    return THREADS[threads] ?? `on ${threads} CPU threads`;
  }

  function sentenceOf({ threads, times }) {
    const at = (name) => `${times[name].toFixed(1)} s`;
    return (
      `Done ${on(threads)}: ${times.heat ? `first heat after ${at("heat")}, ` : ""}` +
      `all after ${at("done")}. Change the caption: it is explained as you type.`
    );
  }

  function finished(how, sentence) {
    running = false;
    stop.hidden = progress.hidden = count.hidden = true;
    loading.textContent = "";
    root.dataset.state = how;
    if (progressOf) root.dataset.times = JSON.stringify(progressOf.times);
    say(sentence, how === "failed");
  }

  function say(sentence, wrong = false) {
    status.textContent = sentence;
    status.classList.toggle("ti-wrong", wrong);
  }

  // --- Addresses ------------------------------------------------------------------------------------------------

  /** The address holds what the form says. */
  function remember() {
    if (compact || !draft.picture || encoder().opened) return; // an address holds no model
    const fragment = toFragment({ ...draft, captions: texts() });
    try {
      if (fragment !== location.hash.slice(1)) history.replaceState(history.state, "", `#${fragment}`);
    } catch {
      // browsers allow so many changes of the address in a while: the next one holds this one too
    }
  }

  /** A link to a result, its own picture in it. */
  function linkOf(result) {
    const { picture } = result;
    const size = Math.sqrt(picture.seen.length / 3);
    const packed = picture.own ? lossy(bitmapOf(picture.seen, size), LINK_QUALITY).split(",")[1] : undefined;
    const captions = result.explanations.map(({ meta }) => meta.caption);
    return `${location.href.split("#")[0]}#${toFragment({ ...result, captions }, packed)}`;
  }

  /** Do what the address asks for, or say why not. An address that asks for nothing is none of ours. */
  async function recall() {
    const asked = compact ? null : fromFragment(location.hash.slice(1), facts);
    if (!asked) return;
    const mine = ++recalls;
    if (asked.model) model.value = draft.model = asked.model;
    if (asked.p) draft.p = Number((p.value = asked.p));
    if (asked.accuracy) accuracy.value = draft.accuracy = asked.accuracy;
    more.open = [draft.model, draft.p, draft.accuracy].join() !== [facts.stored.model, facts.stored.p, facts.stored.accuracy].join();
    let fault = asked.fault;
    let example = null;
    if (!fault) {
      try {
        example = facts.examples.find(({ name }) => name === asked.picture.example);
        fault = await recallPicture(asked.picture, example);
      } catch (error) {
        fault = `The picture of this address cannot be shown. ${error.message}`;
      }
    }
    if (mine !== recalls) return;
    if (fault) show(null);
    else if (example) offerCaptions(example);
    fields.forEach(({ input }, i) => (input.value = asked.captions[i] ?? (i ? "" : (example?.caption ?? ""))));
    setCompare(asked.captions.length > 1);
    fields[0].hint();
    if (fault) return finished("failed", fault);
    if (example) note.textContent = example.note;
    const known = readCaptions().fault ? null : stored();
    if (known) typed();
    else if (asked.captions.length) explain();
  }

  /** Show the picture that an address asks for; a sentence where that cannot be. */
  async function recallPicture({ example: name, scene, packed, own: id }, example) {
    if (name) {
      if (draft.picture?.example !== name) show(await drawnExample(example));
    } else if (scene) {
      if (draft.picture?.scene !== scene && !(await openBuilder(scene))) {
        return "This address is cut short or mistyped: its scene is none. Choose a picture.";
      }
    } else if (packed) {
      await load(new Blob([bytesOf(packed)]), "The picture of the link");
    } else if (draft.picture?.id !== id) {
      const found = kept(id);
      if (!found) {
        return (
          "The picture of this address was one of somebody's own and is not in it: it was kept in their tab only. " +
          "Choose the picture again, or ask for a copied link or the file."
        );
      }
      const { vision } = encoder();
      const blob = blobOf(found.seen);
      const { seen } = await readPicture(blob, vision);
      show({ seen, blob, vision, src: found.src, alt: found.alt, own: true, id });
    }
    return null;
  }

  // --- Beginning ------------------------------------------------------------------------------------------------

  fields[1].line.hidden = true;
  accuracy.value = draft.accuracy;
  p.value = String(draft.p);
  show(null);
  const arrived = fromFragment(compact ? "" : location.hash.slice(1), facts) ? recall() : choose(shownExamples[0]);
  arrived.then(() => {
    root.dataset.ready = "";
    // The encoder comes while the reader looks at what is there; a reader who saves data waits for it when it is wanted.
    if (compact || /** @type {any} */ (navigator).connection?.saveData) return;
    const idle = globalThis.requestIdleCallback ?? ((task) => setTimeout(task, 1500));
    idle(() => engine.ready(draft.model).then(() => running || (loading.textContent = ""), () => {}));
  });
  addEventListener("hashchange", recall);
}

/** A time in words, no more exact than it is known. */
function duration(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.ceil(seconds))} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

/** The task, put off until nobody has asked for it for so long; `forget` takes back what was asked. */
function debounced(milliseconds, task) {
  let timer;
  const ask = () => {
    clearTimeout(timer);
    timer = setTimeout(task, milliseconds);
  };
  return Object.assign(ask, { forget: () => clearTimeout(timer) });
}

tryIt(document.getElementById("explain-here"), globalThis.fixlipFacts);
