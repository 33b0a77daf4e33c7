// The worker: encodes, fits and combines, so that the page never freezes.
//
// Pictures are encoded on the GPU where there is one that works (gpu.js), else by the kernels, here and in as many workers
// as help: the same coalitions in the same order, and the same numbers, for no picture's depends on those beside it. GPU
// and helpers come in when they are ready, in the middle of an explanation perhaps, and where one fails the kernels here
// go on with the coalitions that it was at.
//
// An opened model, whose passes take long, is asked about a few blocks of patches first, then about the patches. What a
// run has encoded before it is cancelled is kept until another question comes: asked again, it goes on from there.
//
// Messages in: load { record, weights or checkpoint, kernels, engine, port (of a helper) }, explain { id, pixels, captions,
// p, accuracy, published }, captions { id, captions } (on the picture explained last), cancel, helper { number, port }, lost
// { number }. Messages out: loading { share }, loaded { model }, alone (without a GPU: helpers are welcome); each with the
// id: score { values }, progress { done, kept (of those done, before a cancelled run was asked again), first, total, engine,
// threads }, partial and done { explanations }, compared { found } (with what was published), cancelled, failed { message }.

import {
  STREAMS,
  draw,
  enumeration,
  heldOut,
  independent,
  orthogonalArray,
  stratified,
  uniform,
} from "./coalitions.js";
import { Regression, combine, rSquared, termsUpTo } from "./sides.js";
import { agreement } from "./agreement.js";
import { Checkpoint } from "./checkpoint.js";
import { Embedded, Encoder } from "./encoder.js";
import { fromHalf, loadKernels } from "./numerics.js";
import { gpuEncoder } from "./gpu.js";

const SEED = 0;
const CHUNK = 32; // passes of one thread between two looks at the mailbox, without a GPU, at most
const PATIENCE = 200; // milliseconds between two such looks, as far as a pass allows
const KEPT = 32; // captions whose sides are kept
const BLOCKS = 4; // rows and columns of blocks of patches, of an opened model's first look
const ON_BLOCKS = { passes: 64, judged: 30 }; // with none and all of the picture: 96 passes
const FIRST_LOOKS = [96, 192, 512, 1024, 2048, 4096, 8192]; // passes after which a first-order fit is shown
const ACCURACIES = {
  fast: { passes: 1024, order: 1, judged: 256 }, // judged: draws that the fit has not seen
  good: { passes: 4096, order: 2, judged: 256 },
  best: { passes: 16384, order: 2, judged: 256 },
};

/**
 * A square grid of patches cut into blocks, as even as can be, as fixlip_helpers/encoders/players.py cuts it.
 * @param {number} across patches in a row @param {number} blocks in a row
 * @returns {{ owner: number[], names: string[], facts: any }} the block of each patch, their names, what meta says
 */
export function blocksOf(across, blocks) {
  const at = (i) => Math.floor((i * blocks) / across);
  const owner = Array.from({ length: across ** 2 }, (_, i) => at(Math.floor(i / across)) * blocks + at(i % across));
  const facts = { image_groups: { grid: [across, across], owner, blocks: [blocks, blocks] } };
  if (across % blocks === 0) Object.assign(facts, { grid: [blocks, blocks] });
  return { owner, names: namesOf("region", blocks), facts };
}

function namesOf(kind, across) {
  return Array.from({ length: across ** 2 }, (_, i) => `${kind} ${Math.floor(i / across)},${i % across}`);
}

/** The coalitions of a picture's patches, for an accuracy. */
export function imageDesign(n, p, accuracy) {
  const { passes, order } = ACCURACIES[accuracy];
  if (order === 1) return independent(n, p, passes, SEED, STREAMS.image);
  if (p === 0.5) return orthogonalArray(n, passes, SEED, STREAMS.image);
  return stratified(n, p, passes, SEED, STREAMS.image);
}

/** Encode pictures for another worker's Explainer, which has the other end of the port. */
export function lend(encoder, port) {
  port.onmessage = ({ data: { pixels, coalitions } }) => {
    try {
      if (pixels) return encoder.setPicture(pixels);
      port.postMessage({ embeddings: encoder.encodeImages(coalitions) });
    } catch (error) {
      port.postMessage({ fault: error.message });
    }
  };
}

