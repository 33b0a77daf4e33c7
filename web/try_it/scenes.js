// Scenes to build: drawings on a background, as fixlip_helpers/world/scenes.py paints them (the same drawings, tints
// and textures; a browser scales and blends them itself, so that a pixel may differ by a few levels).
//
// A scene is { background, objects: [{ noun, colour, size, x, y }] }, colour "" for the drawing's own, sizes in pixels.

import { add } from "../explorer.js";

const SCENE = 128;
const MOST_OBJECTS = 4;
const STEP = 4; // pixels that an arrow key moves
/** @type {[number, number]} */
const CUT = [11, 37]; // where a background is cut from its sheet

/** What paints scenes, from the drawings that fixlip_helpers.export wrote: resolves to (scene) -> canvas. */
export async function scenePainter(drawings) {
  const load = async (src) => {
    const image = new Image();
    image.src = src;
    await image.decode();
    return image;
  };
  const atlas = await load(drawings.atlas);
  const sheets = Object.fromEntries(
    await Promise.all(
      Object.entries(drawings.backgrounds).map(async ([name, src]) => [name, await load(src)]),
    ),
  );
  /** @returns {[HTMLCanvasElement, CanvasRenderingContext2D]} */
  const canvasOf = (size) => {
    const canvas = Object.assign(document.createElement("canvas"), { width: size, height: size });
    return [canvas, canvas.getContext("2d", { willReadFrequently: true })];
  };
  return (scene) => {
    const [canvas, context] = canvasOf(SCENE);
    context.drawImage(sheets[scene.background], ...CUT, SCENE, SCENE, 0, 0, SCENE, SCENE);
    for (const { noun, colour, size, x, y } of scene.objects) {
      const [drawing, pen] = canvasOf(size);
      const [number, side] = [drawings.nouns.indexOf(noun), drawings.side];
      /** @type {[number, number]} */
      const cell = [(number % drawings.columns) * side, Math.floor(number / drawings.columns) * side];
      pen.imageSmoothingQuality = "high";
      pen.drawImage(atlas, ...cell, side, side, 0, 0, size, size);
      if (colour) {
        const pixels = pen.getImageData(0, 0, size, size);
        tint(pixels.data, drawings.colours[colour]);
        pen.putImageData(pixels, 0, 0);
      }
      context.drawImage(drawing, x, y);
    }
    return canvas;
  };
}

/** A quarter the drawing and three quarters the colour at the drawing's own brightness (scenes.tint). */
function tint(data, target) {
  for (let i = 0; i < data.length; i += 4) {
    const light = (77 * data[i] + 150 * data[i + 1] + 29 * data[i + 2]) >> 8;
    const shade = 110 + ((146 * light) >> 8);
    for (let c = 0; c < 3; c++) {
      const painted = Math.min((target[c] * shade) >> 8, 255) + (light >> 4);
      data[i + c] = Math.min((64 * data[i + c] + 192 * painted) >> 8, 255);
    }
  }
}

/** A scene as a few words for an address: `grass;dog,white,60,4,52;bus,yellow,60,66,44`. */
export function sceneToText({ background, objects }) {
  return [
    background,
    ...objects.map(({ noun, colour, size, x, y }) => [noun, colour, size, x, y].join(",")),
  ].join(";");
}

/** The inverse; null for anything else. */
export function textToScene(text, drawings) {
  const [background, ...parts] = text.split(";");
  if (!Object.hasOwn(drawings.backgrounds, background) || parts.length > MOST_OBJECTS) return null;
  const objects = parts.map((part) => {
    const [noun, colour, ...numbers] = part.split(",");
    const [size, x, y] = numbers.map(Number);
    const known = drawings.nouns.includes(noun) && (!colour || Object.hasOwn(drawings.colours, colour));
    return known && [size, x, y].every(Number.isInteger) && size >= 16 && size <= SCENE
      ? { noun, colour, size, x, y }
      : null;
  });
  return objects.every(Boolean) ? { background, objects } : null;
}

/**
 * The builder's controls. Drawings are dragged, or moved with the arrow keys while they have the focus.
 * @param {HTMLElement} root
 * @param {any} drawings
 * @param {(scene: any) => HTMLCanvasElement} paint
 * @param {any} scene
 * @param {(scene: any, canvas: HTMLCanvasElement) => void} changed called after every change, and at once
 */
