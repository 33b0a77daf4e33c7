// A checkpoint as transformers saves it, opened from the reader's disk: config.json, tokenizer.json and
// model.safetensors of a CLIP or a SigLIP. The weights stay in their file; tensors are read from it one by one.
//
// Nothing in a file is believed. Lengths, shapes and offsets are compared with each other, with the configuration and
// with the file's size before anything of their size is allocated; what does not fit ends in a sentence.

import { ACTIVATIONS, HALVES } from "./numerics.js";

const MOST_HEADER = 100_000_000; // bytes, the format's own bound
const MOST_JSON = 50_000_000; // bytes of config.json, of tokenizer.json
const MOST_MEMORY = 3_000_000_000; // bytes of packed weights: of WebAssembly's four billion
const BYTES = { F32: 4, F16: 2, BF16: 2 };
export const PREPROCESSOR = "preprocessor_config.json";

/**
 * What transformers takes where config.json says nothing, by family and tower.
 * @type {Record<string, { vision: any, text: any }>}
 */
const DEFAULTS = {
  clip: {
    vision: {
      hidden_size: 768,
      intermediate_size: 3072,
      num_hidden_layers: 12,
      num_attention_heads: 12,
      hidden_act: "quick_gelu",
      layer_norm_eps: 1e-5,
      image_size: 224,
      patch_size: 32,
    },
    text: {
      hidden_size: 512,
      intermediate_size: 2048,
      num_hidden_layers: 12,
      num_attention_heads: 8,
      hidden_act: "quick_gelu",
      layer_norm_eps: 1e-5,
      vocab_size: 49408,
      max_position_embeddings: 77,
    },
  },
  siglip: {
    vision: {
      hidden_size: 768,
      intermediate_size: 3072,
      num_hidden_layers: 12,
      num_attention_heads: 12,
      hidden_act: "gelu_pytorch_tanh",
      layer_norm_eps: 1e-6,
      image_size: 224,
      patch_size: 16,
    },
    text: {
      hidden_size: 768,
      intermediate_size: 3072,
      num_hidden_layers: 12,
      num_attention_heads: 12,
      hidden_act: "gelu_pytorch_tanh",
      layer_norm_eps: 1e-6,
      vocab_size: 32000,
      max_position_embeddings: 64,
    },
  },
};
const LARGEST = {
  hidden_size: 4096,
  intermediate_size: 16384,
  num_hidden_layers: 64,
  num_attention_heads: 64,
  image_size: 1024,
  patch_size: 64,
  vocab_size: 1_000_000,
  max_position_embeddings: 512,
};

/**
 * Find the files of a checkpoint among those that a reader chose or dropped, and read all but the weights.
 * @param {any[]} files File objects, or what has the name, size and slices of one
 * @returns {Promise<{ record: any, weights: File, tokenizer: { json: any, config: any } }>} record: as
 *   fixlip_helpers.export writes it, `tensors` as Checkpoint takes them, `packed` the bytes that the weights will take
 *   in memory; throws a sentence
 */
export async function openCheckpoint(files) {
  const named = (name) => files.filter((file) => file.name.toLowerCase() === name);
  const [weights, config, tokenizer] = ["model.safetensors", "config.json", "tokenizer.json"].map((name) => {
    const found = named(name);
    if (found.length > 1) throw new Error(`There are ${found.length} files ${name}: choose the folder of one model.`);
    return found[0];
  });
  if (!weights && named("model.safetensors.index.json").length) {
    throw new Error("The weights lie in several files; this page reads models whose model.safetensors is one file.");
  }
  if (!weights && files.some((file) => /\.(bin|pt|pth|ckpt)$/i.test(file.name))) {
    throw new Error(
      "The weights are a PyTorch file, which can hold code and is not opened here: choose model.safetensors, which most models have beside it.",
    );
  }
  const missing = [];
  for (const [name, file] of Object.entries({
    "model.safetensors": weights,
    "config.json": config,
    "tokenizer.json": tokenizer,
  })) {
    if (!file) missing.push(name);
  }
  if (missing.length) {
    throw new Error(
      `${missing.join(" and ")} missing: choose model.safetensors, config.json and tokenizer.json of one model together, or its folder.`,
    );
  }
  const folder = /** @type {any} */ (weights).webkitRelativePath?.split("/").at(-2);
  const facts = await readJson(config);
  const processor = named(PREPROCESSOR)[0] ? await readJson(named(PREPROCESSOR)[0]) : {};
  const header = await readHeader(weights);
  const record = recordOf(facts, processor, header, folder || "your model");
  record.path = folder || "FOLDER";
  const more = named("tokenizer_config.json")[0];
  const source = new Checkpoint(weights, record.tensors);
  record.scale = Math.exp((await source.read("logit_scale"))[0]);
  if (record.family === "siglip") record.bias = (await source.read("logit_bias"))[0];
  if (![record.scale, record.bias].every(Number.isFinite)) {
    throw new Error("model.safetensors is damaged: the model's scale is not finite.");
  }
  return {
    record,
    weights,
    tokenizer: { json: await readJson(tokenizer), config: more ? await readJson(more) : {} },
  };
}

