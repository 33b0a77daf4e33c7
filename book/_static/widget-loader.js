// What the views show and the scripts behind them (3.6 MB) are loaded when the first view comes near, or the page is
// to be printed. They lie in the book's own folder, which RequireJS is told here.
const states = document.currentScript.dataset.states;
const widgets = new URL("vendor/html-manager", document.currentScript.src).href;
const requirejsAddress = new URL("vendor/requirejs/require.js", document.currentScript.src).href;
window.require = {
  paths: {
    "@jupyter-widgets/html-manager/dist": widgets,
    "@jupyter-widgets/html-manager": `${widgets}/index`,
    "@jupyter-widgets/base": `${widgets}/base`,
    "@jupyter-widgets/controls": `${widgets}/controls`,
  },
};

const append = (address) =>
  new Promise((resolve, reject) => {
    const script = Object.assign(document.createElement("script"), { src: address, onload: resolve, onerror: reject });
    document.head.append(script);
  });

let started = false;
async function loadWidgets() {
  if (started) return;
  started = true;
  await append(new URL(states, document.baseURI).href);
  await append(requirejsAddress);
  await append(`${widgets}/embed-amd.js`);
}

window.addEventListener("load", () => {
  const views = document.querySelectorAll("script[type='application/vnd.jupyter.widget-view+json']");
  const near = new IntersectionObserver(
    (entries) => {
      if (entries.some((entry) => entry.isIntersecting)) {
        near.disconnect();
        loadWidgets();
      }
    },
    { rootMargin: "300px" },
  );
  views.forEach((view) => near.observe(view.parentElement));
  window.addEventListener("beforeprint", loadWidgets);
});
