// The encoder of pictures on the device's GPU, by WebGPU: the embeddings of encoder.js, many pictures at a time.
//
// It starts from what an Encoder has made already: its packed weights, kept as float16 where they are such numbers (those
// of the embedded models, and of a CLIP that was trained in float16), and of the picture shown last the token of each
// patch, visible and removed, with its query, key and value in the first layer. All that follows is one list of steps
// (a shader, its buffers, how many workgroups a picture needs), made once. A batch is that list in one command buffer,
// and one row a picture is read back.

import { unitRows } from "./encoder.js";
import { ADD, GELU, PLAIN, QUICK_GELU, TANH_GELU, asHalf } from "./numerics.js";

const MOST = 128; // pictures at a time
const FIRST = 8; // as many at first, doubled while a batch takes less than QUICK
const QUICK = 100; // milliseconds
const CHECKED = 4; // coalitions of each picture that the CPU encodes too
const SLOW = 2; // batches that take longer than the CPU would, after which it takes over
const TOLERANCE = 1e-4; // of a number of an embedding

// A matrix product reads its panels four numbers at a time, each as a float32, or two as float16 in a word.
const PANELS = {
  multiply: { type: "vec4f", four: (word) => word },
  multiply_halves: { type: "vec2u", four: (word) => `vec4f(unpack2x16float(${word}.x), unpack2x16float(${word}.y))` },
};

