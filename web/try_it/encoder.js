// CLIP and SigLIP in the browser: the two encoders of an embedded model, or of a checkpoint that the reader opened
// (checkpoint.js), on coalitions of patches and of words.
//
// What takes the time is in kernels.ts. Three things are computed once for all coalitions of a picture, since a removed
// patch is painted in the mean colour, which is 0 after normalisation: the token of each patch, visible and removed;
// its layer norm; and its query, key and value in the first layer. Where one position of the last layer is read
// (CLIP, and every text), nothing is computed there for the others.

import { ADD, ACTIVATIONS, PLAIN } from "./numerics.js";

const BATCH = 8; // pictures or captions at a time: what they need stays in the second-level cache

/** The tensors of an embedded model: `shape`, `read` and `rows`, as a Checkpoint has them. */
export class Embedded {
  /**
   * @param {[string, number[], number][]} tensors name, shape and first number of each
   * @param {Float32Array} weights all tensors, one after the other
   */
  constructor(tensors, weights) {
    this.tensors = new Map(tensors.map(([name, shape, start]) => [name, { shape, start }]));
    this.weights = weights;
  }

  shape(name) {
    return this.tensors.get(name).shape;
  }

  async read(name) {
    const { shape, start } = this.tensors.get(name);
    return this.weights.subarray(start, start + shape.reduce((product, length) => product * length, 1));
  }

  /** Rows `first` to `end` of a matrix. */
  async rows(name, first, end) {
    const { shape, start } = this.tensors.get(name);
    return this.weights.subarray(start + first * shape[1], start + end * shape[1]);
  }
}

export class Encoder {
  /**
   * An encoder whose weights lie packed in the kernels' memory; one tensor after the other is read, none is kept.
   * @param {any} kernels exports of kernels.wasm
   * @param {WebAssembly.Memory} memory
   * @param {any} record the model's facts, as fixlip_helpers.export writes them
   * @param {any} source its tensors, under the names of transformers: an Embedded or a Checkpoint
   * @param {(share: number) => void} [progress] told the share of the layers that have been read
   * @param {boolean} [texts] whether it reads captions too: without, it has half the weights
   * @returns {Promise<Encoder>}
   */
  static async make(kernels, memory, record, source, progress = () => {}, texts = true) {
    const encoder = new Encoder(kernels, memory, record, source);
    try {
      await encoder.readPictures(progress);
      if (texts) await encoder.readTexts(progress);
    } catch (error) {
      throw error instanceof RangeError ? encoder.outOfMemory() : error; // a tensor on its way found no room
    }
    return encoder;
  }

  constructor(kernels, memory, record, source) {
    /** @type {{ values: number, tokens: number, normed: number, qkv: number } | undefined} of the picture shown last */
    this.picture = undefined;
    this.shown = 0; // how many pictures there have been
    this.kernels = kernels;
    this.memory = memory;
    this.record = record;
    this.source = source;
    this.words = new Map(); // embeddings of the tokens met so far, by id
    this.top = 1024; // the first free byte
    this.clip = record.family === "clip";
    this.dimension = record.dimension;
  }

  async readPictures(progress) {
    const { vision, text } = this.record;
    const tick = (layer) => progress(layer / (vision.layers + text.layers));
    const positions = vision.patches + (this.clip ? 1 : 0);
    this.visionTower = await this.tower("vision_model", vision, positions, tick);
    this.output = this.allocate(BATCH * this.dimension);
    if (this.clip) {
      this.projectImage = await this.linear("visual_projection", { bias: false });
      this.preNorm = await this.norm("vision_model.pre_layrnorm", vision.epsilon);
      this.classToken = (await this.source.read("vision_model.embeddings.class_embedding")).slice();
    } else {
      await this.makePoolingHead();
    }
    const patches = "vision_model.embeddings.patch_embedding";
    this.patchProjection = await this.linear(patches, { bias: !this.clip });
    this.patchPositions = (await this.source.read("vision_model.embeddings.position_embedding.weight")).slice();
  }

  async readTexts(progress) {
    const { vision, text, context } = this.record;
    const tick = (layer) => progress((vision.layers + layer) / (vision.layers + text.layers));
    this.textTower = await this.tower("text_model", text, context, tick);
    this.projectText = await this.linear(this.clip ? "text_projection" : "text_model.head", { bias: !this.clip });
    this.wordPositions = (await this.source.read("text_model.embeddings.position_embedding.weight")).slice();
  }

