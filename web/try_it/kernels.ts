// The few loops in which an encoder spends its time, in AssemblyScript: compiled by scripts/front_end.py to
// kernels.wasm (128-bit SIMD) and kernels.fma.wasm (the same with fused multiply-add, "relaxed SIMD").
//
// Pointers are byte addresses in one memory that the caller owns (encoder.js); matrices are float32, row by row.
// Head sizes are multiples of 32, numbers of columns multiples of 16, as in the embedded models (32) and in every CLIP
// and SigLIP of "base" size (64).

const ROWS_AT_ONCE: i32 = 48; // rows of A that stay in the first-level cache while a panel of B passes

// @ts-ignore: decorator
@inline
function madd(a: v128, b: v128, c: v128): v128 {
  return ASC_FEATURE_RELAXED_SIMD ? f32x4.relaxed_madd(a, b, c) : f32x4.add(f32x4.mul(a, b), c);
}

// @ts-ignore: decorator
@inline
function splat(x: f32): v128 {
  return f32x4.splat(x);
}

// @ts-ignore: decorator
@inline
function total(x: v128): f32 {
  return (
    f32x4.extract_lane(x, 0) + f32x4.extract_lane(x, 1) + (f32x4.extract_lane(x, 2) + f32x4.extract_lane(x, 3))
  );
}

/** exp of four numbers: 2^n times a polynomial on [-ln 2 / 2, ln 2 / 2]; relative error 1e-7. */
function exp4(x: v128): v128 {
  x = f32x4.max(f32x4.min(x, splat(88)), splat(-87));
  const n = f32x4.nearest(f32x4.mul(x, splat(1.44269504)));
  const r = madd(n, splat(2.12194440e-4), madd(n, splat(-0.693359375), x));
  let y = splat(1.9875691500e-4);
  y = madd(y, r, splat(1.3981999507e-3));
  y = madd(y, r, splat(8.3334519073e-3));
  y = madd(y, r, splat(4.1665795894e-2));
  y = madd(y, r, splat(1.6666665459e-1));
  y = madd(y, r, splat(5.0000001201e-1));
  y = f32x4.add(madd(y, f32x4.mul(r, r), r), splat(1));
  const power = i32x4.shl(i32x4.add(i32x4.trunc_sat_f32x4_s(n), i32x4.splat(127)), 23);
  return f32x4.mul(y, power);
}

/** x Φ(x), the exact GELU: erf as a ratio of polynomials (as in Eigen and XLA), error 4e-7. */
function gelu4(x: v128): v128 {
  const z = f32x4.max(f32x4.min(f32x4.mul(x, splat(0.70710678)), splat(4)), splat(-4));
  const t = f32x4.mul(z, z);
  let above = splat(-2.72614225801306e-10);
  above = madd(above, t, splat(2.77068142495902e-8));
  above = madd(above, t, splat(-2.10102402082508e-6));
  above = madd(above, t, splat(-5.69250639462346e-5));
  above = madd(above, t, splat(-7.34990630326855e-4));
  above = madd(above, t, splat(-2.95459980854025e-3));
  above = madd(above, t, splat(-1.60960333262415e-2));
  let below = splat(-1.45660718464996e-5);
  below = madd(below, t, splat(-2.13374055278905e-4));
  below = madd(below, t, splat(-1.68282697438203e-3));
  below = madd(below, t, splat(-7.37332916720468e-3));
  below = madd(below, t, splat(-1.42647390514189e-2));
  const half = f32x4.mul(x, splat(0.5));
  return madd(f32x4.mul(half, z), f32x4.div(above, below), half);
}

/** x / (1 + exp(-y)): with y = 1.702 x OpenAI's "quick" GELU, with y = 2 √(2/π) (x + 0.044715 x³) the one by tanh. */
function gated4(x: v128, y: v128): v128 {
  return f32x4.div(x, f32x4.add(exp4(f32x4.neg(y)), splat(1)));
}

// @ts-ignore: decorator
@inline
function finish(sum: v128, bias: usize, c: usize, mode: i32): void {
  if (bias) sum = f32x4.add(sum, v128.load(bias));
  if (mode == 1) sum = gelu4(sum);
  if (mode == 2) sum = f32x4.add(sum, v128.load(c));
  if (mode == 3) sum = gated4(sum, f32x4.mul(sum, splat(1.702)));
  if (mode == 4) {
    const cubic = madd(f32x4.mul(f32x4.mul(sum, sum), sum), splat(0.044715), sum);
    sum = gated4(sum, f32x4.mul(cubic, splat(1.5957691)));
  }
  v128.store(c, sum);
}

/**
 * C = A B + bias: A (m, k) with lda numbers from row to row, C (m, n) with ldc.
 * B: panels of 16 columns, each (k, 16) row by row. bias: (n,) or 0.
 * mode: 0 as it is, 1 GELU of it, 2 added to what C holds, 3 quick GELU, 4 GELU by tanh.
 */
