// Captions for a word-level vocabulary, cut as the models' tokenizer cuts them: lower case, no punctuation.

/** The words of a caption. */
export function wordsOf(text) {
  return text
    .normalize("NFKC")
    .toLowerCase()
    .split(/[\s\p{P}$+<=>^`|~]+/u)
    .filter(Boolean);
}

/**
 * A caption as the encoder reads it: { text, words, ids, players }; or { fault } with a sentence and, where words are
 * not known, { unknown, near } with the nearest known ones of each.
 * @param {string} text
 * @param {any} record the model's facts
 */
export function readCaption(text, record) {
  if (record.opened) return record.opened.read(text); // a model of the reader's brings its own vocabulary
  const words = wordsOf(text);
  if (!words.length) return { fault: "The caption is empty: type at least one word." };
  const unknown = words.filter((word) => !Object.hasOwn(record.vocabulary, word));
  if (unknown.length) {
    const known = Object.keys(record.vocabulary);
    const near = Object.fromEntries(unknown.map((word) => [word, nearest(word, known)]));
    const parts = Object.entries(near).map(
      ([word, by]) => `“${word}”${by.length ? ` (nearest: ${by.join(", ")})` : ""}`,
    );
    return { unknown: Object.keys(near), near, fault: `${record.name} does not know ${parts.join(", ")}.` };
  }
  if (words.length > record.most_words) {
    return {
      fault: `The caption has ${words.length} words; ${record.name} reads at most ${record.most_words}.`,
    };
  }
  const ids = [...record.before, ...words.map((word) => record.vocabulary[word]), record.after];
  if (record.padding !== null) while (ids.length < record.context) ids.push(record.padding);
  return { text, words, ids, players: words.map((_, i) => [record.before.length + i]) };
}

/** Up to three known words within half of a word's length in edits, nearest first. */
export function nearest(word, known) {
  return known
    .map((other) => ({ other, distance: edits(word, other) }))
    .filter(({ other, distance }) => distance <= Math.max(word.length, other.length) / 2)
    .sort((a, b) => a.distance - b.distance || (a.other < b.other ? -1 : 1))
    .slice(0, 3)
    .map(({ other }) => other);
}

/** Insertions, deletions and replacements from one word to another. */
function edits(a, b) {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length];
}
