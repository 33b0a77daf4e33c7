// The way to the worker: its model, fetched with a percentage, and the runs that it is asked for.
//
// A run is what is encoded: { id, picture, model, p, accuracy }. Every message of the worker's carries the id of the run
// that it is about; of any other than the last one they are dropped here.

import { normalised } from "./pictures.js";

const BASE = new URL(".", /** @type {HTMLScriptElement} */ (document.currentScript).src);
const WANTED = new URLSearchParams(location.search).get("engine"); // "wasm", "webgpu" (simulated ones too), or null

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
    const { id, p, accuracy } = run;
    this.worker.postMessage({ type: "explain", id, pixels, captions: this.asked ?? captions, p, accuracy }, [pixels.buffer]);
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
    this.worker?.terminate();
    this.model = null;
    const source = new Blob([`"use strict";\n${WORKER}\nserve(self);`], { type: "text/javascript" });
    const address = URL.createObjectURL(source);
    try {
      this.worker = new Worker(address);
    } catch {
      throw new Error("This browser lets the page start no worker, which the encoder needs.");
    }
    const { worker } = this;
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
        : { weights: bytesOf(globalThis.fixlipWeights[name].weights) };
      const moved = opened ? [] : [source.weights.buffer];
      worker.postMessage({ type: "load", record, ...source, kernels, engine: WANTED }, moved);
    });
    URL.revokeObjectURL(address);
    worker.onmessage = ({ data }) => this.heard(data);
    worker.onerror = (event) => {
      event.preventDefault();
      this.model = null;
      this.heard({ type: "failed", id: this.run?.id, message: `The encoder stopped: ${event.message}` });
    };
    this.model = name;
    this.tell("");
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