export function gemm(
  a: usize, lda: i32, b: usize, bias: usize, c: usize, ldc: i32, m: i32, k: i32, n: i32, mode: i32,
): void {
  const stepA: usize = usize(lda) << 2;
  const stepC: usize = usize(ldc) << 2;
  for (let top = 0; top < m; top += ROWS_AT_ONCE) {
    const bottom = min(m, top + ROWS_AT_ONCE);
    for (let column = 0; column < n; column += 16) {
      const panel: usize = b + (usize(column) * usize(k) << 2);
      const offset: usize = bias ? bias + (usize(column) << 2) : 0;
      let row = top;
      // Two rows by sixteen columns: more sums than these would not fit the sixteen registers.
      for (; row + 2 <= bottom; row += 2) {
        let p: usize = a + usize(row) * stepA;
        let q = panel;
        let s0 = splat(0), s1 = splat(0), s2 = splat(0), s3 = splat(0);
        let t0 = splat(0), t1 = splat(0), t2 = splat(0), t3 = splat(0);
        const end: usize = p + (usize(k) << 2);
        for (; p < end; p += 4) {
          const b0 = v128.load(q), b1 = v128.load(q, 16), b2 = v128.load(q, 32), b3 = v128.load(q, 48);
          q += 64;
          let x = v128.load_splat<f32>(p);
          s0 = madd(x, b0, s0);
          s1 = madd(x, b1, s1);
          s2 = madd(x, b2, s2);
          s3 = madd(x, b3, s3);
          x = v128.load_splat<f32>(p + stepA);
          t0 = madd(x, b0, t0);
          t1 = madd(x, b1, t1);
          t2 = madd(x, b2, t2);
          t3 = madd(x, b3, t3);
        }
        const to: usize = c + usize(row) * stepC + (usize(column) << 2);
        store4(s0, s1, s2, s3, offset, to, mode);
        store4(t0, t1, t2, t3, offset, to + stepC, mode);
      }
      for (; row < bottom; row++) {
        let p: usize = a + usize(row) * stepA;
        let q = panel;
        let s0 = splat(0), s1 = splat(0), s2 = splat(0), s3 = splat(0);
        const end: usize = p + (usize(k) << 2);
        for (; p < end; p += 4) {
          const x = v128.load_splat<f32>(p);
          s0 = madd(x, v128.load(q), s0);
          s1 = madd(x, v128.load(q, 16), s1);
          s2 = madd(x, v128.load(q, 32), s2);
          s3 = madd(x, v128.load(q, 48), s3);
          q += 64;
        }
        store4(s0, s1, s2, s3, offset, c + usize(row) * stepC + (usize(column) << 2), mode);
      }
    }
  }
}

function store4(s0: v128, s1: v128, s2: v128, s3: v128, bias: usize, c: usize, mode: i32): void {
  finish(s0, bias, c, mode);
  finish(s1, bias ? bias + 16 : 0, c + 16, mode);
  finish(s2, bias ? bias + 32 : 0, c + 32, mode);
  finish(s3, bias ? bias + 48 : 0, c + 48, mode);
}

/** Each row of x (rows, d) less its mean, over its standard deviation, times gamma plus beta, into y. */
export function layerNorm(x: usize, y: usize, rows: i32, d: i32, gamma: usize, beta: usize, epsilon: f32): void {
  const bytes: usize = usize(d) << 2;
  for (let row = 0; row < rows; row++) {
    let sum = splat(0);
    for (let at: usize = 0; at < bytes; at += 16) sum = f32x4.add(sum, v128.load(x + at));
    const mean = splat(total(sum) / f32(d));
    let squares = splat(0);
    for (let at: usize = 0; at < bytes; at += 16) {
      const centred = f32x4.sub(v128.load(x + at), mean);
      squares = madd(centred, centred, squares);
    }
    const scale = splat(1 / sqrt<f32>(total(squares) / f32(d) + epsilon));
    for (let at: usize = 0; at < bytes; at += 16) {
      const unit = f32x4.mul(f32x4.sub(v128.load(x + at), mean), scale);
      v128.store(y + at, madd(unit, v128.load(gamma + at), v128.load(beta + at)));
    }
    x += bytes;
    y += bytes;
  }
}

/**
 * Attention of `queries` positions, from number `first` on, over `length` keys, for a batch of sequences.
 *
 * q, k, v: heads of `size` numbers side by side; `step` numbers from a position of k and v to the next, `stepQ` of q,
 * where `stepQ` 0 gives every sequence and query the same q. Scores are those of q as given: fold 1 / sqrt(size) into it.
 * out: (batch * queries, heads * size). causal: a query sees no later key. scratch: `length` numbers, rounded up to 4.
 */