// Matrices are float32, row by row, four numbers at a time. Each step's shape is in numbers, rows are for one picture.
const shaders = (head) => /* wgsl */ `
@group(0) @binding(0) var<uniform> batch: u32; // pictures
@group(0) @binding(1) var<storage, read> input: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> output: array<vec4f>;

// --- Rows of a table, each as long as width says --------------------------------------------------------------

struct Rows { width: u32 }
@group(0) @binding(3) var<uniform> rows: Rows;
@group(0) @binding(4) var<storage, read> sources: array<u32>;

@compute @workgroup_size(64)
fn take(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let width = rows.width / 4u;
  for (var i = lane; i < width; i += 64u) {
    output[group.x * width + i] = input[sources[group.x] * width + i];
  }
}

// --- Matrix products: 64 rows by 64 columns a workgroup, 4 by 4 a thread ----------------------------------------

// Output: input times panels plus bias, columns \`first\` to \`end\`; GELU of it, or added to what is there.
struct Product { rows: u32, k: u32, step_in: u32, step_out: u32, first: u32, end: u32, mode: u32 }
@group(0) @binding(3) var<uniform> product: Product;
// panels: of 16 columns, each (k, 16) row by row
@group(0) @binding(5) var<storage, read> bias: array<vec4f>;
var<workgroup> left: array<array<f32, 64>, 16>; // sixteen numbers of each row, transposed
var<workgroup> right: array<array<vec4f, 16>, 16>;

${Object.entries(PANELS).map(([name, { type, four }]) => /* wgsl */ `
@group(0) @binding(4) var<storage, read> panels_of_${name}: array<${type}>;
@compute @workgroup_size(16, 16)
fn ${name}(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_id) place: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let all = product.rows * batch;
  let top = 64u * group.y;
  let start = product.first + 64u * group.x;
  let row = top + 4u * place.y;
  let column = start + 4u * place.x;
  var s0 = vec4f();
  var s1 = vec4f();
  var s2 = vec4f();
  var s3 = vec4f();
  for (var k = 0u; k < product.k; k += 16u) {
    // Each thread brings four numbers of a row and of a column's panel.
    let own = lane / 4u;
    let part = 4u * (lane % 4u);
    var four = vec4f();
    if (top + own < all) { four = input[((top + own) * product.step_in + k + part) / 4u]; }
    left[part][own] = four.x;
    left[part + 1u][own] = four.y;
    left[part + 2u][own] = four.z;
    left[part + 3u][own] = four.w;
    let other = start + 4u * (lane % 16u);
    if (other < product.end) {
      let panel = (other / 16u) * 16u * product.k + other % 16u;
      let word = panels_of_${name}[(panel + 16u * (k + lane / 16u)) / 4u];
      right[lane / 16u][lane % 16u] = ${four("word")};
    }
    workgroupBarrier();
    for (var i = 0u; i < 16u; i++) {
      let factors = right[i][place.x];
      s0 += left[i][4u * place.y] * factors;
      s1 += left[i][4u * place.y + 1u] * factors;
      s2 += left[i][4u * place.y + 2u] * factors;
      s3 += left[i][4u * place.y + 3u] * factors;
    }
    workgroupBarrier();
  }
  if (column >= product.end) { return; }
  store(row, column, s0);
  store(row + 1u, column, s1);
  store(row + 2u, column, s2);
  store(row + 3u, column, s3);
}
`).join("")}

fn store(row: u32, column: u32, sum: vec4f) {
  if (row >= product.rows * batch) { return; }
  let to = (row * product.step_out + column) / 4u;
  var result = sum + bias[column / 4u];
  if (product.mode == ${GELU}u) { result = gelu(result); }
  if (product.mode == ${ADD}u) { result += output[to]; }
  if (product.mode == ${QUICK_GELU}u) { result = result / (1.0 + exp(-1.702 * result)); }
  if (product.mode == ${TANH_GELU}u) {
    result = result / (1.0 + exp(-1.5957691 * (result + 0.044715 * result * result * result)));
  }
  output[to] = result;
}

// x Φ(x), as in kernels.ts
fn gelu(x: vec4f) -> vec4f {
  let z = clamp(x * 0.70710678, vec4f(-4.0), vec4f(4.0));
  let t = z * z;
  var above = vec4f(-2.72614225801306e-10);
  above = above * t + 2.77068142495902e-8;
  above = above * t - 2.10102402082508e-6;
  above = above * t - 5.69250639462346e-5;
  above = above * t - 7.34990630326855e-4;
  above = above * t - 2.95459980854025e-3;
  above = above * t - 1.60960333262415e-2;
  var below = vec4f(-1.45660718464996e-5);
  below = below * t - 2.13374055278905e-4;
  below = below * t - 1.68282697438203e-3;
  below = below * t - 7.37332916720468e-3;
  below = below * t - 1.42647390514189e-2;
  return 0.5 * x * (1.0 + z * above / below);
}

// --- Layer norm: one row a workgroup -----------------------------------------------------------------------------

struct Norm { width: u32, step: u32, epsilon: f32 }
@group(0) @binding(3) var<uniform> norm: Norm;
@group(0) @binding(4) var<storage, read> gamma: array<vec4f>;
@group(0) @binding(5) var<storage, read> beta: array<vec4f>;
var<workgroup> shares: array<f32, 64>;

@compute @workgroup_size(64)
fn normalise(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.x * norm.step / 4u;
  let width = norm.width / 4u;
  var share = 0.0;
  for (var i = lane; i < width; i += 64u) { share += dot(input[row + i], vec4f(1.0)); }
  let mean = total(share, lane) / f32(norm.width);
  share = 0.0;
  for (var i = lane; i < width; i += 64u) {
    let difference = input[row + i] - mean;
    share += dot(difference, difference);
  }
  let scale = inverseSqrt(total(share, lane) / f32(norm.width) + norm.epsilon);
  for (var i = lane; i < width; i += 64u) {
    output[row + i] = (input[row + i] - mean) * scale * gamma[i] + beta[i];
  }
}

fn total(share: f32, lane: u32) -> f32 {
  shares[lane] = share;
  for (var count = 32u; count > 0u; count /= 2u) {
    workgroupBarrier();
    if (lane < count) { shares[lane] += shares[lane + count]; }
  }
  return workgroupUniformLoad(&shares[0]);
}

// --- Attention: one query of one head a thread; weights are rescaled whenever a higher score comes --------------------

struct Attention { queries: u32, step_query: u32, length: u32, step: u32, keys: u32, values: u32, heads: u32 }
@group(0) @binding(3) var<uniform> attention: Attention;
@group(0) @binding(4) var<storage, read> states: array<vec4f>; // rows with keys and values among their numbers
const PARTS = ${head / 4}u;

@compute @workgroup_size(64)
fn attend(@builtin(global_invocation_id) thread: vec3u) {
  let heads = attention.heads;
  let query = thread.x % attention.queries;
  let head = (thread.x / attention.queries) % heads;
  let picture = thread.x / (attention.queries * heads);
  if (picture >= batch) { return; }
  let start = (picture * attention.length + query) * attention.step_query / 4u + head * PARTS;
  var asked: array<vec4f, PARTS>;
  var mean: array<vec4f, PARTS>;
  for (var i = 0u; i < PARTS; i++) { asked[i] = input[start + i]; }
  var highest = -1e30;
  var weights = 0.0;
  for (var j = 0u; j < attention.length; j++) {
    let row = (picture * attention.length + j) * attention.step / 4u + head * PARTS;
    var score = 0.0;
    for (var i = 0u; i < PARTS; i++) { score += dot(asked[i], states[row + attention.keys / 4u + i]); }
    let higher = max(highest, score);
    let kept = exp(highest - higher);
    let weight = exp(score - higher);
    for (var i = 0u; i < PARTS; i++) {
      mean[i] = kept * mean[i] + weight * states[row + attention.values / 4u + i];
    }
    weights = kept * weights + weight;
    highest = higher;
  }
  let to = ((picture * attention.queries + query) * heads + head) * PARTS;
  for (var i = 0u; i < PARTS; i++) { output[to + i] = mean[i] / weights; }
}
`;

