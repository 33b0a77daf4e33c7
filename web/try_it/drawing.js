// A result as one picture: caption and score, the heat of a word (or of all values) on the picture, the words' values.

import { lift, signed } from "../explorer.js";
import { patchesOf, shownNumbers } from "./numbers.js";

const [SIDE, MARGIN, LINE] = [560, 24, 34];
const FAMILY = 'system-ui, "DejaVu Sans", sans-serif';
const [INK, MUTED] = ["#1f2328", "#57606a"];
const colourOf = (value) => (value < 0 ? "#1f5fbf" : "#c4161c");

/**
 * @param {any} record the explanation, perhaps a difference
 * @param {{ src: string, box?: number[] }} picture the one that it explains
 * @param {number | null} player whose pairs are shown, a word; else the patches' own values
 * @param {{ title: string, score: string, source: string }} said
 * @returns {Promise<HTMLCanvasElement>}
 */
export async function drawingOf(record, picture, player, said) {
  const image = new Image();
  image.src = picture.src;
  await image.decode();
  const { word, heat, limit, words, longest } = shownNumbers(record, player);
  const names = record.players.slice(record.n_image);
  const high = Math.round((SIDE * image.naturalHeight) / image.naturalWidth);
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d");
  const font = (size, weight = "") => `${weight} ${size}px ${FAMILY}`;
  context.font = font(22, "bold");
  const title = wrapped(context, said.title, SIDE);
  const top = MARGIN + 30 * title.length + 32;
  canvas.width = SIDE + 2 * MARGIN;
  canvas.height = top + high + MARGIN + LINE * (names.length + 2) + MARGIN / 2;
  context.fillStyle = "white";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.textBaseline = "middle";
  const write = (text, x, y, size, style = INK, weight = "", most = canvas.width - x - MARGIN) => {
    context.fillStyle = style;
    context.font = font(size, weight);
    context.fillText(text, x, y, most);
  };
  title.forEach((line, i) => write(line, MARGIN, MARGIN + 12 + 30 * i, 22, INK, "bold"));
  write(said.score, MARGIN, top - 22, 17);

  // The picture in light grey, a dark one made lighter first: pixel by pixel, since not every browser has filters here.
  context.imageSmoothingEnabled = image.naturalWidth > 256;
  context.drawImage(image, MARGIN, top, SIDE, high);
  const pixels = context.getImageData(MARGIN, top, SIDE, high);
  const by = lift(image);
  for (let i = 0; i < pixels.data.length; i += 4) {
    const grey = 0.299 * pixels.data[i] + 0.587 * pixels.data[i + 1] + 0.114 * pixels.data[i + 2];
    pixels.data.fill(Math.round(133 + 0.48 * Math.min(255, by * grey)), i, i + 3);
  }
  context.putImageData(pixels, MARGIN, top);
  const { rows, columns, owner } = patchesOf(record);
  const [left, upper, right, lower] = picture.box ?? [0, 0, 1, 1];
  const [width, height] = [((right - left) * SIDE) / columns, ((lower - upper) * high) / rows];
  owner.forEach((player, i) => {
    const value = heat[player] ?? 0;
    context.globalAlpha = 0.9 * Math.min(1, Math.abs(value) / limit);
    context.fillStyle = colourOf(value);
    const [column, row] = [i % columns, Math.floor(i / columns)];
    context.fillRect(MARGIN + left * SIDE + column * width, top + upper * high + row * height, width, height);
  });
  context.globalAlpha = 1;

  const what = word === null ? "value of each patch" : `each patch with “${record.players[word]}”`;
  const below = top + high + MARGIN;
  const key = `${what}: red raises (+), blue lowers (−), to ±${limit.toFixed(2)} logits`;
  write(key, MARGIN, below, 15, MUTED);
  const zero = 340;
  names.forEach((name, j) => {
    const y = below + LINE * (j + 1);
    const long = (Math.abs(words[j]) / longest) * 130;
    write(name, MARGIN, y, 18, INK, word === record.n_image + j ? "bold" : "", 160);
    context.fillStyle = colourOf(words[j]);
    context.fillRect(words[j] < 0 ? zero - long : zero, y - LINE / 4, long, LINE / 2);
    write(signed(words[j], 2), 500, y, 18);
  });
  context.fillStyle = MUTED;
  context.fillRect(zero, below + LINE / 2, 1, LINE * names.length);
  write(`bars: value of each word; ${said.source}`, MARGIN, below + LINE * (names.length + 1), 15, MUTED);
  return canvas;
}

/** A text in lines that fit into a width. */
function wrapped(context, text, width) {
  const lines = [];
  for (const word of text.split(" ")) {
    const longer = lines.length ? `${lines.at(-1)} ${word}` : word;
    if (lines.length && context.measureText(longer).width <= width) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}