export function attention(
  q: usize, stepQ: i32, k: usize, v: usize, step: i32, out: usize, batch: i32, length: i32, first: i32, queries: i32,
  heads: i32, size: i32, causal: i32, scratch: usize,
): void {
  const next: usize = usize(step) << 2;
  const headBytes: usize = usize(size) << 2;
  for (let b = 0; b < batch; b++) {
    const start: usize = usize(b * length) * next;
    for (let i = 0; i < queries; i++) {
      const seen = causal ? first + i + 1 : length;
      for (let h = 0; h < heads; h++) {
        const head: usize = usize(h) * headBytes;
        const query: usize = q + (usize(b * length + first + i) * usize(stepQ) << 2) + head;
        const to: usize = out + usize((b * queries + i) * heads) * headBytes + head;
        // 32 numbers of the head at a time: eight registers hold them while all keys pass.
        for (let part: usize = 0; part < headBytes; part += 128) {
          addScores(query + part, k + start + head + part, next, seen, part > 0, scratch);
        }
        const scale = softmax(scratch, seen);
        for (let part: usize = 0; part < headBytes; part += 128) {
          average(v + start + head + part, next, seen, scratch, scale, to + part);
        }
      }
    }
  }
}

/** The inner products of 32 numbers of a query with those of each key, written to scratch or added to what it holds. */
function addScores(query: usize, key: usize, next: usize, seen: i32, add: bool, scratch: usize): void {
  const q0 = v128.load(query), q1 = v128.load(query, 16), q2 = v128.load(query, 32), q3 = v128.load(query, 48);
  const q4 = v128.load(query, 64), q5 = v128.load(query, 80), q6 = v128.load(query, 96), q7 = v128.load(query, 112);
  for (let j = 0; j < seen; j++) {
    let even = f32x4.mul(q0, v128.load(key));
    let odd = f32x4.mul(q1, v128.load(key, 16));
    even = madd(q2, v128.load(key, 32), even);
    odd = madd(q3, v128.load(key, 48), odd);
    even = madd(q4, v128.load(key, 64), even);
    odd = madd(q5, v128.load(key, 80), odd);
    even = madd(q6, v128.load(key, 96), even);
    odd = madd(q7, v128.load(key, 112), odd);
    const at: usize = scratch + (usize(j) << 2);
    const score = total(f32x4.add(even, odd));
    store<f32>(at, add ? load<f32>(at) + score : score);
    key += next;
  }
}

/** Scores as weights exp(score - highest), in place; returns one over their sum in every lane. */
function softmax(scratch: usize, seen: i32): v128 {
  let highest: f32 = -1e30;
  for (let j = 0; j < seen; j++) highest = max(highest, load<f32>(scratch + (usize(j) << 2)));
  const padded = (seen + 3) & ~3;
  for (let j = seen; j < padded; j++) store<f32>(scratch + (usize(j) << 2), -1e30);
  let sum = splat(0);
  for (let j = 0; j < padded; j += 4) {
    const at: usize = scratch + (usize(j) << 2);
    const weight = exp4(f32x4.sub(v128.load(at), splat(highest)));
    v128.store(at, weight);
    sum = f32x4.add(sum, weight);
  }
  return splat(1 / total(sum));
}

/** The weighted mean of 32 numbers of each value. */
function average(value: usize, next: usize, seen: i32, scratch: usize, scale: v128, to: usize): void {
  let o0 = splat(0), o1 = splat(0), o2 = splat(0), o3 = splat(0);
  let o4 = splat(0), o5 = splat(0), o6 = splat(0), o7 = splat(0);
  for (let j = 0; j < seen; j++) {
    const weight = v128.load_splat<f32>(scratch + (usize(j) << 2));
    o0 = madd(weight, v128.load(value), o0);
    o1 = madd(weight, v128.load(value, 16), o1);
    o2 = madd(weight, v128.load(value, 32), o2);
    o3 = madd(weight, v128.load(value, 48), o3);
    o4 = madd(weight, v128.load(value, 64), o4);
    o5 = madd(weight, v128.load(value, 80), o5);
    o6 = madd(weight, v128.load(value, 96), o6);
    o7 = madd(weight, v128.load(value, 112), o7);
    value += next;
  }
  v128.store(to, f32x4.mul(o0, scale));
  v128.store(to, f32x4.mul(o1, scale), 16);
  v128.store(to, f32x4.mul(o2, scale), 32);
  v128.store(to, f32x4.mul(o3, scale), 48);
  v128.store(to, f32x4.mul(o4, scale), 64);
  v128.store(to, f32x4.mul(o5, scale), 80);
  v128.store(to, f32x4.mul(o6, scale), 96);
  v128.store(to, f32x4.mul(o7, scale), 112);
}