/**
 * The GPU's encoder; null where there is no GPU, or only a simulated one and "webgpu" is not `wanted`.
 * @param {any} encoder an Encoder
 * @param {string | null} wanted "wasm", "webgpu", or null: a GPU that is no simulation
 * @returns {Promise<GpuEncoder | null>}
 */
export async function gpuEncoder(encoder, wanted) {
  const adapter = wanted === "wasm" ? null : await navigator.gpu?.requestAdapter();
  if (!adapter || (wanted !== "webgpu" && isSimulated(adapter.info))) return null;
  const device = await adapter.requestDevice();
  const module = device.createShaderModule({ code: shaders(encoder.visionTower.head) });
  const names = ["take", ...Object.keys(PANELS), "normalise", "attend"];
  const compiled = await Promise.all(
    names.map((entryPoint) =>
      device.createComputePipelineAsync({ layout: "auto", compute: { module, entryPoint } }),
    ),
  );
  const kernels = Object.fromEntries(names.map((name, i) => [name, compiled[i]]));
  return new GpuEncoder(encoder, device, kernels, wanted === "webgpu");
}

/** Whether an adapter is a program on the CPU, which is slower than kernels.wasm. */
function isSimulated({ isFallbackAdapter, architecture, device, description }) {
  const names = [architecture, device, description].join(" ");
  return isFallbackAdapter || /swiftshader|llvmpipe|lavapipe|basic render/i.test(names);
}

export class GpuEncoder {
  /**
   * @param {any} encoder an Encoder @param {any} device a GPUDevice @param {any} kernels compute pipelines by name
   * @param {boolean} patient whether it may be slower than the CPU
   */
  constructor(encoder, device, kernels, patient) {
    this.encoder = encoder;
    this.patient = patient;
    this.slow = 0; // batches in a row that took longer than the CPU would
    this.ownTime = Infinity; // milliseconds of a picture on the CPU
    this.device = device;
    this.kernels = kernels;
    this.most = FIRST; // pictures in the next batch
    this.fault = null; // why it can be used no longer
    this.shown = 0; // number of the picture whose tokens the GPU holds
    this.layers = new Map(); // a packed layer's buffers
    this.steps = [];
    device.lost.then(({ message }) => (this.fault = `The GPU was lost: ${message}`));
    device.onuncapturederror = ({ error }) => (this.fault ??= error.message);
    const { patches, width } = encoder.record.vision;
    const { length, wideWidth } = encoder.visionTower;
    const { dimension } = encoder;
    // What one binding may hold bounds the pictures at a time.
    this.bound = Math.min(MOST, Math.floor(device.limits.maxStorageBufferBindingSize / (4 * length * wideWidth)));
    this.most = Math.min(this.most, this.bound);
    const kinds = 2 * patches + 1; // of rows: each patch visible and removed, the class token
    this.batch = this.buffer(1, "UNIFORM");
    this.tokens = this.buffer(kinds * width);
    this.firstQkv = this.buffer(kinds * 3 * width);
    this.sources = this.buffer(this.bound * length);
    this.hidden = this.buffer(this.bound * length * width);
    this.normed = this.buffer(this.bound * length * width);
    this.qkv = this.buffer(this.bound * length * 3 * width);
    this.attended = this.buffer(this.bound * length * width);
    this.wide = this.buffer(this.bound * length * wideWidth);
    this.output = this.buffer(this.bound * dimension);
    this.answer = this.buffer(this.bound * dimension, "MAP_READ");
    this.makeSteps();
  }

  // --- Buffers ----------------------------------------------------------------------------------------------

  /** Room for `count` numbers of four bytes. */
  buffer(count, use = "STORAGE") {
    const { COPY_DST, COPY_SRC, [use]: own } = GPUBufferUsage;
    const usage = own | COPY_DST | (use === "STORAGE" ? COPY_SRC : 0);
    return this.device.createBuffer({ size: 4 * count, usage });
  }