/** A worker that encodes pictures for this one. */
class Helper {
  constructor(number, port) {
    this.number = number;
    this.port = port;
    this.shown = 0; // number of the picture that it has
    this.fault = null; // why it helps no more
    this.answer = (_) => {};
    port.onmessage = ({ data }) => this.hear(data);
  }

  hear({ embeddings, fault }) {
    this.fault ??= fault ?? null;
    this.answer(embeddings);
  }

  /** @param {Uint8Array} coalitions @returns {Promise<Float32Array | undefined>} embeddings; none where it has failed */
  async encode(coalitions) {
    if (this.fault) return undefined;
    this.port.postMessage({ coalitions });
    return new Promise((resolve) => (this.answer = resolve));
  }
}

class Explainer {
  /** @param {any} encoder @param {(message: any) => void} post */
  constructor(encoder, post) {
    this.encoder = encoder;
    this.record = encoder.record;
    this.post = post;
    this.current = 0; // id of the run that may go on
    this.side = null; // the picture's side, fitted last
    this.texts = []; // the captions' sides
    this.known = new Map(); // sides of the captions read last, by p and token ids
    this.asked = null; // the captions asked for last, since the picture
    this.heard = null; // those read last
    this.last = Promise.resolve(); // the run before: two never share the encoder's memory
    /** @type {any} a GpuEncoder, while there is one that works */
    this.gpu = null;
    /** @type {Helper[]} */
    this.helpers = [];
    this.pixels = null; // of the picture shown last
    /** @type {any} what was encoded for the last question, while it has no answer */
    this.begun = null;
    this.blocks = 0; // in a row, of the first look; 0: it is at patches
  }

  /** Let the GPU encode pictures from now on, where there is one; `wanted` as gpuEncoder has it. */
  async useGpu(wanted) {
    try {
      this.gpu = await gpuEncoder(this.encoder, wanted);
    } catch {
      // no device, or shaders that it does not take: the kernels go on
    }
  }

  /** Embeddings of the picture, partly removed. */
  async encodeImages(coalitions) {
    if (this.gpu) {
      try {
        return await this.gpu.encodeImages(coalitions);
      } catch {
        this.gpu.device.destroy();
        this.gpu = null;
        this.post({ type: "alone" });
      }
    }
    const { encoder } = this;
    const { patches } = this.record.vision;
    const share = Math.ceil(coalitions.length / patches / (1 + this.helpers.length)) * patches;
    const helpers = this.helpers.slice(0, Math.ceil(coalitions.length / share) - 1); // of few coalitions some get none
    const parts = helpers.map((_, i) => coalitions.subarray((1 + i) * share, (2 + i) * share));
    const coming = helpers.map((helper, i) => this.helped(helper, parts[i]));
    const found = [encoder.encodeImages(coalitions.subarray(0, share))];
    for (const [i, embeddings] of (await Promise.all(coming)).entries()) {
      found.push(embeddings ?? encoder.encodeImages(parts[i]));
    }
    const all = new Float32Array((coalitions.length / patches) * encoder.dimension);
    found.forEach((embeddings, i) => all.set(embeddings, i * (share / patches) * encoder.dimension));
    return all;
  }

  /** What a helper makes of some coalitions; nothing where it fails, and helps no more. */
  async helped(helper, coalitions) {
    if (helper.shown !== this.encoder.shown) helper.port.postMessage({ pixels: this.pixels });
    helper.shown = this.encoder.shown;
    const embeddings = await helper.encode(coalitions);
    if (!embeddings) this.helpers = this.helpers.filter((other) => other !== helper);
    return embeddings;
  }

  /** Explain a picture by captions; resolves when done, cancelled or replaced by a later call. */
  explain(request) {
    this.current = request.id;
    this.asked = null;
    this.side = this.started = null;
    this.last = this.last.catch(() => {}).then(() => this.run(request));
    return this.last;
  }

