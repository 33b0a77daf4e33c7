// Read by RequireJS when it starts: the widgets' parts, fonts among them, lie in the book's own folder.
const widgets = new URL("vendor/html-manager", document.currentScript.src).href;
window.require = {
  paths: {
    "@jupyter-widgets/html-manager/dist": widgets,
    "@jupyter-widgets/html-manager": `${widgets}/index`,
    "@jupyter-widgets/base": `${widgets}/base`,
    "@jupyter-widgets/controls": `${widgets}/controls`,
  },
};