  // --- Memory -----------------------------------------------------------------------------------------------

  /** Room for `count` float32 numbers: its byte address. */
  allocate(count) {
    const pointer = this.top;
    this.top += Math.ceil(count / 4) * 16;
    const missing = this.top - this.memory.buffer.byteLength;
    try {
      if (missing > 0) this.memory.grow(Math.ceil(missing / 65536));
    } catch {
      throw this.outOfMemory();
    }
    return pointer;
  }

  outOfMemory() {
    return new Error(
      `The browser gives no more than ${Math.round(this.memory.buffer.byteLength / 1e6)} MB of memory here, and the model needs more: close other tabs, or explain it in Python.`,
    );
  }

  /** The numbers at an address; read it anew after every allocation, which may move the memory. */
  view(pointer, count) {
    return new Float32Array(this.memory.buffer, pointer, count);
  }

  put(values) {
    const pointer = this.allocate(values.length);
    this.view(pointer, values.length).set(values);
    return pointer;
  }

  // --- Layers -----------------------------------------------------------------------------------------------

  /** One or several linear maps of the same input, side by side, in the panels that kernels.gemm reads. */
  packed(parts) {
    const k = parts[0].weight.length / parts[0].bias.length;
    const n = parts.reduce((width, { bias }) => width + bias.length, 0);
    const panels = new Float32Array(k * n);
    let column = 0;
    for (const { weight, factor = 1 } of parts) {
      for (let start = 0; start < weight.length; start += k, column++) {
        let to = (column >> 4) * 16 * k + (column & 15);
        for (let i = 0; i < k; i++, to += 16) panels[to] = factor * weight[start + i];
      }
    }
    const bias = parts.flatMap(({ bias, factor = 1 }) => Array.from(bias, (b) => factor * b));
    return { k, n, panels: this.put(panels), bias: this.put(bias) };
  }

  async linear(name, { bias = true } = {}) {
    const weight = await this.source.read(`${name}.weight`);
    const none = new Float32Array(this.source.shape(`${name}.weight`)[0]);
    return this.packed([{ weight, bias: bias ? await this.source.read(`${name}.bias`) : none }]);
  }

  async norm(name, epsilon) {
    const gamma = this.put(await this.source.read(`${name}.weight`));
    const beta = this.put(await this.source.read(`${name}.bias`));
    return { gamma, beta, epsilon };
  }

  async tower(name, { width, wide, head, layers, epsilon, activation }, length, tick) {
    const made = [];
    for (let i = 0; i < layers; i++, tick(i)) {
      const layer = `${name}.encoder.layers.${i}`;
      const part = async (which) => ({
        weight: await this.source.read(`${layer}.self_attn.${which}_proj.weight`),
        bias: await this.source.read(`${layer}.self_attn.${which}_proj.bias`),
        factor: which === "q" ? 1 / Math.sqrt(head) : 1, // of the scores, folded into the queries
      });
      made.push({
        norm1: await this.norm(`${layer}.layer_norm1`, epsilon),
        qkv: this.packed([await part("q"), await part("k"), await part("v")]),
        out: await this.linear(`${layer}.self_attn.out_proj`),
        norm2: await this.norm(`${layer}.layer_norm2`, epsilon),
        fc1: await this.linear(`${layer}.mlp.fc1`),
        fc2: await this.linear(`${layer}.mlp.fc2`),
      });
    }
    const last = name === "vision_model" ? "post_layernorm" : "final_layer_norm";
    const rows = BATCH * length;
    return {
      name,
      width,
      wideWidth: wide,
      head,
      activation: ACTIVATIONS[activation],
      length,
      layers: made,
      last: await this.norm(`${name}.${last}`, epsilon),
      hidden: this.allocate(rows * width),
      normed: this.allocate(rows * width),
      qkv: this.allocate(rows * 3 * width),
      attended: this.allocate(rows * width),
      wide: this.allocate(rows * wide),
      scores: this.allocate(length + 4),
    };
  }

