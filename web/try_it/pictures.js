// Pictures as the encoder sees them: upright, on white, resized as Pillow resizes (bicubic, antialiased, 8 bits).

const MOST_PIXELS = 100_000_000;
const MOST_SHOWN = 1000; // pixels along the picture on the page
const BAND = 256; // rows that are decoded into the page's memory at a time

/**
 * Read a picture file.
 * @param {Blob} file
 * @param {number} size pixels along one side of what the encoder sees
 * @returns {Promise<{ seen: Uint8ClampedArray, src: string, width: number, height: number }>} seen: (size, size, 3)
 */
export async function readPicture(file, size) {
  if (!file.size) throw new Error("The file is empty.");
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { colorSpaceConversion: "none" });
  } catch {
    throw new Error(
      "This file is no picture that your browser can read, or it is damaged. Try a PNG, JPEG or WebP.",
    );
  }
  const { width, height } = bitmap;
  try {
    if (width * height > MOST_PIXELS) {
      throw new Error(
        `The picture has ${width} × ${height} pixels, more than 100 million: make it smaller first.`,
      );
    }
    if (Math.max(width, height) > 50 * Math.min(width, height)) {
      throw new Error(
        `The picture is ${width} × ${height} pixels; it may be at most 50 times as long as wide.`,
      );
    }
    return { seen: resizeInBands(bitmap, size), src: thumbnail(bitmap), width, height };
  } finally {
    bitmap.close();
  }
}

/**
 * How many distinct colours there are: by their number the package, too, tells photographs from drawings.
 * @param {Uint8ClampedArray} seen (size, size, 3) levels
 */
export function distinctColours(seen) {
  const colours = new Set();
  for (let i = 0; i < seen.length; i += 3)
    colours.add((seen[i] << 16) | (seen[i + 1] << 8) | seen[i + 2]);
  return colours.size;
}

/**
 * A canvas with (part of) a picture on white, as its 2D context.
 * @param {CanvasImageSource} bitmap
 * @param {number} from first row
 * @param {[number, number]} box width and height of the part
 * @param {number} width
 * @param {number} height
 */
function onWhite(bitmap, from, box, width, height) {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true, alpha: false });
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, from, ...box, 0, 0, width, height);
  return context;
}

function thumbnail(bitmap) {
  const share = Math.min(1, MOST_SHOWN / Math.max(bitmap.width, bitmap.height));
  const [width, height] = [bitmap.width, bitmap.height].map((length) =>
    Math.max(1, Math.round(share * length)),
  );
  return onWhite(bitmap, 0, [bitmap.width, bitmap.height], width, height).canvas.toDataURL("image/png");
}

/**
 * The order of the two passes counts, as each rounds to whole levels. Pillow 13, whose rule was found by trying, begins
 * with the columns where they lose more than twice as many pixels as the rows do; older versions never do.
 */
function resizeInBands(bitmap, size) {
  const { width, height } = bitmap;
  const [across, down] = [resampling(width, size), resampling(height, size)];
  const seen = new Uint8ClampedArray(size * size * 3);
  if (height > size && height - size > 2 * (width - size)) {
    const sums = new Float64Array(size * width * 3); // each column resized
    eachRow(bitmap, (data, start, y) => {
      down.forEach(({ first, weights }, to) => {
        const weight = weights[y - first];
        if (!weight) return;
        for (let x = 0; x < width; x++) {
          for (let colour = 0; colour < 3; colour++)
            sums[(to * width + x) * 3 + colour] += weight * data[start + 4 * x + colour];
        }
      });
    });
    const low = Uint8ClampedArray.from(sums, (value) => Math.floor(value + 0.5));
    for (let y = 0; y < size; y++) resampleLine(low, y * width * 3, 3, seen, y * size * 3, 3, across);
  } else {
    const narrow = new Uint8ClampedArray(height * size * 3); // each row resized
    eachRow(bitmap, (data, start, y) => resampleLine(data, start, 4, narrow, y * size * 3, 3, across));
    for (let x = 0; x < size; x++) resampleLine(narrow, 3 * x, 3 * size, seen, 3 * x, 3 * size, down);
  }
  return seen;
}

/** Call with the pixels of each row, four numbers each, decoded band by band: a large photograph fits in memory. */
function eachRow(bitmap, use) {
  const { width, height } = bitmap;
  for (let top = 0; top < height; top += BAND) {
    const rows = Math.min(BAND, height - top);
    const { data } = onWhite(bitmap, top, [width, rows], width, rows).getImageData(0, 0, width, rows);
    for (let y = 0; y < rows; y++) use(data, y * width * 4, top + y);
  }
}

/** For each of `to` pixels: the first of `from` pixels that it averages, and their weights (Pillow's bicubic filter). */
export function resampling(from, to) {
  const scale = from / to;
  const wide = Math.max(1, scale);
  if (from === to) return Array.from({ length: to }, (_, i) => ({ first: i, weights: [1] }));
  return Array.from({ length: to }, (_, i) => {
    const centre = (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - 2 * wide + 0.5));
    const last = Math.min(from, Math.trunc(centre + 2 * wide + 0.5));
    const weights = Array.from({ length: last - first }, (_, k) =>
      bicubic((k + first - centre + 0.5) / wide),
    );
    const sum = weights.reduce((total, weight) => total + weight, 0);
    return { first, weights: weights.map((weight) => weight / sum) };
  });
}

function bicubic(x) {
  x = Math.abs(x);
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  return x < 2 ? ((2.5 - 0.5 * x) * x - 4) * x + 2 : 0;
}

/** One line of pixels, three colours each, from one array into another, rounded to whole numbers. */
function resampleLine(source, start, step, target, at, stepAt, filter) {
  for (const { first, weights } of filter) {
    for (let colour = 0; colour < 3; colour++) {
      let value = 0;
      let from = start + first * step + colour;
      for (const weight of weights) {
        value += weight * source[from];
        from += step;
      }
      target[at + colour] = Math.floor(value + 0.5); // clamped to 0..255 by the array
    }
    at += stepAt;
  }
}

/** Pixels as the encoder gets them: (size, size, 3) levels -> (3, size, size) normalised. */
export function normalised(seen, { mean, std }) {
  const count = seen.length / 3;
  const pixels = new Float32Array(seen.length);
  for (let i = 0; i < count; i++) {
    for (let colour = 0; colour < 3; colour++) {
      pixels[colour * count + i] = (seen[3 * i + colour] / 255 - mean[colour]) / std[colour];
    }
  }
  return pixels;
}
