// The way to the worker: its model, fetched with a percentage, and the runs that it is asked for.
//
// A run is what is encoded: { id, picture, model, p, accuracy, published }. Every message of the worker's carries the id of the run
// that it is about; of any other than the last one they are dropped here.

import { normalised } from "./pictures.js";

export const BASE = new URL(".", /** @type {HTMLScriptElement} */ (document.currentScript).src);
const ASKED = new URLSearchParams(location.search);
const WANTED = ASKED.get("engine"); // "wasm", "webgpu" (simulated ones too), or null
const MOST_WORKERS = 4;
const WITH_ROOM = 1.1; // of a picture's weights: with room for what is computed

/**
 * Workers that encode at once: one for two hardware threads, which share a core's arithmetic, and no more than memory
 * bears, as each keeps its own copy of the weights that pictures take.
 */
function workersFor(record) {
  const { deviceMemory = 4, hardwareConcurrency = 2 } = /** @type {any} */ (navigator);
  const memory = deviceMemory >= 8 ? 2e9 : 1e9;
  const bytes = (tensors) => tensors.reduce((sum, [, shape]) => sum + 4 * shape.reduce((x, y) => x * y, 1), 0);
  const pictures = bytes(record.tensors.filter(([name]) => name.startsWith("vis")));
  const borne = Math.floor((memory - (record.packed ?? bytes(record.tensors))) / (pictures * WITH_ROOM)) + 1;
  const wanted = Number(ASKED.get("workers")) || Math.ceil(hardwareConcurrency / 2);
  return Math.max(1, Math.min(MOST_WORKERS, wanted, borne));
}

export class Engine {
  /**
   * @param {any} facts what fixlip_helpers.export wrote
   * @param {(message: any) => void} hear called with the messages of the last run
   */
  constructor(facts, hear) {
    this.facts = facts;
    this.hear = hear;
    /** @type {Worker | null} */
    this.worker = null;
    /** @type {Worker[]} */
    this.helpers = []; // workers that encode pictures for that one
    this.model = null; // name of the one that the worker holds
    this.run = null; // the last run, until it is cancelled
    this.asked = null; // captions of it that were asked for while its model was on its way
    this.loading = Promise.resolve(); // models are loaded one after the other
    /** @type {(sentence: string) => void} */
    this.tell = () => {};
  }

  /** Explain a picture by captions. */
  async explain(run, captions) {
    this.run = run;
    try {
      await this.ready(run.model);
    } catch (error) {
      if (this.run === run) this.heard({ type: "failed", id: run.id, message: error.message });
      return;
    }
    if (this.run !== run) return;
    const pixels = normalised(run.picture.seen, this.facts.models[run.model].vision);
    const { id, p, accuracy, published } = run;
    const asked = { id, pixels, captions: this.asked ?? captions, p, accuracy, published };
    this.worker.postMessage({ type: "explain", ...asked }, [pixels.buffer]);
    this.asked = null;
  }

  /** Explain the picture of the last run by other captions. */
  recaption(captions) {
    if (this.model === this.run.model) this.worker.postMessage({ type: "captions", id: this.run.id, captions });
    else this.asked = captions; // the model is on its way
  }

  /** Whatever the last run still sends is dropped. */
  cancel() {
    this.run = this.asked = null;
    this.worker?.postMessage({ type: "cancel" });
  }

  /** A worker with this model in it. */
  ready(name) {
    this.loading = this.loading.catch(() => {}).then(() => (this.model === name ? undefined : this.load(name)));
    return this.loading;
  }

  async load(name) {
    const said = (share) =>
      this.tell(`Loading ${name}${share === null ? " (5 MB, once)" : `: ${Math.floor(100 * share)} %`}.`);
    const { opened, ...record } = this.facts.models[name];
    if (!opened) {
      await weightsOf(name, record.bytes, said);
      record.tensors = globalThis.fixlipWeights[name].tensors;
    }
    for (const worker of [this.worker, ...this.helpers]) worker?.terminate();
    this.helpers = [];
    this.model = null;
    const worker = (this.worker = await this.start(record, opened, said));
    worker.onmessage = ({ data }) => (data.type === "alone" ? this.help(record, opened) : this.heard(data));
    worker.onerror = (event) => {
      event.preventDefault();
      this.model = null;
      this.heard({ type: "failed", id: this.run?.id, message: `The encoder stopped: ${event.message}` });
    };
    this.model = name;
    this.tell("");
  }

