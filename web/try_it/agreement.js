// Whether this page's numbers and published ones differ by no more than chance: both are estimated from drawn coalitions.
//
// The number of a patch i and a word j is scale <f_i, g_j> / σ², with f_i and g_j regression coefficients of the embeddings
// (sides.js). What m draws leave open of f_i, along g_j, has the variance s² / m, with s² the mean square of the residuals
// along g_j on coalitions that were not fitted. Residuals of the published fit, of second order, are no larger, so that
// its m draws leave at most s² / m open as well; its draws of the caption the same with f_i and the caption's residuals.

import { predict, termsUpTo } from "./sides.js";

const MOST_RATIO = 1.5; // times the error that is expected, on average: more is no chance
const MOST_NOISE = 0.5; // of the published numbers' size: an error above decides nothing

/**
 * @param {any} image a fitted side @param {any} text a fitted side, enumerated
 * @param {{ scale: number, dimension: number }} game
 * @param {{ cross: number[][], first: number[], coalitions: { image: number, text: number } }} published (n_image, n_text),
 *   first-order values of all players, and from how many draws
 * @returns {{ verdict: "passed" | "failed" | "undecided", blocks: any[] }} blocks: name, correlation, largest difference,
 *   ratio of the differences to the errors that are expected
 */
export function agreement(image, text, { scale, dimension }, { cross, first, coalitions }) {
  const sigma = Math.sqrt(image.p * (1 - image.p));
  const vectors = (side) =>
    Array.from({ length: 1 + side.n }, (_, i) => side.coefficients.subarray(i * dimension, (i + 1) * dimension));
  const [images, texts] = [vectors(image), vectors(text)];
  const [imageLeft, textLeft] = [residuals(image, dimension), residuals(text, dimension)];
  const imageOpen = texts.map((g) => imageLeft(g) * (1 / image.design.coalitions + 1 / coalitions.image));
  const textOpen = images.map((f) => textLeft(f) / Math.max(1, coalitions.text - termsUpTo(2, text.n)));
  /** A number of the explanation, its expected error, and the published one; 0 stands for no player of that side. */
  const compared = (i, j, theirs) => {
    const unit = scale / sigma ** (Number(i > 0) + Number(j > 0));
    return { ours: unit * inner(images[i], texts[j]), error: unit * Math.sqrt(imageOpen[j] + textOpen[i]), theirs };
  };
  const blocks = [
    ["Pairs of patch and word", cross.flatMap((row, i) => row.map((value, j) => compared(1 + i, 1 + j, value)))],
    ["First-order values", first.map((value, k) => (k < image.n ? compared(1 + k, 0, value) : compared(0, 1 + k - image.n, value)))],
  ].map(([name, numbers]) => ({ name, ...judged(numbers) }));
  const within = blocks.every(({ ratio }) => ratio <= MOST_RATIO);
  const clear = blocks.every(({ noise }) => noise <= MOST_NOISE);
  return { verdict: !within ? "failed" : clear ? "passed" : "undecided", blocks };
}

/** The mean square of a side's residuals on its held-out coalitions, along a vector. */
function residuals(side, dimension) {
  const { coalitions, weights } = side.heldOut;
  const predicted = predict(side.coefficients, dimension, coalitions, side.n, side.p, side.order);
  const left = predicted.map((x, i) => side.heldOutEmbeddings[i] - x);
  return (vector) =>
    weights.reduce((sum, weight, row) => sum + weight * inner(left.subarray(row * dimension, (row + 1) * dimension), vector) ** 2, 0);
}

function judged(numbers) {
  const [ours, theirs] = [numbers.map(({ ours }) => ours), numbers.map(({ theirs }) => theirs)];
  const differences = ours.map((x, i) => x - theirs[i]);
  return {
    correlation: correlation(ours, theirs),
    largest: Math.max(...differences.map(Math.abs)),
    ratio: rootMeanSquare(differences.map((x, i) => x / numbers[i].error)),
    noise: rootMeanSquare(numbers.map(({ error }) => error)) / rootMeanSquare(theirs),
  };
}

function inner(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

function rootMeanSquare(values) {
  return Math.sqrt(values.reduce((sum, x) => sum + x * x, 0) / values.length);
}

function correlation(a, b) {
  const centred = (values) => {
    const mean = values.reduce((sum, x) => sum + x, 0) / values.length;
    return values.map((x) => x - mean);
  };
  const [x, y] = [centred(a), centred(b)];
  return inner(x, y) / Math.sqrt(inner(x, x) * inner(y, y));
}