async function readJson(file) {
  if (file.size > MOST_JSON) {
    throw new Error(`${file.name} has ${megabytes(file.size)}; at most ${megabytes(MOST_JSON)} are read.`);
  }
  let value;
  try {
    value = JSON.parse(await file.text());
  } catch (error) {
    throw new Error(`${file.name} is no JSON, or cut off (${error.message}).`);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new Error(`${file.name} holds no object: it is not the file of a model.`);
  }
  return value;
}

/**
 * The tensors that a .safetensors file says it holds: each within the file, and as long as its shape and type ask.
 * @param {Blob} file
 * @returns {Promise<Map<string, { dtype: string, shape: number[], begin: number, end: number }>>} bytes of the file
 */
export async function readHeader(file) {
  const wrong = (why) => new Error(`model.safetensors is damaged or no such file: ${why}.`);
  if (file.size < 10) throw wrong(`it has ${file.size} bytes`);
  const length = Number(new DataView(await file.slice(0, 8).arrayBuffer()).getBigUint64(0, true));
  if (length > Math.min(MOST_HEADER, file.size - 8)) {
    throw wrong(`its table of tensors would have ${megabytes(length)}, and the file has ${megabytes(file.size)}`);
  }
  let table;
  try {
    table = JSON.parse(await file.slice(8, 8 + length).text());
  } catch {
    throw wrong("its table of tensors cannot be read");
  }
  if (typeof table !== "object" || table === null || Array.isArray(table)) {
    throw wrong("its table of tensors is none");
  }
  const start = 8 + length;
  const room = file.size - start;
  const tensors = new Map();
  for (const [name, entry] of Object.entries(table)) {
    if (name === "__metadata__") continue;
    const { dtype, shape, data_offsets: offsets } = entry ?? {};
    const whole = (list) => Array.isArray(list) && list.every((x) => Number.isSafeInteger(x) && x >= 0);
    if (!whole(shape) || !whole(offsets) || offsets.length !== 2) throw wrong(`the entry of ${short(name)} is none`);
    const [begin, end] = offsets;
    if (begin > end || end > room) {
      throw wrong(
        `${short(name)} would end at byte ${start + end} of ${file.size}; was the download cut off? Fetch it again`,
      );
    }
    const size = shape.reduce((product, x) => product * x, 1);
    if (Object.hasOwn(BYTES, dtype) && end - begin !== size * BYTES[dtype]) {
      throw wrong(`${short(name)} has ${end - begin} bytes where its shape asks for ${size * BYTES[dtype]}`);
    }
    tensors.set(name, { dtype, shape, begin: start + begin, end: start + end });
  }
  return tensors;
}

/**
 * The facts of a model whose files fit together; throws a sentence where they do not.
 * @param {any} config config.json
 * @param {any} processor preprocessor_config.json, or {}
 * @param {Map<string, any>} header of readHeader
 * @param {string} name
 */
