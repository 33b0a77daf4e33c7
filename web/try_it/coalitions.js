// Coalitions and the designs of fixlip_helpers/coalitions.py, bit for bit: the same seed draws the same coalitions.
//
// A design is { name, n, p, count, coalitions, weights }: coalitions (count, n) as bytes 0 and 1, row by row, weights
// that sum to one. The random bits come from Philox4x64-10 as that module documents.

export const STREAMS = { image: 1, text: 2, ridge: 16, held_out: 32 };

const WORD = (1n << 64n) - 1n;
const MULTIPLIERS = [0xd2e7470ee14c6c93n, 0xca5a826395121157n];
const BUMPS = [0x9e3779b97f4a7c15n, 0xbb67ae8584caa73bn];

/** The first `count` uniform numbers of a stream, in [0, 1). */
export function uniform(count, seed, stream) {
  const numbers = new Float64Array(count);
  for (let block = 0; 4 * block < count; block++) {
    let [a, b, c, d] = [BigInt(block + 1), 0n, 0n, 0n];
    let [key0, key1] = [BigInt(seed), BigInt(stream)];
    for (let round = 0; round < 10; round++) {
      const [first, second] = [MULTIPLIERS[0] * a, MULTIPLIERS[1] * c];
      [a, b, c, d] = [(second >> 64n) ^ b ^ key0, second & WORD, (first >> 64n) ^ d ^ key1, first & WORD];
      [key0, key1] = [(key0 + BUMPS[0]) & WORD, (key1 + BUMPS[1]) & WORD];
    }
    [a, b, c, d].forEach((word, i) => {
      if (4 * block + i < count) numbers[4 * block + i] = Number(word >> 11n) * 2 ** -53;
    });
  }
  return numbers;
}

/** `m` coalitions of `n` players from P_p, repeats included. */
export function draw(n, p, m, seed, stream) {
  return Uint8Array.from(uniform(m * n, seed, stream), (u) => (u < p ? 1 : 0));
}

/** All 2^n coalitions with their probabilities; player i is bit i of the row's number. */
export function enumeration(n, p) {
  const count = 2 ** n;
  const coalitions = new Uint8Array(count * n);
  const weights = new Float64Array(count).fill(1);
  for (let row = 0; row < count; row++) {
    for (let i = 0; i < n; i++) {
      const visible = (row >> i) & 1;
      coalitions[row * n + i] = visible;
      weights[row] *= visible ? p : 1 - p;
    }
  }
  return { name: "enumeration", n, p, count, coalitions, weights };
}

/** `m` independent draws; one that is drawn twice is listed once, with twice the weight. */
export function independent(n, p, m, seed, stream) {
  return countRepeats(draw(n, p, m, seed, stream), n, p, "independent");
}

/** `m` draws whose sizes follow the binomial distribution as evenly as `m` numbers can. */
export function stratified(n, p, m, seed, stream) {
  const numbers = uniform(4 + m * n, seed, stream);
  const coalitions = new Uint8Array(m * n);
  const shares = sizeShares(n, p);
  let size = 0;
  let atMost = shares[0]; // probability of a size up to this one
  for (let row = 0; row < m; row++) {
    while (size < n && atMost <= (row + numbers[0]) / m) atMost += shares[++size];
    const own = numbers.subarray(4 + row * n, 4 + (row + 1) * n);
    const ranked = Array.from(own, (_, i) => i).sort((i, j) => own[i] - own[j] || i - j);
    for (const i of ranked.slice(0, size)) coalitions[row * n + i] = 1;
  }
  return countRepeats(coalitions, n, p, "stratified");
}

/** P_p of each size 0, ..., n. */
function sizeShares(n, p) {
  const shares = [];
  let choices = 1;
  for (let size = 0; size <= n; size++) {
    shares.push(choices * p ** size * (1 - p) ** (n - size));
    choices = Math.round((choices * (n - size)) / (size + 1));
  }
  return shares;
}