  async run({ id, pixels, captions, p, accuracy, published }) {
    if (this.current !== id) return this.cancelled(id);
    const { encoder } = this;
    const { dimension } = encoder;
    const n = this.record.vision.patches;
    const arrived = performance.now();
    this.pixels = pixels;
    encoder.setPicture(pixels);
    const ends = encoder.encodeImages(new Uint8Array(2 * n).fill(1, n));
    this.pace = Math.max(1, (performance.now() - arrived) / 2); // milliseconds a pass, about
    const across = Math.sqrt(n);
    const patches = { names: namesOf("patch", across), facts: { grid: [across, across] } };
    const side = { n, p, order: 1, ends, passes: 2, ridge: 0, players: patches };
    this.started = side;
    const blocks = this.blocks && across > this.blocks ? blocksOf(across, this.blocks) : null;
    await this.hear(this.asked ?? { id, captions }, p, ends, (asked) => this.current === id && this.asked === asked);
    if (this.current !== id) return this.cancelled(id);

    const design = imageDesign(n, p, accuracy);
    const { order, judged: most } = ACCURACIES[accuracy];
    const judged = heldOut(design, most, SEED, STREAMS.image + STREAMS.held_out);
    const ridgeRows = order === 2 ? draw(n, p, 128, SEED, STREAMS.image + STREAMS.ridge) : new Uint8Array(0);
    let [done, total] = [0, design.count + judged.count + ridgeRows.length / n];
    const first = blocks ? ON_BLOCKS.passes + ON_BLOCKS.judged : Math.min(FIRST_LOOKS[0], design.count);
    if (blocks) total += first;
    const begun = this.begunOf({ pixels, p, accuracy }, total);
    const kept = begun.passes;
    const started = arrived - 1000 * begun.seconds;
    const top = encoder.top;
    const orthonormal = design.name === "orthogonal_array";
    const quick = new Regression(encoder, { n, p, order: 1, dimension, orthonormal: false });
    const full = order === 2 ? new Regression(encoder, { n, p, order, dimension, orthonormal }) : null;
    Object.assign(side, { design: factsOf(design), heldOut: judged });
    const step = async (rows, of = side) => {
      const count = rows.length / n;
      const embeddings = begun.embeddings.subarray(done * dimension, (done + count) * dimension);
      const known = Math.max(0, Math.min(count, kept - done));
      Object.assign(of, { passes: of.passes + known, seconds: begun.seconds });
      done += known;
      for (let from = known, size; from < count; from += size) {
        await breathe();
        if (this.current !== id) return null;
        const threads = 1 + this.helpers.length;
        size = this.gpu?.most ?? threads * Math.min(CHUNK, Math.ceil(PATIENCE / threads / this.pace));
        const chunk = rows.subarray(from * n, (from + size) * n);
        const began = performance.now();
        embeddings.set(await this.encodeImages(chunk), from * dimension);
        this.pace = Math.max(0.01, (performance.now() - began) / (chunk.length / n));
        of.passes += chunk.length / n;
        done += chunk.length / n;
        of.seconds = (performance.now() - started) / 1000;
        Object.assign(begun, { passes: done, seconds: of.seconds });
        const engine = this.gpu ? "webgpu" : "wasm";
        this.post({ type: "progress", id, done, kept, first, total, engine, threads: this.gpu ? 0 : threads });
      }
      return embeddings;
    };
    try {
      if (blocks) {
        const coarse = await this.fitBlocks(blocks, side, step);
        if (!coarse) return this.cancelled(id);
        this.show("partial", id, coarse);
      }
      let fitted = 0;
      const sequence = shuffled(design);
      const looks = FIRST_LOOKS.filter((passes) => passes < design.count && (!blocks || passes > 3 * n));
      for (const look of [...looks, design.count]) {
        const rows = sequence.coalitions.subarray(fitted * n, look * n);
        const embeddings = await step(rows);
        if (!embeddings) return this.cancelled(id);
        const weights = sequence.weights.subarray(fitted, look);
        quick.add(rows, weights, embeddings);
        full?.add(rows, weights, embeddings);
        fitted = look;
        if (look === design.count) break;
        side.coefficients = quick.solve(30 / look, 1); // first order, shrunken while passes are few
        this.show("partial", id, side);
        if (side.heldOutEmbeddings) continue;
        if (look < FIRST_LOOKS[1] && design.count > FIRST_LOOKS[1]) continue;
        side.heldOutEmbeddings = await step(judged.coalitions);
        if (!side.heldOutEmbeddings) return this.cancelled(id);
      }
      side.heldOutEmbeddings ??= await step(judged.coalitions);
      if (!side.heldOutEmbeddings) return this.cancelled(id);
      side.order = order;
      if (full) {
        const ridgeEmbeddings = await step(ridgeRows);
        if (!ridgeEmbeddings) return this.cancelled(id);
        Object.assign(side, full.chooseRidge(ridgeRows, ridgeEmbeddings));
      } else {
        side.coefficients = quick.solve(0);
      }
    } finally {
      encoder.top = top;
    }
    side.seconds = (performance.now() - started) / 1000;
    side.repeat = `--design ${design.name}:${ACCURACIES[accuracy].passes} --order ${order}`;
    this.side = side;
    this.begun = null;
    this.current = 0;
    this.show("done", id, side);
    if (published && this.texts.length && !this.asked) {
      const game = { scale: this.record.scale, dimension };
      this.post({ type: "compared", id, found: agreement(side, this.texts[0], game, published) });
    }
  }

