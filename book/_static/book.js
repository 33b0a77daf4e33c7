// Code and outputs that were folded when the page was measured can be scrolled by keyboard once they are open.
const reachable = () =>
  document.querySelectorAll("pre, .cell_output > .output").forEach((part) => {
    part.tabIndex = part.scrollWidth > part.clientWidth ? 0 : -1;
  });
document.addEventListener("toggle", reachable, true);
document.addEventListener("click", () => setTimeout(reachable, 400));

// One switch for all code that is folded away, remembered from chapter to chapter.
const folds = [...document.querySelectorAll("div.cell > details.hide")].filter((fold) => !fold.closest(".solution, .admonition.dropdown"));
const firstCell = folds.map((fold) => fold.parentElement).find((cell) => !cell.matches(".preparation"));
if (firstCell) {
  const remembered = { get: () => false, set: () => {} };
  try {
    localStorage.getItem("show-code");
    remembered.get = () => localStorage.getItem("show-code") === "yes";
    remembered.set = (on) => localStorage.setItem("show-code", on ? "yes" : "no");
  } catch {
    // a browser that keeps nothing: the switch holds for this page
  }
  const all = Object.assign(document.createElement("button"), { type: "button", className: "show-code" });
  const show = (on) => {
    folds.forEach((fold) => (fold.open = on));
    document.documentElement.classList.toggle("code-folded", !on);
    all.setAttribute("aria-pressed", String(on));
    all.textContent = on ? "Hide code" : `Show all code (${folds.length} folded)`;
  };
  all.addEventListener("click", () => {
    const on = all.getAttribute("aria-pressed") !== "true";
    remembered.set(on);
    show(on);
  });
  firstCell.after(all);
  show(remembered.get());
}

// A figure, or a view's picture, is enlarged by a click or a tap. Its labels are at least 9 pixels high in what a phone shows: they are
// drawn at about 13 in the figure's own size, and a figure that would be shrunk further scrolls instead.
const READABLE = 0.7;
for (const image of document.querySelectorAll(".bd-article :is(figure, .fx-panel) > img")) {
  const room = Object.assign(document.createElement("div"), { className: "scrolls" });
  const enlarge = Object.assign(document.createElement("button"), { type: "button", className: "enlarge", title: "Enlarge" });
  const natural = Number(image.getAttribute("width"));
  if (natural) room.style.setProperty("--readable", `max(100%, ${Math.round(READABLE * natural)}px)`);
  image.replaceWith(room);
  room.append(enlarge);
  enlarge.append(image);
  enlarge.addEventListener("click", () => {
    const large = document.createElement("dialog");
    large.className = "enlarged";
    const close = Object.assign(document.createElement("button"), { type: "button", textContent: "Close" });
    const shown = image.cloneNode();
    const width = Math.max(natural, Math.min(2 * natural, 0.96 * innerWidth));
    Object.assign(shown.style, { width: `${width}px`, height: "auto" });
    large.append(close, shown);
    large.addEventListener("click", () => large.close());
    large.addEventListener("close", () => large.remove());
    document.body.append(large);
    large.showModal();
  });
}

// What is cut at the right says that it scrolls, until somebody has scrolled it.
const wide = ".bd-article pre, .bd-article .pst-scrollable-table-container, .bd-article div.math, .bd-article .scrolls";
function frame(part) {
  if (part.dataset.scrolled || part.parentElement.matches(".scroll-frame") || part.offsetParent === null) return;
  const cut = part.matches("div.math") ? part.querySelector("mjx-container") ?? part : part;
  if (cut.scrollWidth <= cut.clientWidth + 4) return;
  const around = Object.assign(document.createElement("div"), { className: "scroll-frame" });
  part.replaceWith(around);
  around.append(part);
  const seen = () => {
    part.dataset.scrolled = "yes";
    around.classList.remove("scroll-frame");
  };
  cut.addEventListener("scroll", seen, { once: true });
}
const frames = () => document.querySelectorAll(wide).forEach(frame);
addEventListener("load", () => (globalThis.MathJax?.startup?.promise ?? Promise.resolve()).then(frames));
for (const shown of ["toggle", "change"]) document.addEventListener(shown, frames, true);

// "Try it" within a chapter, folded: its scripts (200 KB) are loaded when it is opened, the encoder when it is asked.
const tryIt = new URL("try_it/", document.currentScript.src);
for (const place of document.querySelectorAll("div.try-here")) {
  const fold = document.createElement("details");
  fold.className = "try-here";
  fold.innerHTML = "<summary>Try it here: choose a drawing, change the caption</summary>";
  const room = Object.assign(document.createElement("div"), { id: "explain-here" });
  room.dataset.compact = "";
  fold.append(room);
  place.replaceWith(fold);
  const load = (address) =>
    new Promise((resolve, reject) => {
      const script = document.createElement("script");
      document.head.append(Object.assign(script, { src: new URL(address, tryIt), onload: resolve, onerror: reject }));
    });
  const start = async () => {
    const style = Object.assign(document.createElement("link"), { rel: "stylesheet", href: new URL("try_it.css", tryIt) });
    document.head.append(style);
    await load("facts.js");
    await load("try_it.js");
  };
  fold.addEventListener("toggle", start, { once: true });
}
