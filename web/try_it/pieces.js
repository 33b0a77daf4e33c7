// Captions for a vocabulary of pieces, as CLIP and SigLIP have: by the Hugging Face tokenizer (tokenizers.js), which
// knows what a model's tokenizer.json says, framed as VisionLanguageModel.tokenize of the package frames them. A word
// is a player, whatever pieces it is cut into, or each piece is one.

const GEMMA_VOCABULARY = 256_000; // by this, too, the package tells SigLIP 2 from SigLIP

/**
 * What reads captions for an opened model.
 * @param {any} Tokenizer the class of @huggingface/tokenizers
 * @param {{ json: any, config: any }} files tokenizer.json and tokenizer_config.json, or {}
 * @param {any} record the model's facts
 * @returns {(text: string, pieces?: boolean) => any} as readCaption of captions.js; throws a sentence where the files do not fit
 */
export function pieceReader(Tokenizer, { json, config }, record) {
  let tokenizer, added;
  try {
    tokenizer = new Tokenizer(json, config);
    tokenizer.encode("a");
    added = [...tokenizer.get_added_tokens_decoder()];
  } catch (error) {
    throw new Error(`tokenizer.json cannot be used (${error.message}).`);
  }
  const clip = record.family === "clip";
  const multilingual =
    !clip &&
    (/^(Gemma|Siglip2)/.test(config.tokenizer_class) || record.text.vocabulary === GEMMA_VOCABULARY);
  const extra = new Set(added.map(([id]) => id));
  const special = new Set(added.filter(([, token]) => token.special).map(([id]) => id));
  const idOf = (token, otherwise) => tokenizer.token_to_id(token?.content ?? token ?? otherwise);
  const end = multilingual ? [idOf(config.eos_token, "<eos>")] : [];
  const padding = idOf(config.pad_token, multilingual ? "<pad>" : "</s>");

  return (caption, pieces = false) => {
    let text = caption.trim().split(/\s+/).join(" ");
    if (!text) return { fault: "The caption is empty: type at least one word." };
    if (multilingual) text = text.toLowerCase();
    const { ids: content, tokens } = tokenizer.encode(text, { add_special_tokens: false });
    const known = record.text.vocabulary;
    if (content.some((id) => !(id < known))) {
      return {
        fault: `tokenizer.json gives a token that the model does not have: the files belong to different models.`,
      };
    }
    const token = tokens[content.findIndex((id) => special.has(id))];
    if (token) return { fault: `The caption holds ${token}, a special token of the model: use plain text.` };
    if (content.length > record.most_words) {
      return {
        fault: `The caption has ${content.length} pieces of words; ${record.name} reads at most ${record.most_words}: shorten it.`,
      };
    }
    const ids = multilingual ? [...content, ...end] : tokenizer.encode(text).ids;
    const first = ids.findIndex((_, at) => content.every((id, i) => ids[at + i] === id));
    const groups = [];
    const whole = content.map((id) => extra.has(id)); // a token that was added carries no mark: it is a word
    tokens.forEach((piece, i) => {
      const marked = clip ? tokens[i - 1]?.endsWith("</w>") : piece.startsWith("▁");
      if (!i || pieces || marked || whole[i - 1] || (whole[i] && tokens[i - 1] !== "▁")) groups.push([]);
      groups.at(-1).push(i);
    });
    if (!clip) while (ids.length < record.context) ids.push(padding);
    return {
      text: caption,
      whole: !pieces, // words as players
      words: groups.map((group) => (clip ? decoded : spelled)(group, content, tokens, tokenizer).normalize("NFC")),
      ids,
      players: groups.map((group) => group.map((i) => first + i)),
    };
  };
}

/** What a word's pieces spell without their marks; those that spell bytes are bytes. */
function spelled(group, _ids, tokens) {
  const bytes = group.flatMap((i) => {
    const byte = /^<0x([0-9A-F]{2})>$/.exec(tokens[i]);
    return byte ? [parseInt(byte[1], 16)] : [...new TextEncoder().encode(tokens[i].replaceAll("▁", ""))];
  });
  return new TextDecoder().decode(Uint8Array.from(bytes)) || "▁";
}

/** What a word's pieces of CLIP spell; the pieces themselves where they are parts of a letter. */
function decoded(group, ids, tokens, tokenizer) {
  const name = tokenizer.decode(group.map((i) => ids[i])).trim();
  return name && !name.includes("\uFFFD") ? name : group.map((i) => tokens[i].replace("</w>", "")).join("");
}
