// The reply to the reader's own guess shows, wherever on this page the guess was made. Where each output has a page of
// its own (Colab) the replies ask again.
(() => {
  const here = /** @type {any} */ (window);
  /** @type {Map<string, number>} */
  const guessed = (here.fixlipGuessed ??= new Map());
  const reply = () => {
    for (const form of document.querySelectorAll("form[data-replies-to]")) {
      const { dataset, elements } = /** @type {HTMLFormElement} */ (form);
      const number = guessed.get(dataset.repliesTo ?? "");
      if (number !== undefined) /** @type {any} */ (elements).choice[number].checked = true;
    }
  };
  if (!here.fixlipListens) {
    here.fixlipListens = true;
    document.addEventListener("change", (event) => {
      const chosen = /** @type {HTMLInputElement} */ (event.target);
      const guess = chosen.form?.dataset.guess;
      if (guess === undefined) return;
      guessed.set(guess, Number(chosen.value));
      reply();
    });
  }
  setTimeout(reply); // replies that came after the guess
})();
