// What the book's pages do by themselves. Without this script they can still be read to the end.

// A formula wider than the screen scrolls by itself; this lets a keyboard scroll it, too.
const wide = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    const formula = /** @type {HTMLElement} */ (target);
    if (formula.scrollWidth > formula.clientWidth) formula.tabIndex = 0;
    else formula.removeAttribute("tabindex");
  }
});

addEventListener("load", () => {
  for (const formula of document.querySelectorAll('mjx-container[display="true"]')) wide.observe(formula);
});

/**
 * Where a figure is wider than the text and passes the contents beside it, they are hidden.
 * @param {HTMLElement} contents
 */
function stepAside(contents) {
  const passing = new Set();
  /** @type {IntersectionObserver | undefined} */
  let observer;
  function watch() {
    observer?.disconnect();
    passing.clear();
    const below = Math.max(innerHeight - contents.getBoundingClientRect().height, 0);
    observer = new IntersectionObserver(
      (entries) => {
        for (const { target, isIntersecting } of entries) {
          if (isIntersecting) passing.add(target);
          else passing.delete(target);
        }
        contents.classList.toggle("stepped-aside", matchMedia("(min-width: 1200px)").matches && passing.size > 0);
      },
      { rootMargin: `0px 0px -${Math.round(below)}px 0px` },
    );
    for (const figure of document.querySelectorAll(".samlib-figure")) observer.observe(figure);
  }
  addEventListener("resize", watch);
  watch();
}

const contents = /** @type {HTMLElement | null} */ (document.querySelector(".bd-sidebar-secondary"));
if (contents) stepAside(contents);

/**
 * What the browser keeps for this page's guesses. It may refuse to: then nothing is kept.
 * @param {string} name
 */
function memory(name) {
  const key = `guess:${location.pathname}#${name}`;
  return {
    /** @returns {string | null} */
    recall() {
      try {
        return localStorage.getItem(key);
      } catch {
        return null;
      }
    },
    /** @param {string} choice */
    keep(choice) {
      try {
        localStorage.setItem(key, choice);
      } catch {
        // the guess is lost when the page is left, and nothing else
      }
    },
  };
}

/**
 * Turn a guess's choices into radio buttons. The first one pressed opens the answer.
 * @param {HTMLElement} guess
 */
function askFor(guess) {
  const choices = /** @type {HTMLElement[]} */ ([...guess.querySelectorAll(".guess-choices > li")]);
  const answer = /** @type {HTMLDetailsElement} */ (guess.querySelector(".guess-answer"));
  const right = choices.findIndex((choice) => choice.classList.contains("guess-right"));
  const { recall, keep } = memory(guess.id);
  const verdict = document.createElement("p");
  verdict.className = "guess-verdict";
  verdict.setAttribute("role", "status");
  answer.before(verdict);
  guess.setAttribute("role", "group");
  guess.setAttribute("aria-label", "Your guess");

  /** @param {number} chosen */
  function judge(chosen) {
    guess.classList.add("guessed");
    choices.forEach((choice, i) => choice.classList.toggle("guess-chosen", i === chosen));
    verdict.textContent =
      chosen === right
        ? `You guessed ${chosen + 1}, and that is right.`
        : `You guessed ${chosen + 1}. It is ${right + 1}.`;
  }

  choices.forEach((choice, i) => {
    const button = document.createElement("input");
    button.type = "radio";
    button.name = guess.id;
    button.checked = recall() === String(i + 1);
    if (button.checked) judge(i);
    button.addEventListener("change", () => {
      keep(String(i + 1));
      judge(i);
      answer.open = true;
    });
    const text = choice.querySelector("p") ?? choice;
    const label = document.createElement("label");
    label.append(button, ...text.childNodes);
    text.append(label);
  });
}

for (const guess of document.querySelectorAll(".guess")) {
  askFor(/** @type {HTMLElement} */ (guess));
}