export function recordOf(config, processor, header, name) {
  const family = config.model_type;
  if (!Object.hasOwn(DEFAULTS, family)) {
    throw new Error(
      `This is a model of type ${short(String(family))}; the page reads CLIP and SigLIP (model_type "clip" or "siglip").`,
    );
  }
  const clip = family === "clip";
  const [vision, text] = ["vision", "text"].map((side) => tower(config, family, side));
  for (const [side, tower] of Object.entries({ vision, text })) {
    if (tower.width % tower.heads || tower.head % 32 || tower.wide % 16 || !Object.hasOwn(ACTIVATIONS, tower.activation)) {
      throw new Error(
        `The ${side} encoder has ${tower.heads} heads on ${tower.width} numbers, ${tower.wide} hidden ones and the activation ${short(String(tower.activation))}; the page computes heads of 32, 64, 96 … numbers with ${Object.keys(ACTIVATIONS).join(", ")}.`,
      );
    }
  }
  const across = Math.floor(vision.imageSize / vision.patchSize);
  if (across < 1) throw new Error(`A patch of ${vision.patchSize} pixels is larger than the picture.`);
  if (across * vision.patchSize !== vision.imageSize) {
    throw new Error(
      `Pictures of ${vision.imageSize} pixels are not filled by patches of ${vision.patchSize}: such a model is explained in Python.`,
    );
  }
  const dimension = clip ? size(config.projection_dim ?? 512, "projection_dim", 4096) : text.width;
  const context = text.context;
  const record = {
    name,
    family,
    dimension,
    context,
    most_words: context - (clip ? 2 : 1),
    vision: {
      ...vision,
      patches: across ** 2,
      size: vision.imageSize,
      ...pictures(processor, clip, vision.imageSize),
    },
    text,
    scale: NaN, // openCheckpoint reads it
    bias: 0,
    tensors: [],
    path: "", // for the command line: openCheckpoint and the hub say it
  };
  record.tensors = neededTensors(record, vision, text, across).map(([tensor, shape]) => {
    const found = header.get(tensor);
    if (!found) throw new Error(`model.safetensors has no tensor ${tensor}, which config.json asks for.`);
    if (!Object.hasOwn(BYTES, found.dtype)) {
      throw new Error(`${tensor} holds numbers of type ${short(String(found.dtype))}; read are F32, F16 and BF16.`);
    }
    if (String(found.shape) !== String(shape)) {
      throw new Error(
        `${tensor} has the shape (${found.shape.join(", ")}); config.json asks for (${shape.join(", ")}).`,
      );
    }
    return [tensor, found.shape, found.dtype, found.begin, found.end];
  });
  const packed = record.tensors.reduce(
    (sum, [tensor, shape]) => sum + (isVocabulary(tensor) ? 0 : 4 * shape.reduce((x, y) => x * y, 1)),
    0,
  );
  if (packed > MOST_MEMORY) {
    throw new Error(
      `This model needs ${megabytes(packed)} of memory in the browser, which gives at most ${megabytes(MOST_MEMORY)}: explain it in Python.`,
    );
  }
  const device = 1e9 * (/** @type {any} */ (navigator).deviceMemory ?? Infinity); // Chromium says it, and no more than it must
  if (packed > device / 2) {
    throw new Error(
      `This model needs ${megabytes(packed)} of memory, and this device says that it has ${megabytes(device)}: more than half of that would stop the browser. Explain it in Python, or on another device.`,
    );
  }
  return { ...record, packed };
}

/** @returns {any} */
function tower(config, family, side) {
  const given = { ...DEFAULTS[family][side], ...(config[`${side}_config_dict`] ?? {}), ...(config[`${side}_config`] ?? {}) };
  const number = (key) => size(given[key], `${side}_config.${key}`, LARGEST[key]);
  const epsilon = given.layer_norm_eps;
  if (!(typeof epsilon === "number" && epsilon > 0 && epsilon < 1)) {
    throw new Error(`config.json: ${side}_config.layer_norm_eps is ${short(String(epsilon))}.`);
  }
  const width = number("hidden_size");
  const heads = number("num_attention_heads");
  const made = {
    width,
    heads,
    head: width / heads,
    wide: number("intermediate_size"),
    layers: number("num_hidden_layers"),
    activation: given.hidden_act,
    epsilon,
  };
  if (side === "vision") {
    return { ...made, imageSize: number("image_size"), patchSize: number("patch_size") };
  }
  return { ...made, vocabulary: number("vocab_size"), context: number("max_position_embeddings") };
}

function size(value, name, most) {
  if (!Number.isSafeInteger(value) || value < 1 || value > most) {
    throw new Error(`config.json: ${name} is ${short(JSON.stringify(value) ?? "missing")}; expected 1 to ${most}.`);
  }
  return value;
}

/** How a picture becomes the encoder's pixels: CLIP cuts the middle square out, SigLIP squeezes the whole picture. */
function pictures(processor, clip, imageSize) {
  const three = (list, fallback) =>
    Array.isArray(list) && list.length === 3 && list.every(Number.isFinite) ? list : fallback;
  const mean = three(processor.image_mean, clip ? [0.48145466, 0.4578275, 0.40821073] : [0.5, 0.5, 0.5]);
  const std = three(processor.image_std, clip ? [0.26862954, 0.26130258, 0.27577711] : [0.5, 0.5, 0.5]);
  if (std.some((x) => x <= 0)) throw new Error(`${PREPROCESSOR}: image_std must be positive.`);
  const resample = processor.resample ?? 3;
  if (resample !== 2 && resample !== 3) {
    throw new Error(`${PREPROCESSOR}: resample is ${short(String(resample))}; the page resizes by 2 (bilinear) or 3 (bicubic).`);
  }
  const edge = processor.size?.shortest_edge ?? (typeof processor.size === "number" ? processor.size : imageSize);
  const crop = clip && (processor.do_center_crop ?? true);
  return { mean, std, crop, edge: crop ? size(edge, "size.shortest_edge", 4096) : imageSize, bilinear: resample === 2 };
}

