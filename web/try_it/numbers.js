// What the page says about a record (an Explanation's JSON) beyond what the explorer computes.

import { decode, firstOrder } from "../explanation.js";

/** The strongest pairs of a patch and a word: [{ patch, word, value }], largest absolute value first. */
export function strongest(record, most) {
  const { pairs } = decode(record);
  const found = [];
  for (let patch = 0; patch < record.n_image; patch++) {
    for (let word = record.n_image; word < record.players.length; word++) {
      found.push({ patch, word, value: pairs[patch][word] });
    }
  }
  return found.sort((a, b) => Math.abs(b.value) - Math.abs(a.value)).slice(0, most);
}

/** The patches of the picture: rows, columns, and the image player of each, -1 for none. */
export function patchesOf({ n_image, meta }) {
  const [rows, columns] = meta.grid ?? meta.image_groups.grid;
  const owner = meta.grid ? Array.from({ length: n_image }, (_, i) => i) : meta.image_groups.owner;
  return { rows, columns, owner };
}

/** The explanation of the difference of two scores, as Explanation.__sub__ gives it. */
export function difference(a, b) {
  const kept = Object.entries(a.meta).filter(
    ([key, value]) => JSON.stringify(value) === JSON.stringify(b.meta[key]),
  );
  return {
    ...a,
    baseline: a.baseline - b.baseline,
    empty_value: a.empty_value - b.empty_value,
    main: a.main.map((value, i) => value - b.main[i]),
    pairs: a.pairs.map((value, i) => value - b.pairs[i]),
    players: a.players.map((name, i) => (name === b.players[i] ? name : `${name}/${b.players[i]}`)),
    meta: { ...Object.fromEntries(kept), order: a.meta.order },
  };
}

/** What the map shows: a number for each patch (its value, or its pair with a word), each word's value, and the limits. */
export function shownNumbers(record, player) {
  const e = decode(record);
  const values = [...firstOrder(e)];
  const word = player !== null && player >= e.n_image ? player : null;
  const heat = Array.from({ length: e.n_image }, (_, i) => (word === null ? values[i] : e.pairs[i][word]));
  const largest = (numbers) => Math.max(...numbers.map(Math.abs)) || 1;
  const limit = word === null ? largest(values) : largest(strongest(record, 1).map(({ value }) => value));
  const words = values.slice(e.n_image);
  return { word, heat, limit, words, longest: largest(words) };
}
