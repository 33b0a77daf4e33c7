// Side fits (factorisation theorem), as in fixlip_helpers/sides.py and regression.py: each tower's embeddings are regressed on the
// monomials of its own players, and an explanation is the inner product of the two sides' vector coefficients.
//
// Monomials are ordered as there: 1, then z_i = (x_i - p) / σ, then z_i z_j for (0, 1), (0, 2), ..., σ² = p (1 - p).

import { PLAIN } from "./numerics.js";

export const RIDGES = [0, 0.01, 0.03, 0.1, 0.3, 1, 3, 10];
const ROWS_AT_ONCE = 512;

/** Number of monomials up to an order of `n` players. */
export function termsUpTo(order, n) {
  return 1 + n + (order === 2 ? (n * (n - 1)) / 2 : 0);
}

/** The monomials of rows `from` to `to` of some coalitions, transposed: (terms, to - from). */
export function monomials(coalitions, n, p, order, from = 0, to = coalitions.length / n) {
  const rows = to - from;
  const sigma = Math.sqrt(p * (1 - p));
  const table = new Float32Array(termsUpTo(order, n) * rows).fill(1, 0, rows);
  for (let i = 0; i < n; i++) {
    for (let row = 0; row < rows; row++) {
      table[(1 + i) * rows + row] = (coalitions[(from + row) * n + i] - p) / sigma;
    }
  }
  if (order === 1) return table;
  let at = (n + 1) * rows;
  for (let i = 0; i < n; i++) {
    for (let j = i + 1; j < n; j++) {
      for (let row = 0; row < rows; row++)
        table[at++] = table[(1 + i) * rows + row] * table[(1 + j) * rows + row];
    }
  }
  return table;
}

/**
 * A regression of embeddings on monomials, added up block by block: all that it needs is Φ' W E and, unless the design
 * is orthonormal, Φ' W Φ. The sums are float32, by the encoder's kernels.
 */
export class Regression {
  /**
   * @param {any} encoder an Encoder, whose kernels and memory are used; its room is given back by `release`
   * @param {{ n: number, p: number, order: number, dimension: number, orthonormal: boolean }} shape
   */
  constructor(encoder, shape) {
    this.n = shape.n;
    this.p = shape.p;
    this.order = shape.order;
    this.dimension = shape.dimension;
    this.orthonormal = shape.orthonormal;
    this.encoder = encoder;
    this.terms = termsUpTo(shape.order, shape.n);
    this.before = encoder.top;
    this.width = Math.ceil(this.terms / 16) * 16;
    this.phi = encoder.allocate(this.terms * ROWS_AT_ONCE);
    this.panels = encoder.allocate(Math.max(shape.dimension, this.width) * ROWS_AT_ONCE);
    this.moments = encoder.allocate(this.terms * shape.dimension);
    encoder.view(this.moments, this.terms * shape.dimension).fill(0);
    if (!shape.orthonormal) {
      this.gram = encoder.allocate(this.terms * this.width);
      encoder.view(this.gram, this.terms * this.width).fill(0);
    }
    this.weight = 0;
  }

  /** Give the room back; what was allocated after it goes too. */
  release() {
    this.encoder.top = this.before;
  }

  /** Add rows: coalitions (m, n), weights (m,), embeddings (m, dimension). */
  add(coalitions, weights, embeddings) {
    for (let from = 0; from < weights.length; from += ROWS_AT_ONCE) {
      const to = Math.min(weights.length, from + ROWS_AT_ONCE);
      const rows = to - from;
      const phi = monomials(coalitions, this.n, this.p, this.order, from, to);
      this.encoder.view(this.phi, phi.length).set(phi);
      const weighted = (width, value) => {
        const panels = this.encoder.view(this.panels, width * rows);
        for (let row = 0; row < rows; row++) {
          const weight = weights[from + row];
          for (let i = 0; i < width; i++) {
            panels[(i >> 4) * 16 * rows + row * 16 + (i & 15)] = weight * value(row, i);
          }
        }
      };
      const { dimension, terms, width } = this;
      weighted(dimension, (row, i) => embeddings[(from + row) * dimension + i]);
      this.sum(this.moments, rows, dimension);
      if (this.gram) {
        weighted(width, (row, i) => (i < terms ? phi[i * rows + row] : 0));
        this.sum(this.gram, rows, width);
      }
      for (let row = from; row < to; row++) this.weight += weights[row];
    }
  }

  sum(into, rows, columns) {
    this.encoder.kernels.gemm(this.phi, rows, this.panels, 0, into, columns, this.terms, rows, columns, 2);
  }