  write(buffer, numbers) {
    this.device.queue.writeBuffer(buffer, 0, numbers);
    return buffer;
  }

  /** A buffer with the numbers at an address of the encoder's memory. */
  copied(pointer, count) {
    return this.write(this.buffer(count), this.encoder.view(pointer, count));
  }

  // --- Steps ------------------------------------------------------------------------------------------------

  /**
   * One step: a kernel, its shape and its buffers.
   * @param {string} name of the kernel
   * @param {number[]} shape the numbers of its struct; what is no integer is a float32
   * @param {any} input @param {any} output @param {any[]} more buffers, in the order of their bindings
   * @param {(pictures: number) => number[]} groups how many workgroups
   */
  step(name, shape, input, output, more, groups) {
    const words = shape.map((x) => (Number.isInteger(x) ? x : new Uint32Array(Float32Array.of(x).buffer)[0]));
    const uniform = this.write(this.buffer(shape.length, "UNIFORM"), Uint32Array.from(words));
    const buffers = [this.batch, input, output, uniform, ...more];
    const takesBatch = name in PANELS || name === "attend";
    const entries = buffers.map((buffer, binding) => ({ binding, resource: { buffer } }));
    const pipeline = this.kernels[name];
    const layout = pipeline.getBindGroupLayout(0);
    const bound = this.device.createBindGroup({ layout, entries: takesBatch ? entries : entries.slice(1) });
    this.steps.push({ pipeline, bound, groups });
  }

  take(table, width, output) {
    const { length } = this.encoder.visionTower;
    this.step("take", [width], table, output, [this.sources], (pictures) => [pictures * length]);
  }

  /** As Encoder.gemm. */
  multiply(input, stepIn, layer, output, stepOut, rows, mode, first = 0, end = layer.n) {
    if (!this.layers.has(layer)) {
      const { k, n, panels, bias } = layer;
      const halves = asHalf(this.encoder.view(panels, k * n));
      const weights = halves ? this.write(this.buffer((k * n) / 2), halves) : this.copied(panels, k * n);
      this.layers.set(layer, { kernel: halves ? "multiply_halves" : "multiply", buffers: [weights, this.copied(bias, n)] });
    }
    const { kernel, buffers } = this.layers.get(layer);
    const shape = [rows, layer.k, stepIn, stepOut, first, end, mode];
    this.step(kernel, shape, input, output, buffers, (pictures) => [
      Math.ceil((end - first) / 64),
      Math.ceil((pictures * rows) / 64),
    ]);
  }

  /** Rows `step` numbers apart, in the input as in the output. */
  normalise(input, output, rows, step, { gamma, beta, epsilon }) {
    const { width } = this.encoder.record.vision;
    const more = [gamma, beta].map((pointer) => this.copied(pointer, width));
    this.step("normalise", [width, step, epsilon], input, output, more, (pictures) => [pictures * rows]);
  }

  attend(input, stepQuery, queries, states, step, keys, values) {
    const { length, width, head } = this.encoder.visionTower;
    const heads = width / head;
    const shape = [queries, stepQuery, length, step, keys, values, heads];
    this.step("attend", shape, input, this.attended, [states], (pictures) => [
      Math.ceil((pictures * heads * queries) / 64),
    ]);
  }

