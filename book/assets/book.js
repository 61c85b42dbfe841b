// A formula wider than the screen scrolls by itself; this lets a keyboard scroll it, too.
function reachWideFormulas() {
  for (const formula of document.querySelectorAll('mjx-container[display="true"]')) {
    if (formula.scrollWidth > formula.clientWidth) formula.tabIndex = 0;
    else formula.removeAttribute("tabindex");
  }
}

addEventListener("load", async () => {
  await window.MathJax?.startup?.promise;
  reachWideFormulas();
  addEventListener("resize", reachWideFormulas);
});
