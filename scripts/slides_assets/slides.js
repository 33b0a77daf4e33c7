// Formulas are set first, then each slide is made to fit, then the show begins.
const SMALLEST = 0.6; // of the usual size of letters

function fit(section) {
  const room = 720 - 40;
  let size = 1;
  while (section.scrollHeight > room && size > SMALLEST) {
    size -= 0.05;
    section.querySelector(".fit").style.fontSize = `${size}em`;
  }
  section.dataset.height = section.scrollHeight;
}

window.MathJax = {
  startup: {
    ready: async () => {
      document.body.classList.add("measuring");
      MathJax.startup.defaultReady();
      await MathJax.startup.promise;
      await Promise.all([...document.images].map((image) => image.decode()));
      document.querySelectorAll(".slides > section > section").forEach(fit);
      document.body.classList.remove("measuring");
      await Reveal.initialize({ hash: true, width: 1280, height: 720, margin: 0.04, center: false, plugins: [RevealNotes] });
      document.body.dataset.ready = "yes";
    },
  },
};