  /**
   * What has been encoded for a question, which asks for its coalitions always in the same order: the rows that came
   * before it was cancelled, or none yet.
   * @param {{ pixels: Float32Array, p: number, accuracy: string }} question
   * @param {number} total passes that it takes
   * @returns {{ embeddings: Float32Array, passes: number, seconds: number }} of which the first `passes` rows are there
   */
  begunOf({ pixels, p, accuracy }, total) {
    const last = this.begun;
    if (last?.p !== p || last.accuracy !== accuracy || last.pixels.some((x, i) => x !== pixels[i])) {
      const embeddings = new Float32Array(total * this.encoder.dimension);
      this.begun = { pixels, p, accuracy, embeddings, passes: 0, seconds: 0 };
    }
    return this.begun;
  }

  /**
   * The picture's side with blocks of patches as its players, fitted to first order; null where the run was cancelled.
   * @param {ReturnType<typeof blocksOf>} blocks
   * @param {any} side of the patches
   * @param {(rows: Uint8Array, of: any) => Promise<Float32Array | null>} encode coalitions of patches
   */
  async fitBlocks(blocks, { p, ends }, encode) {
    const n = blocks.names.length;
    const design = independent(n, p, ON_BLOCKS.passes, SEED, STREAMS.image);
    const judged = heldOut(design, ON_BLOCKS.judged, SEED, STREAMS.image + STREAMS.held_out);
    const coarse = { n, p, order: 1, ends, passes: 2, ridge: 0, players: blocks };
    const patches = ({ coalitions, count }) =>
      Uint8Array.from({ length: count * blocks.owner.length }, (_, i) => {
        const row = Math.floor(i / blocks.owner.length);
        return coalitions[row * n + blocks.owner[i % blocks.owner.length]];
      });
    const embeddings = await encode(patches(design), coarse);
    const heldOutEmbeddings = embeddings && (await encode(patches(judged), coarse));
    if (!heldOutEmbeddings) return null;
    const { encoder } = this;
    const regression = new Regression(encoder, { n, p, order: 1, dimension: encoder.dimension, orthonormal: false });
    regression.add(design.coalitions, design.weights, embeddings);
    const coefficients = regression.solve(0);
    regression.release();
    const repeat = `--patches ${BLOCKS}x${BLOCKS} --design ${design.name}:${ON_BLOCKS.passes} --order 1`;
    return Object.assign(coarse, { design: factsOf(design), heldOut: judged, heldOutEmbeddings, coefficients, repeat });
  }

  /** Explain the same picture by other captions: text passes only. While it is being encoded, from the next look on. */
  async recaption(request) {
    this.asked = request;
    await breathe();
    if (this.asked !== request || this.heard === request) return; // typed over meanwhile, or read by run
    const side = this.side ?? (this.current ? this.started : null);
    if (!side) return; // before a picture's first passes: run hears what was asked last
    if (!(await this.hear(request, side.p, side.ends, (asked) => this.asked === asked))) return;
    if (side === this.side) this.show("done", request.id, side);
  }