  async makePoolingHead() {
    const { width, head } = this.visionTower;
    const name = "vision_model.head";
    const weight = await this.source.read(`${name}.attention.in_proj_weight`);
    const bias = await this.source.read(`${name}.attention.in_proj_bias`);
    const third = (i, factor = 1) => ({
      weight: weight.subarray(i * width * width, (i + 1) * width * width),
      bias: bias.subarray(i * width, (i + 1) * width),
      factor,
    });
    const query = this.packed([third(0, 1 / Math.sqrt(head))]);
    const probe = this.allocate(width);
    this.gemm(this.put(await this.source.read(`${name}.probe`)), width, query, probe, width, 1, PLAIN);
    this.pooling = {
      probe,
      keysAndValues: this.packed([third(1), third(2)]),
      out: await this.linear(`${name}.attention.out_proj`),
      norm: await this.norm(`${name}.layernorm`, this.record.vision.epsilon),
      fc1: await this.linear(`${name}.mlp.fc1`),
      fc2: await this.linear(`${name}.mlp.fc2`),
    };
  }

  gemm(input, step, layer, output, stepOut, rows, mode, from = 0, to = layer.n) {
    const panels = layer.panels + 4 * from * layer.k;
    this.kernels.gemm(
      input,
      step,
      panels,
      layer.bias + 4 * from,
      output,
      stepOut,
      rows,
      layer.k,
      to - from,
      mode,
    );
  }

  normalise(input, output, rows, width, { gamma, beta, epsilon }) {
    this.kernels.layerNorm(input, output, rows, width, gamma, beta, epsilon);
  }

  /**
   * All layers of a transformer on `tower.hidden` (batch * length, width), whose first queries, keys and values are
   * in `tower.qkv`. With readAt >= 0 only that position comes out of the last layer: (batch, width).
   */
  transform(tower, batch, { readAt = -1, causal = false }) {
    const { width, wideWidth, head, activation, length, hidden, normed, qkv, attended, wide } = tower;
    const { layerNorm, attention } = this.kernels;
    let rows = batch * length;
    tower.layers.forEach((layer, number) => {
      const single = readAt >= 0 && number === tower.layers.length - 1;
      if (number > 0) {
        layerNorm(hidden, normed, rows, width, layer.norm1.gamma, layer.norm1.beta, layer.norm1.epsilon);
        if (single) {
          const at = 4 * readAt * width;
          this.gemm(
            normed + at,
            length * width,
            layer.qkv,
            qkv + 3 * at,
            3 * length * width,
            batch,
            PLAIN,
            0,
            width,
          );
          this.gemm(normed, width, layer.qkv, qkv + 4 * width, 3 * width, rows, PLAIN, width);
        } else {
          this.gemm(normed, width, layer.qkv, qkv, 3 * width, rows, PLAIN);
        }
      }
      const [keys, values] = [qkv + 4 * width, qkv + 8 * width];
      const [first, queries] = single ? [readAt, 1] : [0, length];
      attention(
        qkv,
        3 * width,
        keys,
        values,
        3 * width,
        attended,
        batch,
        length,
        first,
        queries,
        width / head,
        head,
        causal ? 1 : 0,
        tower.scores,
      );
      if (single) {
        const states = this.view(hidden, rows * width);
        for (let b = 0; b < batch; b++) {
          const from = (b * length + readAt) * width;
          states.copyWithin(b * width, from, from + width);
        }
        rows = batch;
      }
      this.gemm(attended, width, layer.out, hidden, width, rows, ADD);
      layerNorm(hidden, normed, rows, width, layer.norm2.gamma, layer.norm2.beta, layer.norm2.epsilon);
      this.gemm(normed, width, layer.fc1, wide, wideWidth, rows, activation);
      this.gemm(wide, wideWidth, layer.fc2, hidden, width, rows, ADD);
    });
    this.normalise(hidden, normed, rows, width, tower.last);
  }

  // --- Pictures ---------------------------------------------------------------------------------------------

