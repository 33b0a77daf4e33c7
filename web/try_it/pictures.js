// Pictures as the encoder sees them: upright, on white, resized as Pillow resizes (bicubic or bilinear, antialiased,
// 8 bits), and of a model that cuts out the middle square, that square.

const MOST_PIXELS = 100_000_000;
const MOST_OF_A_DRAWING = 55_000; // characters of a PNG, beyond which WebP takes its place
const MOST_SHOWN = 1000; // pixels along the picture on the page
const ONE_GO = 1_000_000; // pixels that are resized without a pause
const BAND = 128; // rows that are decoded into the page's memory at a time

/**
 * Read a picture file.
 * @param {Blob} file
 * @param {any} vision facts of the encoder: `size`, pixels along what it sees; where `crop` is set, of the picture
 *   whose short side was resized to `edge` pixels; `bilinear`
 * @param {(sentence: string) => void} [tell] called with how far it is, where that takes a while
 * @returns {Promise<{ seen: Uint8ClampedArray, cut: number[] | undefined, src: string, width: number, height: number }>}
 *   seen: (size, size, 3); cut: left, top, right and bottom of what is seen, as shares of the picture, where that is a part
 */
export async function readPicture(file, vision, tell = () => {}) {
  if (!file.size) throw new Error("The file is empty.");
  const { bytes, orientation, cut } = containerOf(new Uint8Array(await file.arrayBuffer()));
  let bitmap;
  try {
    if (cut) throw new Error("the end is missing");
    bitmap = await createImageBitmap(new Blob([/** @type {any} */ (bytes)], { type: file.type }), { colorSpaceConversion: "none" });
  } catch {
    throw new Error(
      "This file is no picture that your browser can read, or it is damaged or cut short. Try a PNG, JPEG or WebP.",
    );
  }
  const picture = upright(bitmap, orientation);
  const { width, height } = picture;
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
    const megapixels = Math.round((width * height) / 1e6);
    const told = (share) => megapixels > 2 && tell(`Reading ${megapixels} megapixels: ${Math.floor(100 * share)} %.`);
    const { size } = vision;
    const whole = vision.crop // as the package's image processors round
      ? [width, height].map((length) => Math.floor((vision.edge * length) / Math.min(width, height)))
      : [size, size];
    const [left, top] = whole.map((length) => Math.floor((length - size) / 2));
    const filter = vision.bilinear ? FILTERS.bilinear : FILTERS.bicubic;
    return {
      seen: await resizeInBands(picture, whole, [left, top], size, filter, told),
      cut: vision.crop
        ? [left / whole[0], top / whole[1], (left + size) / whole[0], (top + size) / whole[1]]
        : undefined,
      src: thumbnail(picture),
      width,
      height,
    };
  } finally {
    bitmap.close();
  }
}

/**
 * What a picture's container says: whether its end is missing (browsers fill the rest with grey), and how it is to be
 * turned (EXIF's orientation, 1 to 8). Browsers turn JPEG and no WebP; in `bytes` none is left for them to turn.
 * @param {Uint8Array} bytes
 */
export function containerOf(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const text = (at, length) => String.fromCharCode(...bytes.subarray(at, at + length));
  const found = { bytes, orientation: 1, cut: false };
  const exif = (at, length) => {
    if (text(at, 6) === "Exif\0\0") [at, length] = [at + 6, length - 6];
    found.orientation = takeOrientation(new DataView(bytes.buffer, bytes.byteOffset + at, length)) ?? found.orientation;
  };
  try {
    if (view.getUint16(0) === 0xffd8) {
      let at = 2;
      for (let marker; at < bytes.length && (marker = view.getUint16(at)) !== 0xffda; ) {
        const length = view.getUint16(at + 2);
        if (marker === 0xffe1 && text(at + 4, 6) === "Exif\0\0") exif(at + 4, length - 2);
        at += 2 + length;
      }
      found.cut = true;
      for (let end = bytes.length - 2; found.cut && end > at; end--) {
        found.cut = !(bytes[end] === 0xff && bytes[end + 1] === 0xd9);
      }
    } else if (text(1, 3) === "PNG") {
      found.cut = true;
      for (let at = 8; at < bytes.length; at += 12 + view.getUint32(at)) {
        if (text(at + 4, 4) === "eXIf") exif(at + 8, view.getUint32(at));
        found.cut &&= text(at + 4, 4) !== "IEND";
      }
    } else if (text(0, 4) === "RIFF" && text(8, 4) === "WEBP") {
      found.cut = 8 + view.getUint32(4, true) > bytes.length;
      for (let at = 12, length; at + 8 < bytes.length; at += 8 + length + (length % 2)) {
        length = view.getUint32(at + 4, true);
        if (text(at, 4) === "EXIF") exif(at + 8, length);
      }
    }
  } catch {
    found.cut = true; // a length that leads beyond the end
  }
  return found;
}