export function buildScene(root, drawings, paint, scene, changed) {
  root.replaceChildren();
  const stage = add(root, "div", "ti-stage", {
    role: "group",
    "aria-label": "Scene: drag a drawing, or move it with the arrow keys",
  });
  const side = add(root, "div", "ti-parts");
  const select = (parent, label, options, value, set) => {
    const line = add(parent, "label");
    add(line, "span", "ti-hidden").textContent = label;
    const box = add(line, "select");
    for (const [name, text] of options) add(box, "option", "", { value: name }).textContent = text;
    box.value = value;
    box.addEventListener("change", () => {
      set(box.value);
      refresh();
    });
  };
  select(
    side,
    "Background",
    Object.keys(drawings.backgrounds).map((name) => [name, `${name} background`]),
    scene.background,
    (value) => (scene.background = value),
  );
  const list = add(side, "div");
  const more = add(side, "button", "fx-action", { type: "button" });
  more.textContent = "Add a drawing";
  more.addEventListener("click", () => {
    const noun = drawings.nouns[(7 * scene.objects.length + 1) % drawings.nouns.length];
    scene.objects.push({ noun, colour: "", size: 52, x: 38, y: 38 });
    listObjects();
    list.lastChild.querySelector("select").focus();
  });

  function listObjects() {
    list.replaceChildren();
    scene.objects.forEach((object, number) => {
      const line = add(list, "div", "ti-part", { role: "group", "aria-label": `Drawing ${number + 1}` });
      select(
        line,
        "Colour",
        [["", "own colour"], ...Object.keys(drawings.colours).map((name) => [name, name])],
        object.colour,
        (value) => (object.colour = value),
      );
      select(
        line,
        "Thing",
        [...drawings.nouns].sort().map((name) => [name, name]),
        object.noun,
        (value) => (object.noun = value),
      );
      const size = add(line, "input", "", { type: "range", min: 24, max: 96, step: 4, "aria-label": "Size" });
      size.value = object.size;
      size.addEventListener("input", () => {
        object.size = Number(size.value);
        place(object, object.x, object.y);
        refresh();
      });
      const gone = add(line, "button", "fx-action", {
        type: "button",
        "aria-label": `Remove the ${object.noun}`,
      });
      gone.textContent = "Remove";
      gone.addEventListener("click", () => {
        scene.objects.splice(number, 1);
        listObjects();
        more.focus();
      });
    });
    more.disabled = scene.objects.length >= MOST_OBJECTS;
    refresh();
  }

  function place(object, x, y) {
    const within = (value) => Math.max(0, Math.min(SCENE - object.size, Math.round(value)));
    [object.x, object.y] = [within(x), within(y)];
  }

  /** Paint, and lay a handle over each drawing; handles stay the same elements while they are dragged. */
  function refresh() {
    const canvas = paint(scene);
    stage.querySelector("canvas")?.remove();
    stage.prepend(canvas);
    while (stage.querySelectorAll("button").length > scene.objects.length) stage.lastChild.remove();
    while (stage.querySelectorAll("button").length < scene.objects.length) stage.append(handle());
    stage.querySelectorAll("button").forEach((button, number) => {
      const { noun, size, x, y } = scene.objects[number];
      button.setAttribute("aria-label", `${noun}, at ${x}, ${y}`);
      const share = (pixels) => `${(100 * pixels) / SCENE}%`;
      Object.assign(button.style, { left: share(x), top: share(y), width: share(size), height: share(size) });
    });
    changed(scene, canvas);
  }

  function handle() {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "ti-handle";
    const own = () => scene.objects[[...stage.querySelectorAll("button")].indexOf(button)];
    let held = null; // where the pointer took it
    button.addEventListener("pointerdown", (event) => {
      button.setPointerCapture(event.pointerId);
      held = { x: event.clientX, y: event.clientY, from: { ...own() } };
    });
    button.addEventListener("pointermove", (event) => {
      if (!held) return;
      const scale = SCENE / stage.getBoundingClientRect().width;
      place(
        own(),
        held.from.x + scale * (event.clientX - held.x),
        held.from.y + scale * (event.clientY - held.y),
      );
      refresh();
    });
    for (const type of ["pointerup", "pointercancel"]) button.addEventListener(type, () => (held = null));
    button.addEventListener("keydown", (event) => {
      const move = {
        ArrowLeft: [-STEP, 0],
        ArrowRight: [STEP, 0],
        ArrowUp: [0, -STEP],
        ArrowDown: [0, STEP],
      }[event.key];
      if (!move) return;
      event.preventDefault();
      place(own(), own().x + move[0], own().y + move[1]);
      refresh();
    });
    return button;
  }

  listObjects();
}