  /** A worker with a model's encoder in it; with a port, one that encodes pictures for who has its other end. */
  async start(record, opened, said, port) {
    const source = new Blob([`"use strict";\n${WORKER}\nserve(self);`], { type: "text/javascript" });
    const address = URL.createObjectURL(source);
    let worker;
    try {
      worker = new Worker(address);
    } catch {
      throw new Error("This browser lets the page start no worker, which the encoder needs.");
    }
    try {
      await new Promise((resolve, reject) => {
        worker.onmessage = ({ data }) => {
          if (data.type === "loading") said(data.share);
          else if (data.type === "loaded") resolve();
          else reject(new Error(data.message));
        };
        worker.onerror = () =>
          reject(new Error("The worker, which runs the encoder, could not be started here."));
        const kernels = { fma: bytesOf(KERNELS.fma), plain: bytesOf(KERNELS.plain) };
        const source = opened
          ? { checkpoint: opened.weights }
          : { weights: bytesOf(globalThis.fixlipWeights[record.name].weights) };
        const moved = [...(opened ? [] : [source.weights.buffer]), ...(port ? [port] : [])];
        worker.postMessage({ type: "load", record, ...source, kernels, engine: WANTED, port }, moved);
      });
    } catch (error) {
      worker.terminate();
      throw error;
    }
    URL.revokeObjectURL(address);
    return worker;
  }

  /** Start the workers that memory and cores bear, one after the other; each helps as soon as it can. */
  async help(record, opened) {
    const { worker } = this;
    while (this.worker === worker && this.helpers.length + 1 < workersFor(record)) {
      const { port1, port2 } = new MessageChannel();
      const number = this.helpers.length;
      let helper;
      try {
        helper = await this.start(record, opened, () => {}, port1);
      } catch {
        return; // so many fit and no more: those that there are go on
      }
      if (this.worker !== worker) return helper.terminate();
      this.helpers.push(helper);
      helper.onerror = (event) => {
        event.preventDefault();
        worker.postMessage({ type: "lost", number });
      };
      worker.postMessage({ type: "helper", number, port: port2 }, [port2]);
    }
  }

  heard(message) {
    if (!this.run || message.id !== this.run.id) return;
    if (message.type === "failed") this.run = null;
    this.hear(message);
  }
}

/** Load a model's weights, with the share that has come (null: not known) as it comes. */
async function weightsOf(name, bytes, said) {
  if (globalThis.fixlipWeights?.[name]) return;
  said(null);
  const there = () => globalThis.fixlipWeights?.[name];
  let address = `${name}.js`;
  try {
    if (location.protocol.startsWith("http")) address = await fetched(address, bytes, said);
  } catch {
    // the script's own request says what is wrong, or does better
  }
  await script(address, there);
  if (address.startsWith("blob:")) URL.revokeObjectURL(address);
}

/** Fetch a script with the share that has come; the address of what came. */
async function fetched(name, bytes, said) {
  const response = await fetch(new URL(name, BASE));
  if (!response.ok) throw new Error(response.statusText);
  const reader = response.body.getReader();
  const parts = [];
  for (let come = 0, part; !(part = await reader.read()).done; ) {
    parts.push(part.value);
    come += part.value.length;
    said(Math.min(1, come / bytes));
  }
  return URL.createObjectURL(new Blob(parts, { type: "text/javascript" }));
}

/** Load one of the page's own scripts, unless what it brings is there. */
export function script(name, there) {
  if (there()) return Promise.resolve();
  return new Promise((resolve, reject) => {
    const element = document.createElement("script");
    element.src = new URL(name, BASE).href;
    element.onload = () => resolve();
    element.onerror = () =>
      reject(
        new Error(`The encoder's file ${name} could not be loaded: check the connection and press Explain again.`),
      );
    document.head.append(element);
  });
}

export function bytesOf(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}