/** EXIF's orientation, 1 in its place afterwards; undefined where there is none. */
function takeOrientation(tiff) {
  try {
    const little = tiff.getUint16(0) === 0x4949;
    const first = tiff.getUint32(4, little);
    for (let entry = 0; entry < tiff.getUint16(first, little); entry++) {
      const at = first + 2 + 12 * entry;
      if (tiff.getUint16(at, little) !== 0x0112) continue;
      const value = tiff.getUint16(at + 8, little);
      tiff.setUint16(at + 8, 1, little);
      return value >= 1 && value <= 8 ? value : undefined;
    }
  } catch {
    // EXIF that is cut or odd turns nothing
  }
  return undefined;
}

/** A picture turned as its orientation says: itself, or a canvas. */
function upright(bitmap, orientation) {
  if (orientation === 1) return bitmap;
  const { width, height } = bitmap;
  const turned = orientation > 4;
  const canvas = Object.assign(document.createElement("canvas"), {
    width: turned ? height : width,
    height: turned ? width : height,
  });
  const context = canvas.getContext("2d");
  const [a, b, c, d, e, f] = [
    [-1, 0, 0, 1, width, 0],
    [-1, 0, 0, -1, width, height],
    [1, 0, 0, -1, 0, height],
    [0, 1, 1, 0, 0, 0],
    [0, 1, -1, 0, height, 0],
    [0, -1, -1, 0, height, width],
    [0, -1, 1, 0, 0, width],
  ][orientation - 2];
  context.transform(a, b, c, d, e, f);
  context.drawImage(bitmap, 0, 0);
  return canvas;
}

/**
 * Whether a picture looks like a photograph, as the package tells it: by its number of colours, or by its having none.
 * @param {Uint8ClampedArray} seen (size, size, 3) levels
 * @param {{ mostColours: number, mostGreys: number, greyLevels: number, colouredShare: number }} bounds
 */
export function looksLikePhotograph(seen, { mostColours, mostGreys, greyLevels, colouredShare }) {
  let coloured = 0;
  for (let i = 0; i < seen.length; i += 3) {
    const pixel = [seen[i], seen[i + 1], seen[i + 2]];
    if (Math.max(...pixel) - Math.min(...pixel) > greyLevels) coloured++;
  }
  const colours = distinctColours(seen);
  return colours > (coloured <= colouredShare * (seen.length / 3) ? mostGreys : mostColours);
}

function distinctColours(seen) {
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
  return dataUri(onWhite(bitmap, 0, [bitmap.width, bitmap.height], width, height).canvas);
}

/** A canvas as data URI: PNG where that is small (drawings), else WebP (JPEG in browsers that write none). */
function dataUri(canvas) {
  const drawn = canvas.toDataURL("image/png");
  return drawn.length < MOST_OF_A_DRAWING ? drawn : lossy(canvas, 0.88);
}

/** A canvas as data URI: WebP of a quality, JPEG in browsers that write none. */
export function lossy(canvas, quality) {
  const packed = canvas.toDataURL("image/webp", quality);
  return packed.startsWith("data:image/webp") ? packed : canvas.toDataURL("image/jpeg", quality);
}

