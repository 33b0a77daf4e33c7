// The explorer: the patches of a word and the words of a patch, on hover, tap or keyboard focus.
//
//   explore(element, record, { src, alt, box })   ->   { pinned(), pin(player), point(patch), update(record, picture) }
//
// record: an Explanation's JSON. src: the picture. box: left, top, right, bottom of what the encoder sees, as shares
// of the picture. Red raises the similarity, blue lowers it. The state is small: which player is pinned (by a click or
// a tap), which is previewed (under the pointer or the keyboard's focus), and which players are merged.

import { decode, firstOrder, limitOf, merge, pairLimit, partners, sum } from "./explanation.js";

const PARTNERS_SHOWN = 6;

export function explore(root, record, picture) {
  // Image players tile the picture evenly, or own patches: groups.owner has the player of each, -1 for none.
  const groupsOfPatches = record.meta.grid ? null : record.meta.image_groups;
  const blocks = record.meta.image_groups?.blocks;
  const piece = blocks ? ["block", "blocks"] : record.meta.image_groups ? ["region", "regions"] : ["patch", "patches"];
  const [rows, columns] = record.meta.grid ?? groupsOfPatches.grid;
  const unit = ["FWBII", "FSII"].includes(record.index) ? "logits" : "the method's own unit";
  let original = decode(record);
  const paired = isPaired(original);
  let pieces = piecesOf(record);

  let groups = []; // merged players: { name, members } in the original's numbers
  let marked = null; // original players marked for merging; null: not merging
  /** @type {any} the explanation that is shown, merged or not */
  let e;
  let values, limits;
  let pinned = null;
  let preview = null;

  // --- What is on the page, made once (words are made again when players are merged) -------------------------

  root.classList.add("fx");
  root.replaceChildren();
  const bar = add(root, "div", "fx-bar", { role: "toolbar", "aria-label": "View" });
  const stage = add(root, "div", "fx-stage");
  const frame = add(stage, "div", "fx-frame");
  const image = add(frame, "img", "fx-image", { src: picture.src, alt: picture.alt, draggable: "false" });
  image.addEventListener("load", () => {
    image.classList.toggle("fx-small", image.naturalWidth <= 256);
    image.style.setProperty("--fx-lift", String(lift(image)));
  });
  add(frame, "div", "fx-veil");
  const [left, top, right, bottom] = picture.box ?? [0, 0, 1, 1];
  const place = { left: percent(left), top: percent(top), width: percent(right - left), height: percent(bottom - top) };
  Object.assign(add(frame, "div", "fx-window").style, place);
  const grid = add(frame, "div", "fx-grid", { role: "grid", "aria-label": `Picture, ${rows} by ${columns} patches` });
  Object.assign(grid.style, place);
  const patches = [];
  for (let row = 0; row < rows; row++) {
    const line = add(grid, "div", "fx-row", { role: "row" });
    for (let column = 0; column < columns; column++) {
      const patch = add(line, "button", "fx-patch", { type: "button", role: "gridcell", tabindex: patches.length ? -1 : 0 });
      patch.dataset.patch = patches.length;
      patches.push(patch);
    }
  }
  const side = add(stage, "div", "fx-side");
  const words = add(side, "div", "fx-words", { role: "group", "aria-label": "Words of the caption" });
  const key = add(side, "div", "fx-key", { role: "img" });
  const readout = add(side, "div", "fx-readout", { "aria-live": "polite" });

  const buttons = {
    values: action("Values of all players", () => ((pinned = preview = null), draw())),
    within: toggle("Pairs within", "Also colour patch–patch and word–word pairs", () => draw()),
    colour: toggle("Photo colours", "Show the picture in its own colours", (on) => frame.classList.toggle("fx-colour", on)),
    join: action("Join word pieces", () => joinPieces()),
    merge: action("Merge players", () => ((marked = new Set()), draw())),
    done: action("Merge the marked", () => mergeMarked()),
    cancel: action("Cancel", () => ((marked = null), draw())),
    split: action("Split all", () => regroup([])),
  };
  if (!paired) buttons.within.hidden = buttons.merge.hidden = true;

  // --- Hover, tap, focus -----------------------------------------------------------------------------------------

  const playerOf = (target) => {
    const button = target.closest?.("[data-patch], [data-word]");
    if (!button || !root.contains(button)) return null;
    return button.dataset.word !== undefined ? Number(button.dataset.word) : ownerOf(Number(button.dataset.patch));
  };
  const playerOfPatch = (patch) => (groupsOfPatches ? groupsOfPatches.owner[patch] : patch);
  const groupOf = (player) => {
    const group = e.members.findIndex((members) => members.includes(player));
    return group === -1 ? null : group;
  };
  const ownerOf = (patch) => groupOf(playerOfPatch(patch));

  stage.addEventListener("pointerover", (event) => {
    if (event.pointerType === "mouse") look(playerOf(event.target));
  });
  stage.addEventListener("pointerleave", () => look(null));
  stage.addEventListener("focusin", (event) => {
    if (event.target.matches(":focus-visible")) look(playerOf(event.target));
  });
  stage.addEventListener("focusout", () => look(null));
  stage.addEventListener("click", (event) => {
    const player = playerOf(event.target);
    if (player === null) return;
    if (marked) {
      for (const member of e.members[player]) marked.has(member) ? marked.delete(member) : marked.add(member);
    } else {
      pinned = pinned === player ? null : player;
      if (pinned === null) preview = null;
    }
    draw();
  });
  root.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      pinned = preview = marked = null;
      draw();
    }
  });
  grid.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
    const from = Number(event.target.dataset.patch);
    const to = event.key === "Home" ? from - (from % columns) : event.key === "End" ? from - (from % columns) + columns - 1 : from + step;
    const sameRow = Math.floor(from / columns) === Math.floor(to / columns);
    if (!(to in patches) || (Math.abs(step) === 1 && !sameRow)) return;
    event.preventDefault();
    patches[from].tabIndex = -1;
    patches[to].tabIndex = 0;
    patches[to].focus();
  });

  function look(player) {
    if (marked || player === preview) return;
    preview = player;
    draw();
  }

  // --- Merging ---------------------------------------------------------------------------------------------------

  function regroup(next, kept = null) {
    groups = next;
    marked = preview = null;
    e = merge(original, groups);
    pinned = kept === null ? null : groupOf(kept);
    values = firstOrder(e);
    limits = { pair: pairLimit(e), value: limitOf(values) };
    makeWords();
    draw();
  }

  function joinPieces() {
    const joined = new Set(pieces.flatMap(([, members]) => members));
    const kept = groups.filter((group) => !group.members.some((i) => joined.has(i)));
    regroup([...kept, ...pieces.map(([name, members]) => ({ name, members }))]);
  }

  function mergeMarked() {
    const kept = groups.filter((group) => !group.members.some((i) => marked.has(i)));
    const sides = [[...marked].filter((i) => i < original.n_image), [...marked].filter((i) => i >= original.n_image)];
    const made = sides
      .filter((members) => members.length > 1)
      .map((members) => ({
        name: members[0] < original.n_image ? `region of ${members.length} ${piece[1]}` : members.map((i) => original.players[i]).join(" + "),
        members,
      }));
    regroup([...kept, ...made]);
  }

  // --- Drawing ---------------------------------------------------------------------------------------------------

  function makeWords() {
    words.replaceChildren();
    for (let player = e.n_image; player < e.players.length; player++) {
      const word = add(words, "button", "fx-word", { type: "button" });
      word.dataset.word = player;
      add(word, "span", "fx-name").textContent = e.players[player];
      add(word, "span", "fx-number");
    }
  }

  /** The number that a player shows now, or null. */
  function shown(player, chosen) {
    if (player === null) return null;
    if (chosen === null || !paired) return values[player];
    if (player === chosen) return null;
    const across = player < e.n_image !== chosen < e.n_image;
    return across || pressed(buttons.within) ? e.pairs[chosen][player] : null;
  }

  function draw() {
    const chosen = marked ? null : (preview ?? pinned);
    const limit = chosen === null || !paired ? limits.value : limits.pair;
    const digits = digitsFor(limit);
    patches.forEach((patch, index) => {
      const player = ownerOf(index);
      paint(patch, shown(player, chosen), limit, player !== null && player === chosen, isMarked(player));
      patch.setAttribute("aria-label", `${nameOf(player)}${said(shown(player, chosen), digits)}`);
      patch.setAttribute("aria-selected", String(player !== null && (player === pinned || isMarked(player))));
    });
    for (const word of words.children) {
      const player = Number(word.dataset.word);
      const value = shown(player, chosen);
      paint(word, value, limit, player === chosen, isMarked(player));
      word.setAttribute("aria-pressed", String(player === pinned || isMarked(player)));
      word.lastChild.textContent = value === null ? "" : signed(value, digits);
    }
    drawKey(limit, digits, chosen);
    drawReadout(chosen, digits);
    buttons.values.disabled = chosen === null;
    buttons.join.hidden = !pieces.length || marked !== null || pieces.every(([name]) => groups.some((g) => g.name === name));
    buttons.merge.hidden = !paired || marked !== null;
    buttons.done.hidden = buttons.cancel.hidden = marked === null;
    buttons.done.disabled = !marked || ![true, false].some((inImage) => [...marked].filter((i) => i < original.n_image === inImage).length > 1);
    buttons.split.hidden = !groups.length || marked !== null;
  }

  function isMarked(player) {
    return marked !== null && player !== null && e.members[player].every((i) => marked.has(i));
  }

  function paint(button, value, limit, chosen, isMarkedNow) {
    const strength = value === null ? 0 : Math.min(1, Math.abs(value) / limit);
    button.style.setProperty("--strength", `${(90 * strength).toFixed(1)}%`);
    button.classList.toggle("fx-lowers", value !== null && value < 0);
    // From here on white is easier to read than black, which differs between red and blue.
    button.classList.toggle("fx-strong", strength > (value < 0 ? 0.94 : 0.87));
    button.classList.toggle("fx-chosen", chosen);
    button.classList.toggle("fx-marked", isMarkedNow);
  }

  function drawKey(limit, digits, chosen) {
    const what =
      chosen === null || !paired
        ? `value of each player (${unit})`
        : `interaction with ${chosen < e.n_image ? `this ${piece[0]}` : `“${e.players[chosen]}”`} (${unit})`;
    key.replaceChildren();
    key.setAttribute("aria-label", `Colours: ${what}; blue lowers, down to ${signed(-limit, digits)}; red raises, up to ${signed(limit, digits)}`);
    add(key, "div", "fx-what").textContent = what;
    add(key, "div", "fx-scale");
    const ends = add(key, "div", "fx-ends");
    for (const text of [`${signed(-limit, digits)} lowers`, "0", `${signed(limit, digits)} raises`]) {
      add(ends, "span").textContent = text;
    }
  }

  function drawReadout(chosen, digits) {
    readout.replaceChildren();
    if (marked) {
      add(readout, "p").textContent =
        `Mark two or more words, or two or more ${piece[1]}, then merge them: they become one player, with the sum of their terms.`;
      return;
    }
    if (chosen === null) {
      add(readout, "p").textContent = `Point at a word or a ${piece[0]}, tap it, or move to it with Tab and the arrow keys. A click keeps it.`;
      return;
    }
    add(readout, "h3").textContent = nameOf(chosen);
    const facts = add(readout, "dl", "fx-facts");
    const alone = e.main[chosen];
    const rows = !paired
      ? [["value", values[chosen]]]
      : [
          ["alone (nothing else visible)", alone],
          [record.index === "FWBII" ? `value (a share p = ${record.p} of the rest)` : "value", values[chosen]],
          ["with all others visible", alone + sum(e.pairs[chosen])],
        ];
    const precision = Math.min(digits, digitsFor(limits.value));
    for (const [name, value] of rows) {
      add(facts, "dt").textContent = name;
      number(add(facts, "dd"), value, precision);
    }
    const found = paired ? partners(e, chosen, PARTNERS_SHOWN) : [];
    if (!found.length) return;
    add(readout, "h4").textContent = `Strongest ${chosen < e.n_image ? "words" : piece[1]}`;
    const list = add(readout, "ol", "fx-partners");
    for (const { player, value } of found) {
      const item = add(list, "li");
      add(item, "span").textContent = nameOf(player);
      const line = add(item, "span", "fx-meter", { "aria-hidden": "true" });
      paint(add(line, "span"), value, limits.pair, false, false);
      line.firstChild.style.width = percent(Math.min(1, Math.abs(value) / limits.pair));
      number(add(item, "span"), value, digits);
    }
  }

  function nameOf(player) {
    if (player === null) return "always visible";
    if (player >= e.n_image) return `“${e.players[player]}”`;
    const [patch] = e.members[player];
    if (e.members[player].length > 1) return e.players[player];
    if (piece[0] === "region") return e.players[player];
    const across = blocks ? blocks[1] : columns;
    return `${piece[0]} in row ${Math.floor(patch / across) + 1}, column ${(patch % across) + 1}`;
  }

  // --- Small things ----------------------------------------------------------------------------------------------

  function action(label, run) {
    const button = add(bar, "button", "fx-action", { type: "button" });
    button.textContent = label;
    button.addEventListener("click", run);
    return button;
  }

  function toggle(label, title, run) {
    const button = action(label, () => {
      button.setAttribute("aria-pressed", String(!pressed(button)));
      run(pressed(button));
    });
    button.title = title;
    button.setAttribute("aria-pressed", "false");
    return button;
  }

  /** The word whose pairs are strongest, in the original's numbers. */
  function strongestWord() {
    const strength = (j) => sum(original.pairs[j].subarray(0, original.n_image).map(Math.abs));
    const all = original.players.map((_, j) => j).slice(original.n_image);
    return all.reduce((best, j) => (strength(j) > strength(best) ? j : best), all[0]);
  }

  regroup([], paired ? strongestWord() : null);
  return {
    /** The player that is kept in sight, in the record's numbers (its first member where players are merged), or null. */
    pinned: () => (pinned === null ? null : e.members[pinned][0]),
    pin(player) {
      pinned = player === null ? null : groupOf(player);
      draw();
    },
    /** Frame an image player, or none (null), without choosing it. */
    point: (player) =>
      patches.forEach((one, index) => one.classList.toggle("fx-pointed", playerOfPatch(index) === player)),
    /**
     * Show another explanation on the same grid, perhaps of another picture; what was chosen stays as far as it is
     * there. False, and nothing done, where the grid or the kind differs.
     */
    update(next, nextPicture) {
      const decoded = decode(next);
      const kindOf = ({ index, meta }) => JSON.stringify([index, meta.grid, meta.image_groups]);
      if (kindOf(next) !== kindOf(record) || isPaired(decoded) !== paired || String(nextPicture.box) !== String(picture.box)) return false;
      const before = original;
      const kept = pinned === null ? null : e.members[pinned][0];
      const within = groups.filter(({ members }) =>
        members.every((i) => i < before.n_image || before.players[i] === decoded.players[i]),
      );
      [original, pieces, record, picture] = [decoded, piecesOf(next), next, nextPicture];
      if (image.getAttribute("src") !== picture.src) image.src = picture.src;
      image.alt = picture.alt;
      const again = kept === null || kept < before.n_image ? kept : wordAgain(kept, before);
      const focused = stage.contains(document.activeElement) ? document.activeElement.getAttribute("data-word") : null;
      regroup(within, again);
      if (focused !== null) /** @type {HTMLElement} */ (words.querySelector(`[data-word="${focused}"]`))?.focus();
      return true;
    },
  };

  /** Where a word of the record before is now: in its place, elsewhere, or the strongest word in its stead. */
  function wordAgain(player, before) {
    const name = before.players[player];
    if (original.players[player] === name) return player;
    const place = original.players.indexOf(name, original.n_image);
    return place < 0 ? strongestWord() : place;
  }
}

