// A model from the Hugging Face Hub: its files asked for by name, what has come kept in the browser's private storage.
//
// Nothing here begins by itself: the page asks its reader first (shelf.js). Of the weights, tensors that the encoder
// needs are fetched, those that lie side by side in one request of at most PIECE bytes, each kept as it comes; so a line
// that breaks costs at most one of them. The vocabulary is fetched whole: a request for some of its rows would tell the
// host the words of the caption. A file's claims are checked as one from disk is (checkpoint.js), before its weights are
// asked for.

import { PREPROCESSOR, megabytes, openCheckpoint, short } from "./checkpoint.js";

const PIECE = 16_000_000; // bytes of one request at most
const SURPLUS = 1.02; // what the hub may have beyond the bytes that the reader agreed to: they were rounded
const TRIES = 4; // of a request that nothing comes of
const LONGEST_WAIT = 60_000; // milliseconds that a host which is busy is waited for, at most
const SHELF = "fixlip-models"; // name of the cache
const DESCRIPTIONS = ["config.json", "tokenizer.json", PREPROCESSOR, "tokenizer_config.json"];
const WEIGHTS = "model.safetensors";

/**
 * Fetch a model of the list, or what is missing of it; what is kept is not asked for again.
 * @param {{ base: string, wait: number }} hub address, and milliseconds before a second try
 * @param {{ name: string, revision: string, bytes: number }} model bytes: what the reader agreed to
 * @param {Store} store
 * @param {{ signal: AbortSignal, progress: (done: number, total: number) => void }} call
 * @returns {Promise<any>} as openCheckpoint has it; record.revision is the commit. Throws a sentence, and what
 *   `signal` was aborted with.
 */
export async function fetchModel(hub, model, store, { signal, progress }) {
  const source = new Source(hub, model, store, signal);
  const { sha, sizes } = await source.list();
  for (const name of ["config.json", "tokenizer.json", WEIGHTS]) {
    if (!Object.hasOwn(sizes, name)) throw new Error(`${source.host} has no ${name} of ${model.name} at ${sha.slice(0, 7)}.`);
  }
  const total = [...DESCRIPTIONS, WEIGHTS].reduce((sum, name) => sum + (sizes[name] ?? 0), 0);
  if (total > model.bytes * SURPLUS) {
    throw new Error(
      `${source.host} has ${megabytes(total)} of ${model.name} where ${megabytes(model.bytes)} were announced: nothing of it was fetched.`,
    );
  }
  let done = 0;
  source.heard = (bytes) => progress(Math.min(total, (done += bytes)), total);
  const files = [];
  for (const name of DESCRIPTIONS) {
    if (!Object.hasOwn(sizes, name)) continue;
    files.push(new File([await source.part(name, 0, sizes[name], sizes[name])], name));
  }
  let broken = null; // what a part was not had for, which openCheckpoint would call a damaged file
  const part = (begin, end) =>
    source.part(WEIGHTS, begin, end, sizes[WEIGHTS]).catch((error) => {
      throw (broken = error);
    });
  const remote = {
    name: WEIGHTS,
    size: sizes[WEIGHTS],
    slice: (begin, end) => ({
      arrayBuffer: async () => (await part(begin, end)).arrayBuffer(),
      text: async () => (await part(begin, end)).text(),
    }),
  };
  let opened;
  try {
    opened = await openCheckpoint([...files, remote]);
  } catch (error) {
    if (!broken) await store.forget(source.key("")); // else it would be refused again, whatever the hub has by then
    throw broken ?? error;
  }
  const { record, tokenizer } = opened;
  const pieces = [];
  for (const [begin, end] of requestsFor(record.tensors)) pieces.push({ begin, end, blob: await part(begin, end) });
  record.tensors = shifted(record.tensors, pieces);
  record.name = record.path = model.name;
  record.revision = sha;
  await store.put(source.key("list"), new Blob([JSON.stringify({ sha, sizes, total })]), "");
  progress(total, total);
  return { record, weights: new Blob(pieces.map(({ blob }) => blob)), tokenizer };
}

/** The bytes of some tensors, side by side as in their file, cut into pieces: [begin, end] of each, in order. */
export function requestsFor(tensors) {
  const pieces = [];
  const spans = tensors.map(([, , , begin, end]) => [begin, end]).sort((one, other) => one[0] - other[0] || one[1] - other[1]);
  let reached = 0;
  for (const [first, end] of spans) {
    for (let begin = Math.max(first, reached); begin < end; ) {
      const last = pieces.at(-1);
      if (last?.[1] === begin && last[1] - last[0] < PIECE) {
        begin = last[1] = Math.min(end, last[0] + PIECE);
      } else {
        pieces.push([begin, Math.min(end, begin + PIECE)]);
        begin = pieces.at(-1)[1];
      }
    }
    reached = Math.max(reached, end);
  }
  return pieces;
}