  /**
   * Read captions: say what they score as soon as that is known, then fit their sides, a few passes at a time.
   * Until then, and where they are `wanted` no longer (false is returned), there is nothing to show.
   */
  async hear(request, p, ends, wanted) {
    const { asked } = this;
    this.heard = request;
    this.texts = [];
    const sides = [];
    for (const caption of request.captions) {
      await this.encoder.learn(caption.ids);
      sides.push(this.textSide(caption, p));
    }
    if (!wanted(asked)) return false;
    const values = sides.map((side) => this.score(ends, side, 1));
    if (!values.every(Number.isFinite)) {
      throw new Error("The encoder gives numbers that are not finite: its weights are damaged.");
    }
    this.post({ type: "score", id: request.id, values });
    for (const [i, side] of sides.entries()) {
      if (!side.coefficients && !(await this.fitText(side, request.captions[i], () => wanted(asked)))) return false;
    }
    this.texts = sides.map((side, i) => ({ ...side, caption: request.captions[i] }));
    return true;
  }

  show(type, id, side) {
    if (!this.texts.length) return;
    this.post({ type, id, explanations: this.texts.map((text) => this.explanation(side, text)) });
  }

  cancelled(id) {
    this.post({ type: "cancelled", id });
  }

  /** A caption's side, kept from before, or begun with the embeddings of none and of all of its words. */
  textSide(caption, p) {
    const key = `${p} ${caption.ids} ${caption.players.join(";")}`;
    const n = caption.players.length;
    const begun = () => ({ n, p, ends: this.encodeTexts(caption, new Uint8Array(2 * n).fill(1, n)) });
    const side = this.known.get(key) ?? begun();
    this.known.delete(key); // and last again
    this.known.set(key, side);
    if (this.known.size > KEPT) this.known.delete(this.known.keys().next().value);
    return side;
  }

  encodeTexts({ ids, players }, coalitions) {
    return this.encoder.encodeTexts(ids, players, coalitions);
  }

  /** Enumerated up to ten words, else from four draws a term; false where it is `wanted` no longer. */
  async fitText(side, caption, wanted) {
    const { encoder } = this;
    const { dimension } = encoder;
    const { n, p } = side;
    const design = n <= 10 ? enumeration(n, p) : independent(n, p, 4 * termsUpTo(2, n), SEED, STREAMS.text);
    const orthonormal = design.name === "enumeration";
    const judged = heldOut(design, 64, SEED, STREAMS.text + STREAMS.held_out);
    const ridgeRows = orthonormal ? new Uint8Array(0) : draw(n, p, 32, SEED, STREAMS.text + STREAMS.ridge);
    const encode = async (coalitions) => {
      const embeddings = new Float32Array((coalitions.length / n) * dimension);
      let size = 1; // at a time, doubled while that is quick
      for (let from = 0; from < coalitions.length / n; ) {
        const began = performance.now();
        const some = coalitions.subarray(from * n, (from + size) * n);
        embeddings.set(this.encodeTexts(caption, some), from * dimension);
        from += size;
        if (performance.now() - began < PATIENCE / 4) size *= 2;
        else await breathe();
        if (!wanted()) return null;
      }
      return embeddings;
    };
    const embeddings = await encode(design.coalitions);
    const judgedEmbeddings = orthonormal ? embeddings : embeddings && (await encode(judged.coalitions));
    const ridgeEmbeddings = judgedEmbeddings && (await encode(ridgeRows));
    if (!ridgeEmbeddings) return false;
    const top = encoder.top;
    const regression = new Regression(encoder, { n, p, order: 2, dimension, orthonormal });
    regression.add(design.coalitions, design.weights, embeddings);
    Object.assign(side, { order: 2, design: factsOf(design), passes: design.count + 2, ridge: 0 });
    Object.assign(side, { heldOut: judged, heldOutEmbeddings: judgedEmbeddings });
    if (orthonormal) {
      side.coefficients = regression.solve(0);
    } else {
      Object.assign(side, regression.chooseRidge(ridgeRows, ridgeEmbeddings));
      side.passes += ridgeRows.length / n + judged.count;
    }
    encoder.top = top;
    return true;
  }

  /** The game's value of the empty (0) or the full (1) coalition. */
  score(ends, text, which) {
    const { dimension } = this.encoder;
    let cosine = 0;
    for (let c = which * dimension; c < (which + 1) * dimension; c++) cosine += ends[c] * text.ends[c];
    return this.record.scale * cosine + this.record.bias;
  }

