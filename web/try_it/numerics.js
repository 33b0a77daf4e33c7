// The compiled kernels and what their callers must know: the modes of a matrix product, and how weights are stored.

export const PLAIN = 0; // modes of kernels.gemm
export const GELU = 1;
export const ADD = 2;
export const QUICK_GELU = 3;
export const TANH_GELU = 4;
export const ACTIVATIONS = { gelu: GELU, quick_gelu: QUICK_GELU, gelu_pytorch_tanh: TANH_GELU }; // by their names in transformers

/**
 * Instantiate the kernels, with fused multiply-add where the browser has it. Throws a sentence where it cannot.
 * @param {{ fma: Uint8Array<ArrayBuffer>, plain: Uint8Array<ArrayBuffer> }} binaries
 * @returns {Promise<{ kernels: any, memory: WebAssembly.Memory }>}
 */
export async function loadKernels(binaries) {
  if (typeof WebAssembly !== "object") {
    throw new Error("This browser has WebAssembly switched off, and the encoder needs it.");
  }
  const memory = new WebAssembly.Memory({ initial: 1 });
  for (const bytes of [binaries.fma, binaries.plain]) {
    if (!WebAssembly.validate(bytes)) continue;
    try {
      const { instance } = await WebAssembly.instantiate(bytes, { env: { memory } });
      return { kernels: instance.exports, memory };
    } catch (error) {
      throw new Error(
        `This browser refuses to run WebAssembly here, and the encoder needs it (${error.message}).`,
      );
    }
  }
  throw new Error(
    "This browser's WebAssembly has no 128-bit SIMD, which the encoder needs: try a newer one.",
  );
}

/** Every float16 as a number, by its sixteen bits. */
export const HALVES = Float32Array.from({ length: 65536 }, (_, half) => {
  const [exponent, fraction] = [(half >> 10) & 31, half & 1023];
  const size = exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : fraction * 2 ** -24;
  if (exponent === 31) return NaN; // infinite or none: no weight is
  return half >> 15 ? -size : size;
});

/** The bits of float32 numbers as float16, where that changes none of them; null else. */
export function asHalf(numbers) {
  const bits = new Uint32Array(numbers.buffer, numbers.byteOffset, numbers.length);
  const halves = new Uint16Array(numbers.length);
  for (let i = 0; i < halves.length; i++) {
    const exponent = ((bits[i] >>> 23) & 255) - 112;
    const size = exponent > 0 ? (exponent << 10) | ((bits[i] >>> 13) & 1023) : Math.abs(numbers[i]) * 2 ** 24;
    halves[i] = ((bits[i] >>> 16) & 0x8000) | (exponent < 31 ? size : 0);
    if (HALVES[halves[i]] !== numbers[i]) return null; // too fine, too large, or too small
  }
  return halves;
}

/** Float16 numbers as float32: all their high bytes come first, then all the low ones. */
export function fromHalf(bytes) {
  const numbers = new Float32Array(bytes.length / 2);
  for (let i = 0; i < numbers.length; i++) numbers[i] = HALVES[(bytes[i] << 8) | bytes[numbers.length + i]];
  return numbers;
}