/** The tensors as they lie in the pieces put one after the other. */
function shifted(tensors, pieces) {
  let behind = 0;
  const starts = pieces.map(({ begin, end }) => {
    const start = behind;
    behind += end - begin;
    return start;
  });
  return tensors.map(([name, shape, dtype, begin, end]) => {
    const at = pieces.findIndex((piece) => piece.begin <= begin && begin < piece.end);
    const start = starts[at] + begin - pieces[at].begin;
    return [name, shape, dtype, start, start + end - begin];
  });
}

/** One model at the hub. */
class Source {
  constructor({ base, wait }, model, store, signal) {
    this.base = base;
    this.wait = wait;
    this.model = model;
    this.store = store;
    this.signal = signal;
    this.host = new URL(base).hostname;
    this.sha = model.revision;
    this.tag = null; // of the weights' file, where the host tells it
    /** @type {(bytes: number) => void} */
    this.heard = () => {};
  }

  key(what) {
    return `${this.base}/${this.model.name}/resolve/${this.model.revision}/${what}`;
  }

  /** The commit that answers, and the sizes of its files; what was kept of a model that is whole is believed. */
  async list() {
    const { host, model } = this;
    const kept = await this.store.list(this.key(""));
    let { sha, sizes } = kept ?? {};
    if (!kept) {
      const address = `${this.base}/api/models/${model.name}/revision/${model.revision}?blobs=true`;
      const { blob } = await this.fetched(address, "the list of its files");
      const found = parsed(await blob.text());
      const entries = Array.isArray(found?.siblings) ? found.siblings.filter(Boolean) : [];
      sha = found?.sha;
      sizes = Object.fromEntries(
        entries.flatMap(({ rfilename, size }) => ([...DESCRIPTIONS, WEIGHTS].includes(rfilename) ? [[rfilename, size]] : [])),
      );
    }
    const right = Object.values(sizes).every((size) => Number.isSafeInteger(size) && size >= 0);
    if (!right || !/^[0-9a-f]{40}$/.test(sha)) {
      throw new Error(`${host} gave no list of the files of ${model.name} that this page can read.`);
    }
    this.sha = sha;
    return { sha, sizes };
  }

  /** Bytes of a file, kept or fetched; `size` is the file's. */
  async part(name, begin, end, size) {
    this.signal.throwIfAborted();
    const key = this.key(`${name}?bytes=${begin}-${end}`);
    const kept = await this.store.get(key);
    if (kept && kept.blob.size === end - begin && this.same(name, kept.tag)) {
      this.heard(end - begin);
      return kept.blob;
    }
    const ranged = name === WEIGHTS; // descriptions come whole, which a host may send packed
    const address = `${this.base}/${this.model.name}/resolve/${this.sha}/${name}`;
    const { blob, tag } = await this.fetched(address, name, { begin, end, size, ranged });
    if (!this.same(name, tag)) {
      await this.store.forget(this.key(""));
      throw new Error(`${name} of ${this.model.name} changed at ${this.host} while it was fetched: fetch it again.`);
    }
    return this.store.put(key, blob, tag);
  }

  /** Whether a part is of the same file as those before, as far as the host tells. */
  same(name, tag) {
    if (name !== WEIGHTS || !tag) return true;
    this.tag ??= tag;
    return this.tag === tag;
  }