function isPaired(e) {
  return e.pairs.some((row, i) => i < e.n_image && row.subarray(e.n_image).some(Boolean));
}

function piecesOf(record) {
  return (record.meta.words ?? []).filter(([, members]) => members.length > 1);
}

/** By how much a dark picture is made brighter, so that colours laid over its grey can be told apart; 1 to 6. */
export function lift(image) {
  const canvas = Object.assign(document.createElement("canvas"), { width: 16, height: 16 });
  const context = canvas.getContext("2d", { alpha: false });
  context.fillStyle = "white";
  context.fillRect(0, 0, 16, 16);
  context.drawImage(image, 0, 0, 16, 16);
  try {
    const { data } = context.getImageData(0, 0, 16, 16);
    let light = 0;
    for (let i = 0; i < data.length; i += 4) light += 0.299 * data[i] + 0.587 * data[i + 1] + 0.114 * data[i + 2];
    return Math.min(6, Math.max(1, 0.45 / (light / 256 / 255 || 0.01)));
  } catch {
    return 1; // a picture of another place, which a page may show and not read
  }
}

export function add(parent, tag, className = "", attributes = {}) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return parent.appendChild(element);
}

function number(element, value, digits) {
  element.className = value < 0 ? "fx-number fx-lowers" : "fx-number";
  element.textContent = signed(value, digits);
}

function said(value, digits) {
  return value === null ? "" : `: ${signed(value, digits)}`;
}

function pressed(button) {
  return button.getAttribute("aria-pressed") === "true";
}

export function signed(value, digits) {
  const text = value.toFixed(digits);
  if (Number(text) === 0) return text.replace("-", "");
  return value < 0 ? text.replace("-", "−") : `+${text}`;
}

function digitsFor(limit) {
  return limit >= 100 ? 0 : Math.min(9, Math.max(0, 2 - Math.floor(Math.log10(limit))));
}

function percent(share) {
  return `${100 * share}%`;
}