  /** The layers, as Encoder.transform has them, and what follows. In CLIP's last layer the class token alone is read. */
  makeSteps() {
    const { encoder, hidden, normed, qkv, attended, wide, output } = this;
    const { clip, dimension, visionTower: tower } = encoder;
    const { length, width, wideWidth, activation } = tower;
    let [rows, step] = [length, width]; // rows of a picture, and numbers from one to the next
    this.take(this.tokens, width, hidden);
    this.take(this.firstQkv, 3 * width, qkv);
    tower.layers.forEach((layer, number) => {
      const single = clip && number === tower.layers.length - 1;
      if (number > 0) this.normalise(hidden, normed, rows, step, layer.norm1);
      if (number > 0 && !single) this.multiply(normed, width, layer.qkv, qkv, 3 * width, length, PLAIN);
      if (number > 0 && single) {
        this.multiply(normed, length * width, layer.qkv, qkv, 3 * length * width, 1, PLAIN, 0, width);
        this.multiply(normed, width, layer.qkv, qkv, 3 * width, length, PLAIN, width);
      }
      if (single) [rows, step] = [1, length * width];
      this.attend(qkv, 3 * width, rows, qkv, 3 * width, width, 2 * width);
      this.multiply(attended, width, layer.out, hidden, step, rows, ADD);
      this.normalise(hidden, normed, rows, step, layer.norm2);
      this.multiply(normed, step, layer.fc1, wide, wideWidth, rows, activation);
      this.multiply(wide, wideWidth, layer.fc2, hidden, step, rows, ADD);
    });
    this.normalise(hidden, normed, rows, step, tower.last);
    if (clip) {
      this.multiply(normed, step, encoder.projectImage, output, dimension, 1, PLAIN);
    } else {
      const { probe, keysAndValues, out, norm, fc1, fc2 } = encoder.pooling;
      this.multiply(normed, width, keysAndValues, qkv, 2 * width, length, PLAIN);
      this.attend(this.copied(probe, width), 0, 1, qkv, 2 * width, 0, width);
      this.multiply(attended, width, out, output, width, 1, PLAIN);
      this.normalise(output, normed, 1, width, norm);
      this.multiply(normed, width, fc1, wide, wideWidth, 1, activation);
      this.multiply(wide, wideWidth, fc2, output, width, 1, ADD);
    }
  }

  // --- Pictures ---------------------------------------------------------------------------------------------

  /**
   * Embeddings of unit norm of the encoder's picture, partly removed. The first few of each picture are encoded by the
   * encoder too. Throws where they differ, where the GPU fails, and where the CPU would have been faster.
   * @param {Uint8Array} coalitions (m, patches), 1 where a patch is visible
   * @returns {Promise<Float32Array>} (m, dimension)
   */
  async encodeImages(coalitions) {
    const { encoder } = this;
    const { patches, width } = encoder.record.vision;
    const { dimension } = encoder;
    if (this.shown !== encoder.shown) {
      this.shown = encoder.shown;
      const kinds = 2 * patches + (encoder.clip ? 1 : 0);
      this.write(this.tokens, encoder.view(encoder.picture.tokens, kinds * width));
      this.write(this.firstQkv, encoder.view(encoder.picture.qkv, kinds * 3 * width));
      const few = coalitions.subarray(0, CHECKED * patches);
      const began = performance.now();
      const expected = encoder.encodeImages(few);
      this.ownTime = (performance.now() - began) / (few.length / patches);
      const found = await this.encodeBatch(few);
      if (expected.some((x, i) => Math.abs(x - found[i]) > TOLERANCE)) {
        throw new Error("The GPU's embeddings are not those of the CPU.");
      }
    }
    const embeddings = new Float32Array((coalitions.length / patches) * dimension);
    for (let start = 0, size; start * patches < coalitions.length; start += size) {
      size = this.most;
      const began = performance.now();
      const batch = coalitions.subarray(start * patches, (start + size) * patches);
      embeddings.set(await this.encodeBatch(batch), start * dimension);
      const taken = performance.now() - began;
      if (taken < QUICK) this.most = Math.min(this.bound, 2 * size);
      this.slow = taken > (this.ownTime * batch.length) / patches ? this.slow + 1 : 0;
      if (this.slow >= SLOW && !this.patient) throw new Error("The GPU is slower than the CPU.");
    }
    return embeddings;
  }

  /** At most `bound` of them. Throws where the GPU has failed. */
  async encodeBatch(coalitions) {
    const { encoder, device, answer } = this;
    const pictures = coalitions.length / encoder.record.vision.patches;
    this.write(this.batch, Uint32Array.of(pictures));
    this.write(this.sources, encoder.sources(coalitions));
    const commands = device.createCommandEncoder();
    const pass = commands.beginComputePass();
    for (const { pipeline, bound, groups } of this.steps) {
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, bound);
      pass.dispatchWorkgroups(...groups(pictures));
    }
    pass.end();
    const bytes = 4 * pictures * encoder.dimension;
    commands.copyBufferToBuffer(this.output, 0, answer, 0, bytes);
    device.queue.submit([commands.finish()]);
    await answer.mapAsync(GPUMapMode.READ, 0, bytes);
    const rows = new Float32Array(answer.getMappedRange(0, bytes).slice(0));
    answer.unmap();
    if (!this.fault && !unitRows(rows, encoder.dimension).every(Number.isFinite)) this.fault = "Zeros came back.";
    if (this.fault) throw new Error(this.fault);
    return rows;
  }
}