/** A canvas with what the encoder sees: (size, size, 3) levels. */
export function bitmapOf(seen, size) {
  const canvas = Object.assign(document.createElement("canvas"), { width: size, height: size });
  const image = new ImageData(size, size);
  for (let i = 0; i < size * size; i++)
    image.data.set([seen[3 * i], seen[3 * i + 1], seen[3 * i + 2], 255], 4 * i);
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

/**
 * The order of the two passes counts, as each rounds to whole levels. Pillow 13, whose rule was found by trying, begins
 * with the columns where they lose more than twice as many pixels as the rows do; older versions never do.
 */
async function resizeInBands(bitmap, whole, [left, top], size, filter, told) {
  const { width, height } = bitmap;
  const across = resampling(width, whole[0], filter).slice(left, left + size);
  const down = resampling(height, whole[1], filter).slice(top, top + size);
  const seen = new Uint8ClampedArray(size * size * 3);
  if (height > whole[1] && height - whole[1] > 2 * (width - whole[0])) {
    const sums = new Float64Array(size * width * 3); // each column resized
    const addRow = (data, start, y) => {
      down.forEach(({ first, weights }, to) => {
        const weight = weights[y - first];
        if (!weight) return;
        for (let x = 0; x < width; x++) {
          for (let colour = 0; colour < 3; colour++)
            sums[(to * width + x) * 3 + colour] += weight * data[start + 4 * x + colour];
        }
      });
    };
    await eachRow(bitmap, addRow, told);
    const low = Uint8ClampedArray.from(sums, (value) => Math.floor(value + 0.5));
    for (let y = 0; y < size; y++) resampleLine(low, y * width * 3, 3, seen, y * size * 3, 3, across);
  } else {
    const narrow = new Uint8ClampedArray(height * size * 3); // each row resized
    const narrowRow = (data, start, y) => resampleLine(data, start, 4, narrow, y * size * 3, 3, across);
    await eachRow(bitmap, narrowRow, told);
    for (let x = 0; x < size; x++) resampleLine(narrow, 3 * x, 3 * size, seen, 3 * x, 3 * size, down);
  }
  return seen;
}

/**
 * Call with the pixels of each row, four numbers each, decoded band by band: a large photograph fits in memory, and the
 * page goes on between two bands.
 */
async function eachRow(bitmap, use, told) {
  const { width, height } = bitmap;
  for (let top = 0; top < height; top += BAND) {
    const rows = Math.min(BAND, height - top);
    const { data } = onWhite(bitmap, top, [width, rows], width, rows).getImageData(0, 0, width, rows);
    for (let y = 0; y < rows; y++) use(data, y * width * 4, top + y);
    if (width * height < ONE_GO) continue;
    told((top + rows) / height);
    await new Promise((resolve) => setTimeout(resolve));
  }
}

// Pillow's filters: how far each reaches, in pixels of the smaller picture, and its weight at a distance.
const FILTERS = {
  bilinear: { reach: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
  bicubic: {
    reach: 2,
    weight(x) {
      x = Math.abs(x);
      if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
      return x < 2 ? ((2.5 - 0.5 * x) * x - 4) * x + 2 : 0;
    },
  },
};

/** For each of `to` pixels: the first of `from` pixels that it averages, and their weights. */
function resampling(from, to, { reach, weight }) {
  const scale = from / to;
  const wide = Math.max(1, scale);
  if (from === to) return Array.from({ length: to }, (_, i) => ({ first: i, weights: [1] }));
  return Array.from({ length: to }, (_, i) => {
    const centre = (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - reach * wide + 0.5));
    const last = Math.min(from, Math.trunc(centre + reach * wide + 0.5));
    const weights = Array.from({ length: last - first }, (_, k) => weight((k + first - centre + 0.5) / wide));
    const sum = weights.reduce((total, weight) => total + weight, 0);
    return { first, weights: weights.map((weight) => weight / sum) };
  });
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