  /** Prepare a picture: (3, size, size) normalised pixels. */
  setPicture(pixels) {
    const { patches, width, patchSize, size } = this.record.vision;
    const { visionTower: tower, patchProjection } = this;
    this.shown++;
    const across = size / patchSize;
    const values = new Float32Array(patches * patchProjection.k); // a patch as the convolution reads it
    let to = 0;
    for (let patch = 0; patch < patches; patch++) {
      const [top, left] = [Math.floor(patch / across) * patchSize, (patch % across) * patchSize];
      for (let channel = 0; channel < 3; channel++) {
        for (let y = 0; y < patchSize; y++, to += patchSize) {
          const from = (channel * size + top + y) * size + left;
          values.set(pixels.subarray(from, from + patchSize), to);
        }
      }
    }
    // Rows: each patch visible, each patch removed, and CLIP's class token.
    const rows = 2 * patches + (this.clip ? 1 : 0);
    this.picture ??= {
      values: this.allocate(values.length),
      tokens: this.allocate(rows * width),
      normed: this.allocate(rows * width),
      qkv: this.allocate(rows * 3 * width),
    };
    this.view(this.picture.values, values.length).set(values);
    const { tokens, normed, qkv } = this.picture;
    this.gemm(this.picture.values, patchProjection.k, patchProjection, tokens, width, patches, PLAIN);
    const states = this.view(tokens, rows * width);
    const positions = this.patchPositions;
    const shift = this.clip ? width : 0; // CLIP's first position is the class token's
    const bias = this.view(patchProjection.bias, width); // all that a patch of zeros gives
    for (let i = 0; i < patches * width; i++) {
      states[i] += positions[shift + i];
      states[patches * width + i] = bias[i % width] + positions[shift + i];
    }
    if (this.clip) {
      for (let i = 0; i < width; i++) states[2 * patches * width + i] = this.classToken[i] + positions[i];
      this.normalise(tokens, tokens, rows, width, this.preNorm);
    }
    this.normalise(tokens, normed, rows, width, tower.layers[0].norm1);
    this.gemm(normed, width, tower.layers[0].qkv, qkv, 3 * width, rows, PLAIN);
  }

  /** The rows of the picture's tokens that some coalitions consist of: for each position a patch, visible or removed. */
  sources(coalitions) {
    const { patches } = this.record.vision;
    const { length } = this.visionTower;
    const before = length - patches; // CLIP's class token, whose row is the last
    return Uint32Array.from({ length: (coalitions.length / patches) * length }, (_, row) => {
      const patch = (row % length) - before;
      if (patch < 0) return 2 * patches;
      return coalitions[Math.floor(row / length) * patches + patch] ? patch : patches + patch;
    });
  }

  /**
   * Embeddings of unit norm of partly removed pictures.
   * @param {Uint8Array} coalitions (m, patches), 1 where a patch is visible
   * @returns {Float32Array} (m, dimension)
   */
  encodeImages(coalitions) {
    const { patches, width } = this.record.vision;
    const { visionTower: tower, dimension } = this;
    const count = coalitions.length / patches;
    const embeddings = new Float32Array(count * dimension);
    const rows = 2 * patches + 1;
    for (let start = 0; start < count; start += BATCH) {
      const batch = Math.min(BATCH, count - start);
      const from = [
        this.view(this.picture.tokens, rows * width),
        this.view(this.picture.qkv, rows * 3 * width),
      ];
      const to = [
        this.view(tower.hidden, batch * tower.length * width),
        this.view(tower.qkv, batch * tower.length * 3 * width),
      ];
      const chosen = this.sources(coalitions.subarray(start * patches, (start + batch) * patches));
      chosen.forEach((source, row) => {
        to[0].set(from[0].subarray(source * width, (source + 1) * width), row * width);
        to[1].set(from[1].subarray(3 * source * width, 3 * (source + 1) * width), 3 * row * width);
      });
      this.transform(tower, batch, { readAt: this.clip ? 0 : -1 });
      if (this.clip) this.gemm(tower.normed, width, this.projectImage, this.output, dimension, batch, PLAIN);
      else this.pool(batch);
      embeddings.set(unitRows(this.view(this.output, batch * dimension), dimension), start * dimension);
    }
    return embeddings;
  }

