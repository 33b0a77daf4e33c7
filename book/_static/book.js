// Code that was folded when the page was measured can be scrolled by keyboard once it is open.
const reachable = () =>
  document.querySelectorAll("pre").forEach((pre) => {
    pre.tabIndex = pre.scrollWidth > pre.clientWidth ? 0 : -1;
  });
document.addEventListener("toggle", reachable, true);
document.addEventListener("click", () => setTimeout(reachable, 400));

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