  /**
   * Coefficients (terms, dimension), float64, with a penalty on the second-order block, or on all but the constant.
   * Null where the coalitions do not identify them.
   */
  solve(ridge, first = 1 + this.n) {
    const { dimension, terms, width, weight } = this;
    const moments = Float64Array.from(this.encoder.view(this.moments, terms * dimension), (x) => x / weight);
    if (this.orthonormal) {
      for (let i = first * dimension; i < moments.length; i++) moments[i] /= 1 + ridge;
      return moments;
    }
    const gram = this.encoder.view(this.gram, terms * width);
    const lower = new Float64Array(terms * terms);
    for (let i = 0; i < terms; i++) {
      for (let j = 0; j <= i; j++) lower[i * terms + j] = gram[i * width + j] / weight;
      if (i >= first) lower[i * terms + i] += ridge;
    }
    return factorise(lower, terms) ? substitute(lower, moments, terms, dimension) : null;
  }

  /** The penalty of RIDGES with the least squared error on further rows, and its coefficients. */
  chooseRidge(coalitions, embeddings) {
    const judge = (ridge) => {
      const coefficients = this.solve(ridge);
      if (!coefficients) return { ridge, coefficients, error: Infinity };
      const predicted = predict(coefficients, this.dimension, coalitions, this.n, this.p, this.order);
      return {
        ridge,
        coefficients,
        error: predicted.reduce((sum, x, i) => sum + (x - embeddings[i]) ** 2, 0),
      };
    };
    // The error falls and then rises with the penalty: walk from the middle to where it is least.
    const judged = new Map();
    const at = (i) => {
      if (!judged.has(i)) judged.set(i, judge(RIDGES[i]));
      return judged.get(i);
    };
    let best = 4;
    for (const step of [-1, 1]) {
      while (best + step in RIDGES && at(best + step).error < at(best).error) best += step;
    }
    return at(best);
  }
}

/** Cholesky factor of a symmetric matrix in its own lower triangle; false where it has none. */
function factorise(lower, n) {
  for (let i = 0; i < n; i++) {
    const row = lower.subarray(i * n, i * n + i + 1);
    for (let j = 0; j <= i; j++) {
      const other = lower.subarray(j * n, j * n + j + 1);
      let rest = row[j];
      for (let k = 0; k < j; k++) rest -= row[k] * other[k];
      if (j < i) row[j] = rest / other[j];
      else if (rest > 1e-7) row[j] = Math.sqrt(rest);
      else return false;
    }
  }
  return true;
}

/** Solve L L' x = b for `columns` right-hand sides, (n, columns), in place. */
function substitute(lower, b, n, columns) {
  const subtract = (to, from, factor) => {
    for (let c = 0; c < columns; c++) b[to + c] -= factor * b[from + c];
  };
  const divide = (row, by) => {
    for (let c = 0; c < columns; c++) b[row + c] /= by;
  };
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < i; j++) subtract(i * columns, j * columns, lower[i * n + j]);
    divide(i * columns, lower[i * n + i]);
  }
  for (let i = n - 1; i >= 0; i--) {
    divide(i * columns, lower[i * n + i]);
    for (let j = 0; j < i; j++) subtract(j * columns, i * columns, lower[i * n + j]);
  }
  return b;
}

/** Embeddings by a fit: coefficients (terms, dimension), coalitions (m, n) -> (m, dimension). */
export function predict(coefficients, dimension, coalitions, n, p, order) {
  const rows = coalitions.length / n;
  const phi = monomials(coalitions, n, p, order);
  const predicted = new Float64Array(rows * dimension);
  for (let term = 0; term < phi.length / rows; term++) {
    for (let row = 0; row < rows; row++) {
      const factor = phi[term * rows + row];
      for (let c = 0; c < dimension; c++)
        predicted[row * dimension + c] += factor * coefficients[term * dimension + c];
    }
  }
  return predicted;
}

// --- From two sides to an explanation ---------------------------------------------------------------------------

/**
 * The terms of the explanation: inner products of the sides' coefficients, in the set basis.
 * @param {{ n: number, order: number, p: number, coefficients: Float64Array }} image
 * @param {{ n: number, order: number, p: number, coefficients: Float64Array }} text
 * @returns {{ baseline: number, main: Float64Array, pairs: Float64Array[] }} pairs symmetric, zero diagonal
 */