  /** SigLIP's attention pooling of `normed` (batch * patches, width) into the output. */
  pool(batch) {
    const { width, wideWidth, head, activation, length, normed, qkv, attended, wide, scores } =
      this.visionTower;
    const { probe, keysAndValues, out, norm, fc1, fc2 } = this.pooling;
    this.gemm(normed, width, keysAndValues, qkv, 2 * width, batch * length, PLAIN);
    this.kernels.attention(
      probe,
      0,
      qkv,
      qkv + 4 * width,
      2 * width,
      attended,
      batch,
      length,
      0,
      1,
      width / head,
      head,
      0,
      scores,
    );
    this.gemm(attended, width, out, this.output, width, batch, PLAIN);
    this.normalise(this.output, normed, batch, width, norm);
    this.gemm(normed, width, fc1, wide, wideWidth, batch, activation);
    this.gemm(wide, wideWidth, fc2, this.output, width, batch, ADD);
  }

  // --- Captions ---------------------------------------------------------------------------------------------

  /** Read what is missing of the tokens' embeddings, before encodeTexts: of a large vocabulary no more is needed. */
  async learn(ids) {
    for (const id of new Set(ids)) {
      if (this.words.has(id)) continue;
      const row = await this.source.rows("text_model.embeddings.token_embedding.weight", id, id + 1);
      this.words.set(id, row.slice());
    }
  }

  /**
   * Embeddings of unit norm of a caption with some of its words hidden.
   * @param {number[]} ids token ids with special tokens and padding, each of them learnt
   * @param {number[][]} players positions of each player's tokens
   * @param {Uint8Array} coalitions (m, players), 1 where a word is visible
   * @returns {Float32Array} (m, dimension)
   */
  encodeTexts(ids, players, coalitions) {
    const { textTower: tower, dimension } = this;
    const { width } = tower;
    const length = ids.length;
    const positions = this.wordPositions;
    const states = this.view(tower.hidden, length * width);
    ids.forEach((id, at) => {
      const word = this.words.get(id);
      for (let i = 0; i < width; i++) states[at * width + i] = word[i] + positions[at * width + i];
    });
    const tokens = states.slice();
    const [layer] = tower.layers;
    this.normalise(tower.hidden, tower.normed, length, width, layer.norm1);
    this.gemm(tower.normed, width, layer.qkv, tower.qkv, 3 * width, length, PLAIN);
    const qkv = this.view(tower.qkv, length * 3 * width).slice();
    const embeddings = new Float32Array((coalitions.length / players.length) * dimension);
    // Nothing attends to a hidden word, so it is left out. Captions that keep equally many tokens are encoded together.
    const bySize = new Map();
    for (let row = 0; row * dimension < embeddings.length; row++) {
      const hidden = players.filter((_, i) => !coalitions[row * players.length + i]).flat();
      const kept = ids.map((_, at) => at).filter((at) => !hidden.includes(at));
      if (!bySize.has(kept.length)) bySize.set(kept.length, []);
      bySize.get(kept.length).push({ row, kept });
    }
    for (const [size, captions] of bySize) {
      const shape = { ...tower, length: size };
      const to = [
        this.view(tower.hidden, BATCH * size * width),
        this.view(tower.qkv, BATCH * size * 3 * width),
      ];
      for (let start = 0; start < captions.length; start += BATCH) {
        const some = captions.slice(start, start + BATCH);
        some.flatMap(({ kept }) => kept).forEach((at, i) => {
          to[0].set(tokens.subarray(at * width, (at + 1) * width), i * width);
          to[1].set(qkv.subarray(3 * at * width, 3 * (at + 1) * width), 3 * i * width);
        });
        this.transform(shape, some.length, { readAt: size - 1, causal: this.clip });
        this.gemm(tower.normed, width, this.projectText, this.output, dimension, some.length, PLAIN);
        const units = unitRows(this.view(this.output, some.length * dimension), dimension);
        some.forEach(({ row }, i) =>
          embeddings.set(units.subarray(i * dimension, (i + 1) * dimension), row * dimension),
        );
      }
    }
    return embeddings;
  }
}

/** Rows over their norms, in place. */
export function unitRows(rows, dimension) {
  for (let start = 0; start < rows.length; start += dimension) {
    const row = rows.subarray(start, start + dimension);
    let squares = 0;
    for (const x of row) squares += x * x;
    const norm = Math.sqrt(squares);
    for (let i = 0; i < row.length; i++) row[i] /= norm;
  }
  return rows;
}
