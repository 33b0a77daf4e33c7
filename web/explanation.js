// An Explanation's JSON (fixlip_helpers/assets/explanation.schema.json) and what can be computed from it.
// The same numbers as fixlip_helpers.explanation.Explanation gives; tests compare the two.

const INDICES = ["FWBII", "FSII", "exCLIP", "first-order"];
const MOST_PATCHES = 4096;
const PICTURE = /^data:image\/(png|jpeg|webp);base64,[A-Za-z0-9+/]+=*$/;

/**
 * The record in a file's text; throws an Error with a sentence where it is no explanation that can be shown.
 * Its picture, where it holds one, is meta.picture: { src: a data URI, alt, box }.
 */
export function readExplanation(text) {
  let record;
  try {
    record = JSON.parse(text);
  } catch {
    throw new Error("This file is no explanation: it is not JSON. Choose an explanation.json.");
  }
  const fault = faultOf(record);
  if (fault) throw new Error(`This file is no explanation that can be shown: ${fault}.`);
  return record;
}

/** What is wrong with a record, in words; null for an explanation on a grid of patches. */
function faultOf(record) {
  const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
  const finite = (value, count) => Array.isArray(value) && value.length === count && value.every(Number.isFinite);
  if (!isObject(record) || record.format !== "fixlip-explanation") {
    return 'it lacks "format": "fixlip-explanation", which Explanation.save, the command line and the page Try it write';
  }
  if (record.version !== 1) return `it has version ${JSON.stringify(record.version)}, and this page reads version 1`;
  const { n_image: patches, n_text: words, index, p, players, meta } = record;
  if (!INDICES.includes(index)) return `its index ${JSON.stringify(index)} is not one of ${INDICES.join(", ")}`;
  if (![patches, words].every((count) => Number.isInteger(count) && count > 0)) return "it has no patches or no words";
  const n = patches + words;
  if (!Array.isArray(players) || players.length !== n || !players.every((name) => typeof name === "string")) {
    return `it does not name its ${n} players`;
  }
  if (!finite(record.main, n) || !finite(record.pairs, (n * (n - 1)) / 2)) return "it is cut short, or numbers are missing";
  if (!Number.isFinite(record.baseline)) return "its baseline is no number";
  if (index === "FWBII" && !(p > 0 && p < 1)) return `its p is ${JSON.stringify(p)}, and should lie between 0 and 1`;
  if (!isObject(meta)) return "it lacks its meta";
  const isGrid = (grid, count) => finite(grid, 2) && grid.every(Number.isInteger) && grid[0] * grid[1] === count;
  const owner = meta.image_groups?.owner;
  const isOwner = (player) => Number.isInteger(player) && player >= -1 && player < patches;
  const grouped = Array.isArray(owner) && owner.every(isOwner) && isGrid(meta.image_groups.grid, owner.length);
  if (!(meta.grid ? isGrid(meta.grid, patches) : grouped)) return "its image players are not patches of a grid";
  const count = meta.grid ? patches : owner.length;
  if (count > MOST_PATCHES) return `it has ${count} patches, and at most ${MOST_PATCHES} can be shown`;
  const inWords = (entry) =>
    Array.isArray(entry) &&
    typeof entry[0] === "string" &&
    Array.isArray(entry[1]) &&
    entry[1].every((i) => Number.isInteger(i) && i >= patches && i < n);
  if (meta.words !== undefined && !(Array.isArray(meta.words) && meta.words.every(inWords))) return "its words are no words";
  const { picture } = meta;
  if (picture !== undefined && !(isObject(picture) && PICTURE.test(picture.src))) return "its picture is none";
  if (picture?.box !== undefined && !(finite(picture.box, 4) && picture.box.every((x) => x >= 0 && x <= 1))) {
    return "the box of its picture is none";
  }
  return null;
}

/** Read a record: a full symmetric matrix of pairs in place of its upper triangle. Throws if it is something else. */
export function decode(record) {
  if (record.format !== "fixlip-explanation" || record.version !== 1) {
    throw new Error('not an explanation: expected "format": "fixlip-explanation" and "version": 1');
  }
  const n = record.n_image + record.n_text;
  const pairs = Array.from({ length: n }, () => new Float64Array(n));
  let next = 0;
  for (let i = 0; i < n; i++) {
    for (let j = i + 1; j < n; j++) {
      pairs[i][j] = pairs[j][i] = record.pairs[next++];
    }
  }
  const members = record.players.map((_, i) => [i]);
  return { ...record, main: Float64Array.from(record.main), pairs, members };
}

/** One number for each player: its main term and its share of its pairs (the paper's Theorem 1, for FIxLIP-p). */
export function firstOrder(e) {
  const share = { FWBII: [e.p, e.p], FSII: [0.5, 0.5], exCLIP: [1 / e.n_text, 1 / e.n_image] }[e.index] ?? [0, 0];
  return e.main.map((value, i) => value + share[i < e.n_image ? 0 : 1] * sum(e.pairs[i]));
}

/** Treat each group of players as one. Groups: [{ name, members: [player numbers] }]; the others stay alone. */
export function merge(e, groups) {
  const grouped = new Set(groups.flatMap((group) => group.members));
  const parts = groups.map((group) => ({ name: group.name, members: [...group.members].sort((a, b) => a - b) }));
  for (let i = 0; i < e.players.length; i++) {
    if (!grouped.has(i)) parts.push({ name: e.players[i], members: [i] });
  }
  parts.sort((a, b) => a.members[0] - b.members[0]);
  const pairs = parts.map((row) => Float64Array.from(parts, (column) => (row === column ? 0 : between(e, row, column))));
  const main = Float64Array.from(parts, (part) => sum(part.members.map((i) => e.main[i])) + between(e, part, part) / 2);
  const n_image = parts.filter((part) => part.members[0] < e.n_image).length;
  return {
    ...e,
    main,
    pairs,
    n_image,
    n_text: parts.length - n_image,
    players: parts.map((part) => part.name),
    members: parts.map((part) => part.members.flatMap((i) => e.members[i])),
  };
}

/** The strongest partners of a player: [{ player, value }], largest absolute value first, zeros left out. */
export function partners(e, player, most) {
  const wordsWanted = player < e.n_image;
  return Array.from(e.pairs[player], (value, other) => ({ player: other, value }))
    .filter(({ player: other, value }) => value !== 0 && other >= e.n_image === wordsWanted)
    .sort((a, b) => Math.abs(b.value) - Math.abs(a.value))
    .slice(0, most);
}

/** Largest absolute interaction of a patch with a word, where the colours of pairs end. */
export function pairLimit(e) {
  let limit = 0;
  for (let i = 0; i < e.n_image; i++) {
    for (let j = e.n_image; j < e.players.length; j++) limit = Math.max(limit, Math.abs(e.pairs[i][j]));
  }
  return limit || 1;
}

/** Largest absolute number of a list, or 1 if all are zero. */
export function limitOf(values) {
  return values.reduce((limit, value) => Math.max(limit, Math.abs(value)), 0) || 1;
}

function between(e, row, column) {
  let total = 0;
  for (const i of row.members) for (const j of column.members) total += e.pairs[i][j];
  return total;
}

export function sum(values) {
  return values.reduce((total, value) => total + value, 0);
}