export function combine(image, text, { scale, bias, dimension }) {
  const n = image.n + text.n;
  const sigma = Math.sqrt(image.p * (1 - image.p));
  const inner = (r, s) => {
    let sum = 0;
    for (let c = 0; c < dimension; c++) {
      sum += image.coefficients[r * dimension + c] * text.coefficients[s * dimension + c];
    }
    return scale * sum;
  };
  const constant = inner(0, 0) + bias;
  const linear = Float64Array.from({ length: n }, (_, i) =>
    i < image.n ? inner(1 + i, 0) : inner(0, 1 + i - image.n),
  );
  const pairs = Array.from({ length: n }, () => new Float64Array(n));
  const set = (i, j, value) => (pairs[i][j] = pairs[j][i] = value / sigma ** 2);
  for (let i = 0; i < image.n; i++) {
    for (let j = 0; j < text.n; j++) set(i, image.n + j, inner(1 + i, 1 + j));
  }
  for (const { side, start, value } of [
    { side: image, start: 0, value: (t) => inner(t, 0) },
    { side: text, start: image.n, value: (t) => inner(0, t) },
  ]) {
    if (side.order === 1) continue;
    let term = 1 + side.n;
    for (let i = 0; i < side.n; i++)
      for (let j = i + 1; j < side.n; j++) set(start + i, start + j, value(term++));
  }
  const { p } = image;
  const shares = pairs.map((row) => row.reduce((sum, value) => sum + value, 0));
  const main = linear.map((c, i) => c / sigma - p * shares[i]);
  const total = (values) => values.reduce((sum, value) => sum + value, 0);
  const baseline = constant - (p / sigma) * total(linear) + (p * p * total(shares)) / 2;
  return { baseline, main, pairs };
}

/**
 * Share of the game's variance that an explanation gets right on all pairs of held-out coalitions.
 * @param {{ baseline: number, main: Float64Array, pairs: Float64Array[] }} terms
 * @param {any} image held_out (a design) and its embeddings; text the same
 * @param {any} encoder an Encoder, whose kernels and memory are used
 */
export function rSquared(terms, image, text, { scale, bias, dimension }, encoder) {
  const [nI, nT] = [image.heldOut.n, text.heldOut.n];
  const own = (design, start) =>
    Float64Array.from({ length: design.count }, (_, row) => {
      const x = design.coalitions.subarray(row * design.n, (row + 1) * design.n);
      let value = 0;
      for (let i = 0; i < design.n; i++) {
        if (!x[i]) continue;
        value += terms.main[start + i];
        for (let j = 0; j < i; j++) if (x[j]) value += terms.pairs[start + i][start + j];
      }
      return value;
    });
  const [ownImage, ownText] = [own(image.heldOut, 0), own(text.heldOut, nI)];
  const cosines = innerProducts(encoder, image.heldOutEmbeddings, text.heldOutEmbeddings, dimension);
  const step = cosines.length / image.heldOut.count;
  let [mean, squares, errors] = [0, 0, 0];
  const across = new Float64Array(nT);
  for (let a = 0; a < image.heldOut.count; a++) {
    across.fill(0);
    for (let i = 0; i < nI; i++) {
      if (image.heldOut.coalitions[a * nI + i])
        for (let j = 0; j < nT; j++) across[j] += terms.pairs[i][nI + j];
    }
    for (let b = 0; b < text.heldOut.count; b++) {
      const value = scale * cosines[a * step + b] + bias;
      let predicted = terms.baseline + ownImage[a] + ownText[b];
      for (let j = 0; j < nT; j++) if (text.heldOut.coalitions[b * nT + j]) predicted += across[j];
      const weight = image.heldOut.weights[a] * text.heldOut.weights[b];
      mean += weight * value;
      squares += weight * value ** 2;
      errors += weight * (value - predicted) ** 2;
    }
  }
  const variance = squares - mean ** 2;
  return variance > 1e-12 * squares ? 1 - errors / variance : null;
}

/**
 * Inner products of the rows of two matrices of one width: a column for each row of `right`, and zeros up to a multiple
 * of 16. They lie in the encoder's memory until something else is put there.
 */
function innerProducts(encoder, left, right, width) {
  const before = encoder.top;
  const rows = left.length / width;
  const columns = Math.ceil(right.length / width / 16) * 16;
  const weight = new Float32Array(columns * width);
  weight.set(right);
  const layer = encoder.packed([{ weight, bias: new Float32Array(columns) }]);
  const input = encoder.put(left);
  const output = encoder.allocate(rows * columns);
  encoder.gemm(input, width, layer, output, columns, rows, PLAIN);
  encoder.top = before;
  return encoder.view(output, rows * columns);
}