  /** A part of a file, or all of it, over as many lines as it takes. */
  async fetched(address, what, range = null) {
    const parts = [];
    let come = 0;
    let tag = "";
    for (let tries = 0; ; ) {
      const before = come;
      const { end = 0, ranged = false, size = 0 } = range ?? {};
      const begin = (range?.begin ?? 0) + (ranged ? come : 0);
      if (!ranged) {
        this.heard(-come);
        parts.length = come = 0;
      }
      let failure;
      let pause = this.wait * 2 ** tries;
      try {
        const response = await fetch(address, {
          headers: ranged ? { Range: `bytes=${begin}-${end - 1}` } : {},
          signal: this.signal,
          credentials: "omit",
          referrerPolicy: "no-referrer",
          cache: "no-store",
        });
        tag = (response.headers.get("etag") ?? "").replace(/^W\//, "");
        failure = this.refusal(response, what, ranged, begin, end, size);
        if (failure.final) {
          await response.body?.cancel();
          throw failure.final;
        }
        if (failure.later) {
          pause = Math.min(LONGEST_WAIT, 1000 * Number(response.headers.get("retry-after")) || pause);
          await response.body?.cancel();
        } else {
          const reader = response.body.getReader();
          for (let part; !(part = await reader.read()).done; ) {
            parts.push(part.value);
            come += part.value.length;
            this.heard(part.value.length);
            if (range && come > range.end - range.begin) {
              await reader.cancel();
              throw new Wrong(`${this.host} sent more of ${what} than it has: it was not taken.`);
            }
          }
          if (!range || come === range.end - range.begin) return { blob: new Blob(parts), tag };
          failure.later = new Error(`${what} of ${this.model.name} ended early.`);
        }
      } catch (error) {
        this.signal.throwIfAborted();
        if (error instanceof Wrong) throw error;
        failure = {
          later: new Error(
            come
              ? `The line to ${this.host} broke.`
              : `${this.host} or the server that it named cannot be reached: there is no connection, or something between refuses it.`,
          ),
        };
      }
      tries = ranged && come > before ? 1 : tries + 1; // whatever came is progress
      if (tries >= TRIES) {
        this.heard(-come);
        throw new Error(`${failure.later.message} What has come before is kept: press again to go on.`);
      }
      await pausing(pause, this.signal);
    }
  }

  /** Why an answer is none: `final`, or `later` where it may become one. */
  refusal(response, what, ranged, begin, end, size) {
    const { status } = response;
    const of = `${what} of ${this.model.name}`;
    if (status === 429) return { later: new Error(`${this.host} asks to wait: it has had too many requests.`) };
    if (status >= 500) return { later: new Error(`${this.host} is out of order (status ${status}).`) };
    if (status === 404) return { final: new Wrong(`${this.host} has no ${of} at ${this.sha.slice(0, 7)}: it was moved or removed.`) };
    if (status === 401 || status === 403) return { final: new Wrong(`${this.host} gives ${of} to none without an account (status ${status}).`) };
    if (!response.ok) return { final: new Wrong(`${this.host} answered for ${of} with status ${status}.`) };
    if (!ranged) return {};
    if (status !== 206) {
      return {
        final: new Wrong(
          `${this.host} or something between sends ${WEIGHTS} as a whole only, of which a broken line would leave nothing: download it and open it from your disk.`,
        ),
      };
    }
    const said = response.headers.get("content-range"); // not every host lets a page read it
    if (said && said !== `bytes ${begin}-${end - 1}/${size}`) {
      return { final: new Wrong(`${this.host} sent ${short(said)} of ${of} where bytes ${begin} to ${end - 1} of ${size} were asked for.`) };
    }
    return {};
  }
}

class Wrong extends Error {}

/** What has come, in the browser's private storage (the Cache API), or in memory where a page may keep nothing. */
export class Store {
  static #opened;

  /** The page's one store. */
  static open() {
    return (Store.#opened ??= new Store().#begin());
  }

  /** @type {Cache | null} */
  #cache = null;
  #memory = new Map();
  reason = ""; // why nothing is kept

  async #begin() {
    const trial = "https://huggingface.co/trial-of-this-storage"; // a key, which nobody asks
    try {
      const cache = await caches.open(SHELF);
      await cache.put(trial, new Response("kept"));
      if ((await (await cache.match(trial)).text()) !== "kept") throw new Error();
      await cache.delete(trial);
      this.#cache = cache;
    } catch {
      this.reason = "this browser lets the page keep nothing, as in some private windows and from a folder";
    }
    return this;
  }

  /** @returns {Promise<{ blob: Blob, tag: string } | null>} */
  async get(key) {
    const found = this.#memory.get(key);
    if (found) return found;
    try {
      const response = await this.#cache?.match(key);
      return response ? { blob: await response.blob(), tag: response.headers.get("etag") ?? "" } : null;
    } catch {
      return null;
    }
  }

  /** Keep a part; what is given back lies where it is kept, on the disk rather than in memory. */
  async put(key, blob, tag) {
    if (this.#cache && !this.reason) {
      try {
        await this.#cache.put(key, new Response(blob, { headers: tag ? { etag: tag } : {} }));
        return (await this.get(key))?.blob ?? blob;
      } catch {
        this.reason = "there is no room left for it";
      }
    }
    this.#memory.set(key, { blob, tag });
    return blob;
  }

  /** What was noted when the model, whose keys begin so, was whole: { sha, sizes, total }; else null. */
  async list(start) {
    const found = await this.get(`${start}list`);
    return found ? parsed(await found.blob.text()) : null;
  }

  async drop(key) {
    this.#memory.delete(key);
    await this.#cache?.delete(key);
  }

  /** Drop whatever begins with a key. */
  async forget(start) {
    const keys = [...this.#memory.keys(), ...((await this.#cache?.keys()) ?? []).map(({ url }) => url)];
    for (const key of keys) if (key.startsWith(start)) await this.drop(key);
  }

  /** Bytes of all that has come, of models that are whole or not. */
  async bytes() {
    const keys = new Set([...this.#memory.keys(), ...((await this.#cache?.keys()) ?? []).map(({ url }) => url)]);
    let sum = 0;
    for (const key of keys) {
      const [, begin, end] = /\?bytes=(\d+)-(\d+)$/.exec(key) ?? [0, 0, 0];
      sum += Number(end) - Number(begin);
    }
    return sum;
  }
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function pausing(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    const stopped = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    signal.addEventListener("abort", stopped, { once: true });
  });
}