/**
 * Randomly shifted orthogonal arrays of strength four, for p = 0.5: 4^k runs each, of which `m` is a multiple.
 * Their sample moments up to order four are those of P_0.5, so that regressions up to order two are averages.
 */
export function orthogonalArray(n, m, seed, stream) {
  const k = Math.max(1, Math.ceil(Math.log2(n)));
  const runs = 4 ** k;
  const columns = parityColumns(n, k);
  const shifts = draw(n, 0.5, m / runs, seed, stream);
  const coalitions = new Uint8Array(m * n);
  for (let row = 0; row < m; row++) {
    const shift = Math.floor(row / runs) * n;
    for (let i = 0; i < n; i++) {
      coalitions[row * n + i] = parity(columns[i] & (row % runs)) ^ shifts[shift + i];
    }
  }
  return countRepeats(coalitions, n, 0.5, "orthogonal_array");
}

/** `n` numbers of 2k bits, any four of them linearly independent over GF(2): a BCH or Goppa code's parity columns. */
function parityColumns(n, k) {
  const size = 2 ** k;
  const product = fieldProducts(k);
  if (n < size) {
    return Array.from({ length: n }, (_, i) => ((i + 1) << k) | product(i + 1, product(i + 1, i + 1)));
  }
  const field = Array.from({ length: size }, (_, x) => x);
  const values = field.map((x) => product(x, x) ^ x); // x² + x takes half the values; d is one that it misses
  const d = field.find((x) => !values.includes(x));
  return field.map((x) => {
    const inverse = field.find((y) => product(values[x] ^ d, y) === 1);
    return (inverse << k) | product(x, inverse);
  });
}

/** Multiplication in GF(2^k) modulo the first irreducible polynomial. */
function fieldProducts(k) {
  const size = 2 ** k;
  for (let modulus = size + 1; modulus < 2 * size; modulus += 2) {
    const product = (a, b) => {
      let result = 0;
      for (let i = 0; i < k; i++) {
        if ((b >> i) & 1) result ^= a;
        a <<= 1;
        if (a & size) a ^= modulus;
      }
      return result;
    };
    const elements = Array.from({ length: size - 1 }, (_, i) => i + 1);
    if (elements.every((a) => elements.every((b) => product(a, b) !== 0))) return product;
  }
  throw new Error("an irreducible polynomial of every degree exists");
}

function parity(bits) {
  let odd = 0;
  for (; bits; bits &= bits - 1) odd ^= 1;
  return odd;
}

/** Draws from P_p that a design lacks; all coalitions, where it lacks none or they are few. */
export function heldOut(design, m, seed, stream) {
  const { n, p } = design;
  if (design.name === "enumeration") return design;
  if (2 ** n <= m) return enumeration(n, p);
  const known = new Set(rowsOf(design.coalitions, n).map(String));
  const kept = rowsOf(draw(n, p, m, seed, stream), n).filter((row) => !known.has(String(row)));
  if (!kept.length) return enumeration(n, p);
  return listed(
    kept,
    kept.map(() => 1),
    n,
    p,
    "held_out",
  );
}

/** The coalitions of one array, each as an array of its own. */
export function rowsOf(coalitions, n) {
  return Array.from({ length: coalitions.length / n }, (_, row) =>
    coalitions.subarray(row * n, (row + 1) * n),
  );
}

function countRepeats(coalitions, n, p, name) {
  const counts = new Map();
  for (const row of rowsOf(coalitions, n)) {
    const key = String(row);
    const found = counts.get(key);
    if (found) found.times++;
    else counts.set(key, { row, times: 1 });
  }
  const distinct = [...counts.values()];
  return listed(
    distinct.map(({ row }) => row),
    distinct.map(({ times }) => times),
    n,
    p,
    name,
  );
}

function listed(rows, times, n, p, name) {
  const total = times.reduce((sum, t) => sum + t, 0);
  const coalitions = new Uint8Array(rows.length * n);
  rows.forEach((row, r) => coalitions.set(row, r * n));
  return { name, n, p, count: rows.length, coalitions, weights: Float64Array.from(times, (t) => t / total) };
}
