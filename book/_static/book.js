// Code that was folded when the page was measured can be scrolled by keyboard once it is open.
const reachable = () =>
  document.querySelectorAll("pre").forEach((pre) => {
    pre.tabIndex = pre.scrollWidth > pre.clientWidth ? 0 : -1;
  });
document.addEventListener("toggle", reachable, true);
document.addEventListener("click", () => setTimeout(reachable, 400));
