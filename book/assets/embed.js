// A figure inside another page: light or dark as the reader's system is, or as the address says (?theme=dark); and a
// button that shows all of the figure.

const root = document.documentElement;
const wanted = new URLSearchParams(location.search).get("theme");
const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => {
  root.dataset.theme = wanted === "dark" || (wanted !== "light" && dark.matches) ? "dark" : "light";
};
follow();
dark.addEventListener("change", follow);

addEventListener("DOMContentLoaded", () => {
  const button = document.querySelector("footer button");
  if (!(button instanceof HTMLElement)) return;
  button.hidden = false;
  button.addEventListener("click", () => {
    const all = root.classList.toggle("all");
    button.setAttribute("aria-pressed", String(all));
    const closed = document.querySelectorAll('[data-opens][aria-expanded="false"]');
    if (all) for (const more of closed) if (more instanceof HTMLElement && more.checkVisibility()) more.click();
    scrollTo(0, 0);
  });
});
