// The models that can be fetched from the hub, and the question before: which host is asked, for how many megabytes, what
// it sees and what stays here. No other part of the page asks another host for anything.

import { add } from "../explorer.js";
import { megabytes } from "./checkpoint.js";
import { Store, fetchModel } from "./hub.js";

/**
 * @param {HTMLElement} parent
 * @param {any} hub what fixlip_helpers.export says of the hub: base, servers, wait, models
 * @param {{ say: (sentence: string, wrong?: boolean) => void, adopt: (opened: any) => Promise<void> }} page adopt: makes
 *   what openCheckpoint gives an encoder of the page
 */
export function modelShelf(parent, hub, { say, adopt }) {
  const host = new URL(hub.base).hostname;
  let running = null; // an AbortController, while a model is fetched

  const box = add(parent, "div", "ti-shelf", { role: "group", "aria-label": "A model from the hub" });
  const label = add(box, "label", "ti-choice");
  add(label, "span").textContent = `Or one from ${host}`;
  const select = add(label, "select");
  for (const { name } of hub.models) add(select, "option", "", { value: name }).textContent = name;
  const ask = add(box, "button", "fx-action", { type: "button", "aria-expanded": "false" });

  const consent = add(box, "div", "ti-consent", { role: "group", "aria-label": "Before anything is fetched" });
  const facts = add(consent, "p", "ti-note");
  const agree = add(consent, "button", "fx-action", { type: "button" });
  const decline = add(consent, "button", "fx-action", { type: "button" });
  decline.textContent = "No, ask nobody";

  const under = add(box, "div", "ti-fetching");
  const progress = add(under, "progress", "ti-progress", { max: 1, value: 0, "aria-label": "Megabytes fetched" });
  const count = add(under, "span");
  const cancel = add(under, "button", "fx-action", { type: "button" });
  cancel.textContent = "Stop fetching";
  const remove = add(box, "button", "fx-action ti-remove", { type: "button" });

  const chosen = () => hub.models.find(({ name }) => name === select.value);

  /** What the buttons say, by what is kept. */
  async function refresh() {
    const store = await Store.open();
    const { name, revision } = chosen();
    const whole = Boolean(await store.list(`${hub.base}/${name}/resolve/${revision}/`));
    const bytes = await store.bytes();
    ask.textContent = whole ? "Open it, kept here" : "Fetch it…";
    remove.textContent = `Remove what is kept of models (${megabytes(bytes)})`;
    remove.hidden = !bytes || Boolean(running);
    under.hidden = !running;
    ask.disabled = select.disabled = Boolean(running);
    return { store, whole };
  }

  function close() {
    consent.hidden = true;
    ask.setAttribute("aria-expanded", "false");
  }

  ask.addEventListener("click", async () => {
    if (!consent.hidden) return close();
    const { store, whole } = await refresh();
    if (whole) return start();
    const { name, bytes } = chosen();
    facts.textContent =
      `This asks ${host}, and the file servers that it names (${hub.servers}), for about ${megabytes(bytes)}: the model ` +
      `${name}. They see your network address, as every site that you visit does, and which model you take. ` +
      "Your picture and your captions stay on this device: the model's whole vocabulary is fetched, " +
      "so that no request tells a word. " +
      (store.reason
        ? `Nothing is kept: ${store.reason}. The model is there until you leave the page.`
        : "What comes is kept in this browser until you remove it, so that it is fetched once; a line that breaks is taken up where it broke.");
    agree.textContent = `Yes, fetch ${megabytes(bytes)} from ${host}`;
    consent.hidden = false;
    ask.setAttribute("aria-expanded", "true");
    agree.focus();
  });
  decline.addEventListener("click", () => {
    close();
    ask.focus();
    say(`Nothing was asked of ${host}.`);
  });
  agree.addEventListener("click", start);
  cancel.addEventListener("click", () => running.abort());
  select.addEventListener("change", () => {
    close();
    refresh();
  });
  remove.addEventListener("click", async () => {
    await (await Store.open()).forget(hub.base);
    await refresh();
    say("What was kept of models is removed. One that is open stays open until you leave the page.");
    ask.focus();
  });

  async function start() {
    const model = chosen();
    const control = (running = new AbortController());
    close();
    progress.value = 0;
    count.textContent = "";
    const { store } = await refresh();
    cancel.focus();
    say(`Fetching ${model.name}.`);
    try {
      const opened = await fetchModel(hub, model, store, {
        signal: control.signal,
        progress: (done, total) => {
          progress.value = done / total;
          count.textContent = `${Math.floor(done / 1e6)} of ${megabytes(total)}`;
        },
      });
      await adopt(opened);
    } catch (error) {
      if (control.signal.aborted) say("Stopped. What has come is kept: press again to go on.");
      else say(error.message, true);
    }
    running = null;
    await refresh();
    ask.focus();
  }

  close();
  under.hidden = remove.hidden = true;
  ask.textContent = "Fetch it…";
  return refresh;
}