  /** The package's JSON (explanation.schema.json) of a picture's side and a caption's. */
  explanation(image, text) {
    const { record } = this;
    const game = { scale: record.scale, bias: record.bias, dimension: this.encoder.dimension };
    const { baseline, main, pairs } = combine(image, text, game);
    const n = image.n + text.n;
    const both = (value) => ({ image: value(image), text: value(text) });
    return {
      format: "fixlip-explanation",
      version: 1,
      index: "FWBII",
      p: image.p,
      n_image: image.n,
      n_text: text.n,
      players: [...image.players.names, ...text.caption.words],
      baseline,
      empty_value: this.score(image.ends, text, 0),
      main: [...main],
      pairs: pairs.flatMap((row, i) => [...row.subarray(i + 1, n)]),
      meta: {
        method: "FIxLIP",
        model: record.name,
        ...(record.revision ? { revision: record.revision } : {}), // of a model from the hub
        caption: text.caption.text,
        ...image.players.facts,
        removal: "mean",
        words: text.caption.words.map((word, i) => [word, [image.n + i]]),
        sampling: "cross",
        solver: "sides",
        order: both((side) => side.order),
        ridge: both((side) => side.ridge),
        design: both((side) => side.design),
        passes: both((side) => side.passes),
        seconds: { total: image.seconds },
        full_value: this.score(image.ends, text, 1),
        held_out_r2: image.heldOutEmbeddings
          ? rSquared({ baseline, main, pairs }, image, text, game, this.encoder)
          : null,
        seed: SEED,
        computed_by: "the page Try it, in a browser",
        ...(image.repeat ? { repeat: `--p ${image.p} --seed ${SEED}${text.caption.whole ? " --words" : ""} ${image.repeat}` } : {}),
      },
    };
  }
}

function factsOf(design) {
  return { name: design.name, coalitions: design.count, seed: design.name === "enumeration" ? null : SEED };
}

/** The same coalitions in a random order, so that the first few of them are a fair sample. */
function shuffled(design) {
  const { n, count } = design;
  const keys = uniform(count, SEED, 64);
  const order = Array.from(keys, (_, i) => i).sort((a, b) => keys[a] - keys[b]);
  const coalitions = new Uint8Array(count * n);
  order.forEach((from, to) => coalitions.set(design.coalitions.subarray(from * n, (from + 1) * n), to * n));
  return { coalitions, weights: Float64Array.from(order, (from) => design.weights[from]) };
}

/** Let waiting messages in. */
function breathe() {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(0);
  });
}

// --- The mailbox --------------------------------------------------------------------------------------------------

export function serve(scope) {
  let explainer = null;
  const failed = (id) => (error) => scope.postMessage({ type: "failed", id, message: error.message });
  const handlers = {
    async load({ record, weights, checkpoint, kernels, engine, port }) {
      explainer = null;
      const loaded = await loadKernels(kernels);
      const source = checkpoint
        ? new Checkpoint(checkpoint, record.tensors)
        : new Embedded(record.tensors, fromHalf(weights));
      const tell = (share) => scope.postMessage({ type: "loading", model: record.name, share });
      const encoder = await Encoder.make(loaded.kernels, loaded.memory, record, source, tell, !port);
      if (port) {
        lend(encoder, port);
        return scope.postMessage({ type: "loaded", model: record.name });
      }
      explainer = new Explainer(encoder, (message) => scope.postMessage(message));
      if (checkpoint) explainer.blocks = BLOCKS;
      scope.postMessage({ type: "loaded", model: record.name });
      await explainer.useGpu(engine);
      if (!explainer.gpu) scope.postMessage({ type: "alone" });
    },
    helper: ({ number, port }) => explainer.helpers.push(new Helper(number, port)),
    lost: ({ number }) => explainer.helpers.find((helper) => helper.number === number)?.hear({ fault: "It stopped." }),
    explain: (message) => explainer?.explain(message),
    captions: (message) => explainer?.recaption(message),
    cancel: () => explainer && (explainer.current = 0),
  };
  scope.onmessage = ({ data }) => {
    Promise.resolve()
      .then(() => handlers[data.type](data))
      .catch(failed(data.id));
  };
}