/** @returns {[string, number[]][]} name and shape of every tensor that the encoder reads */
function neededTensors({ family, dimension }, vision, text, across) {
  const clip = family === "clip";
  /** @type {[string, number[]][]} */
  const list = [];
  const linear = (name, to, from, bias = true) => {
    list.push([`${name}.weight`, [to, from]]);
    if (bias) list.push([`${name}.bias`, [to]]);
  };
  const norm = (name, width) => list.push([`${name}.weight`, [width]], [`${name}.bias`, [width]]);
  for (const [name, { width, wide, layers }] of Object.entries({ vision_model: vision, text_model: text })) {
    for (let i = 0; i < layers; i++) {
      const layer = `${name}.encoder.layers.${i}`;
      for (const part of ["q", "k", "v", "out"]) linear(`${layer}.self_attn.${part}_proj`, width, width);
      norm(`${layer}.layer_norm1`, width);
      norm(`${layer}.layer_norm2`, width);
      linear(`${layer}.mlp.fc1`, wide, width);
      linear(`${layer}.mlp.fc2`, width, wide);
    }
  }
  norm("vision_model.post_layernorm", vision.width);
  norm("text_model.final_layer_norm", text.width);
  const patch = "vision_model.embeddings.patch_embedding";
  list.push([`${patch}.weight`, [vision.width, 3, vision.patchSize, vision.patchSize]]);
  if (!clip) list.push([`${patch}.bias`, [vision.width]]);
  const positions = across ** 2 + (clip ? 1 : 0);
  list.push(["vision_model.embeddings.position_embedding.weight", [positions, vision.width]]);
  list.push(["text_model.embeddings.position_embedding.weight", [text.context, text.width]]);
  list.push(["text_model.embeddings.token_embedding.weight", [text.vocabulary, text.width]]);
  list.push(["logit_scale", clip ? [] : [1]]);
  if (clip) {
    list.push(["vision_model.embeddings.class_embedding", [vision.width]]);
    norm("vision_model.pre_layrnorm", vision.width);
    linear("visual_projection", dimension, vision.width, false);
    linear("text_projection", dimension, text.width, false);
  } else {
    const head = "vision_model.head";
    list.push(["logit_bias", [1]]);
    list.push([`${head}.probe`, [1, 1, vision.width]]);
    list.push([`${head}.attention.in_proj_weight`, [3 * vision.width, vision.width]]);
    list.push([`${head}.attention.in_proj_bias`, [3 * vision.width]]);
    linear(`${head}.attention.out_proj`, vision.width, vision.width);
    norm(`${head}.layernorm`, vision.width);
    linear(`${head}.mlp.fc1`, vision.wide, vision.width);
    linear(`${head}.mlp.fc2`, vision.width, vision.wide);
    linear("text_model.head", dimension, text.width);
  }
  return list;
}

function isVocabulary(tensor) {
  return tensor === "text_model.embeddings.token_embedding.weight";
}

/** The tensors of a checked file: `shape`, `read` and `rows`, as an Embedded has them, numbers as float32. */
export class Checkpoint {
  /**
   * @param {Blob} file
   * @param {[string, number[], string, number, number][]} tensors name, shape, type, first byte and end of each
   */
  constructor(file, tensors) {
    this.file = file;
    this.tensors = new Map(tensors.map(([name, ...entry]) => [name, entry]));
  }

  shape(name) {
    return this.tensors.get(name)[0];
  }

  async read(name) {
    const [, dtype, begin, end] = this.tensors.get(name);
    return this.numbers(dtype, begin, end);
  }

  /** Rows `first` to `end` of a matrix. */
  async rows(name, first, end) {
    const [shape, dtype, begin] = this.tensors.get(name);
    const step = shape[1] * BYTES[dtype];
    return this.numbers(dtype, begin + first * step, begin + end * step);
  }

  async numbers(dtype, begin, end) {
    let bytes;
    try {
      bytes = await this.file.slice(begin, end).arrayBuffer();
    } catch {
      throw new Error("model.safetensors can be read no longer: was it moved or changed? Open the model again.");
    }
    if (dtype === "F32") return new Float32Array(bytes);
    const halves = new Uint16Array(bytes);
    if (dtype === "BF16") {
      const words = new Uint32Array(halves.length);
      for (let i = 0; i < words.length; i++) words[i] = halves[i] << 16;
      return new Float32Array(words.buffer);
    }
    const numbers = new Float32Array(halves.length);
    for (let i = 0; i < numbers.length; i++) numbers[i] = HALVES[halves[i]];
    return numbers;
  }
}

export function megabytes(bytes) {
  return `${(bytes / 1e6).toLocaleString("en", { maximumFractionDigits: bytes < 1e7 ? 1 : 0 })} MB`;
}

export function short(name) {
  return `“${name.length > 60 ? `${name.slice(0, 60)}…` : name}”`;
}
