// "Guess the sign": one puzzle at a time, named by the hash of the address. The data is data.js, loaded before this file
// as a script, so that the page works from a folder too.
//
// A puzzle: { id, kind, model, picture, caption: [words], word: number of the word, region, patches, value, error }.
// A kind: { what, chapter, title, raises, lowers }, the last two counted over all sums of the kind that were measured.

"use strict";

(() => {
  const { puzzles, pictures, kinds } = window.guessTheSign;
  const root = document.getElementById("puzzles");
  const numbers = new Map(puzzles.map((puzzle, number) => [puzzle.id, number]));
  const answers = remembered(); // id -> "raises" or "lowers"

  function remembered() {
    try {
      const stored = JSON.parse(localStorage.getItem("guess-the-sign") ?? "{}");
      return new Map(Object.entries(stored).filter(([id]) => numbers.has(id)));
    } catch {
      return new Map(); // no storage here: answers last as long as the page
    }
  }

  function remember() {
    try {
      localStorage.setItem("guess-the-sign", JSON.stringify(Object.fromEntries(answers)));
    } catch {
      // see above
    }
  }

  function add(parent, tag, className, text, attributes = {}) {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (text) element.textContent = text;
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    parent.append(element);
    return element;
  }

  const truth = (puzzle) => (puzzle.value > 0 ? "raises" : "lowers");
  const signed = (value, digits) => (value > 0 ? "+" : "−") + Math.abs(value).toFixed(digits);
  const rightOnes = () => [...answers].filter(([id, answer]) => truth(puzzles[numbers.get(id)]) === answer).length;

  let shown = 0; // number of the puzzle that is shown

  /** The puzzle that the address names; where it names something else (a heading of the page), the one that is shown. */
  function current() {
    return (shown = numbers.get(location.hash.slice(1)) ?? shown);
  }

  // --- The picture, with the marked patches bright and framed ---------------------------------------------------

  const SVG = "http://www.w3.org/2000/svg";

  function draw(parent, tag, attributes) {
    const element = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    parent.append(element);
    return element;
  }

  function drawPicture(parent, puzzle) {
    const { src, alt, grid } = pictures[puzzle.picture];
    const frame = add(parent, "div", "gs-picture");
    add(frame, "img", "", "", { src, alt, draggable: "false" });
    const svg = draw(frame, "svg", { viewBox: `0 0 ${grid} ${grid}`, "aria-hidden": "true" });
    const marked = new Set(puzzle.patches);
    const inside = (row, column) =>
      row >= 0 && column >= 0 && row < grid && column < grid && marked.has(row * grid + column);
    let edges = "";
    for (let row = 0; row < grid; row++) {
      for (let column = 0; column < grid; column++) {
        if (!inside(row, column)) {
          draw(svg, "rect", { x: column, y: row, width: 1.01, height: 1.01, class: "gs-veil" });
          continue;
        }
        if (!inside(row - 1, column)) edges += `M${column} ${row}h1`;
        if (!inside(row + 1, column)) edges += `M${column} ${row + 1}h1`;
        if (!inside(row, column - 1)) edges += `M${column} ${row}v1`;
        if (!inside(row, column + 1)) edges += `M${column + 1} ${row}v1`;
      }
    }
    const unit = grid / 8; // lines are as thick on a coarse grid as on a fine one
    draw(svg, "path", { d: edges, class: "gs-edge-outer", "stroke-width": 0.14 * unit });
    draw(svg, "path", { d: edges, class: "gs-edge", "stroke-width": 0.07 * unit });
  }

  // --- The answer -----------------------------------------------------------------------------------------------

  function drawAnswer(parent, puzzle) {
    const right = answers.get(puzzle.id) === truth(puzzle);
    const box = add(parent, "div", `gs-answer gs-${truth(puzzle)}`, "", { tabindex: "-1" });
    const verdict = add(box, "p", "gs-verdict");
    add(verdict, "strong", "", right ? "Right: " : "Not this time: ");
    verdict.append(`together they ${truth(puzzle) === "raises" ? "raise" : "lower"} the score, by `);
    add(verdict, "strong", "gs-number", `${signed(puzzle.value, 2)} ± ${puzzle.error.toFixed(2)} logits`);
    verdict.append(" (± one standard error).");

    const most = 1.15 * Math.max(Math.abs(puzzle.value) + 2 * puzzle.error, 2);
    const at = (value) => 150 + (145 * value) / most;
    const svg = draw(box, "svg", { viewBox: "0 0 300 34", class: "gs-axis", role: "img" });
    svg.setAttribute(
      "aria-label",
      `A bar from zero to ${signed(puzzle.value, 2)} with two standard errors to each side of its end.`,
    );
    draw(svg, "line", { x1: 4, x2: 296, y1: 17, y2: 17, class: "gs-line" });
    draw(svg, "rect", {
      x: Math.min(150, at(puzzle.value)),
      width: Math.abs(at(puzzle.value) - 150),
      y: 9,
      height: 16,
      class: "gs-bar",
    });
    const [low, high] = [-2, 2].map((step) => at(puzzle.value + step * puzzle.error));
    draw(svg, "path", { d: `M${low} 17H${high}M${low} 12v10M${high} 12v10`, class: "gs-whisker" });
    draw(svg, "line", { x1: 150, x2: 150, y1: 2, y2: 32, class: "gs-line" });

    const kind = kinds[puzzle.kind];
    const alike = `Of the ${kind.raises + kind.lowers} sums of this kind that were measured, ${kind.raises} raise. `;
    const note = add(box, "p", "", `${kind.what} ${alike}`);
    add(note, "a", "", kind.title, { href: `../notebooks/${kind.chapter}.html` });
  }

  // --- One puzzle -----------------------------------------------------------------------------------------------

  function show(focusOn) {
    const number = current();
    const puzzle = puzzles[number];
    const answered = answers.has(puzzle.id);
    root.replaceChildren();
    root.classList.add("gs");

    const head = add(root, "div", "gs-head");
    add(head, "h2", "gs-title", `Puzzle ${number + 1} of ${puzzles.length}`, { tabindex: "-1" });
    add(head, "span", "gs-score", answers.size ? `${rightOnes()} of ${answers.size} right so far` : "");

    const stage = add(root, "div", "gs-stage");
    drawPicture(stage, puzzle);
    const side = add(stage, "div", "gs-side");
    add(side, "p", "gs-model", puzzle.model);
    const caption = add(side, "p", "gs-caption", "“");
    puzzle.caption.forEach((word, place) => {
      add(caption, place === puzzle.word ? "mark" : "span", "", word);
      caption.append(place + 1 < puzzle.caption.length ? " " : "”");
    });
    const question = add(side, "p", "gs-question", "Beyond what each of the two does by itself: does the word ");
    add(question, "mark", "", puzzle.caption[puzzle.word]);
    question.append(`, together with the marked patches (${puzzle.region}), raise or lower the score?`);

    const buttons = add(side, "div", "gs-buttons", "", { role: "group", "aria-label": "Your guess" });
    for (const [sign, label] of [
      ["raises", "▲ raise"],
      ["lowers", "▼ lower"],
    ]) {
      const button = add(buttons, "button", `gs-guess gs-${sign}`, label, { type: "button", "data-sign": sign });
      button.disabled = answered;
      button.setAttribute("aria-pressed", String(answers.get(puzzle.id) === sign));
      button.addEventListener("click", () => guess(sign));
    }
    if (answered) drawAnswer(side, puzzle);

    const foot = add(root, "div", "gs-foot");
    const step = (label, to, name) => {
      const link = add(foot, "a", "gs-step", label, { href: `#${puzzles[to].id}`, "data-step": name });
      link.addEventListener("click", (event) => {
        event.preventDefault();
        open(to);
      });
    };
    step("← back", (number + puzzles.length - 1) % puzzles.length, "back");
    step("next →", (number + 1) % puzzles.length, "next");
    const share = add(foot, "button", "gs-step", "Copy the link to this puzzle", { type: "button", "data-share": "" });
    share.addEventListener("click", () => copyLink(share, puzzle));
    if (answers.size) {
      const reset = add(foot, "button", "gs-step", "Forget my answers", { type: "button", "data-reset": "" });
      reset.addEventListener("click", () => {
        answers.clear();
        remember();
        show(".gs-title");
      });
    }
    // What is new gets the focus, so that it is read aloud and keys go on working.
    if (focusOn) root.querySelector(focusOn).focus();
  }

  function guess(sign) {
    const { id } = puzzles[current()];
    if (answers.has(id)) return;
    answers.set(id, sign);
    remember();
    show(".gs-answer");
  }

  function open(number) {
    history.pushState(null, "", `#${puzzles[number].id}`);
    show(".gs-title");
  }

  async function copyLink(button, puzzle) {
    const address = location.href.split("#")[0] + "#" + puzzle.id;
    try {
      await navigator.clipboard.writeText(address);
      button.textContent = "Copied";
    } catch {
      // Not allowed here (a page from a folder, an old browser): show it, marked, to be copied by hand.
      const field = add(button.parentElement, "input", "gs-link", "", { "aria-label": "Link to this puzzle", readonly: "" });
      field.value = address;
      button.replaceWith(field);
      field.select();
    }
  }

  // Keys work while something of the puzzle has the focus, so that they are in nobody's way: R, L, and the arrows.
  root.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.target.tagName === "INPUT") return;
    const number = current();
    const actions = {
      r: () => guess("raises"),
      l: () => guess("lowers"),
      arrowright: () => open((number + 1) % puzzles.length),
      arrowleft: () => open((number + puzzles.length - 1) % puzzles.length),
    };
    const action = actions[event.key.toLowerCase()];
    if (action) {
      event.preventDefault();
      action();
    }
  });

  window.addEventListener("popstate", () => {
    if (numbers.has(location.hash.slice(1))) show(".gs-title"); // else a link within the page: the focus is its own
  });
  show();
})();
