// MathJax with what the book's formulas use, and nothing else: TeX with the macros of AMS and those of
// _config.yml, and a hidden copy of each formula in MathML for screen readers. No menu, which would
// fetch a speech engine from outside; nothing that is fetched when a macro first occurs.

import "mathjax-full/components/src/startup/init.js";
import { Loader } from "mathjax-full/js/components/loader.js";
import "mathjax-full/components/src/core/core.js";
import "mathjax-full/components/src/input/tex-base/lib/tex-base.js";
import { registerTeX } from "mathjax-full/components/src/input/tex/register.js";
import "mathjax-full/components/src/input/tex/extensions/ams/ams.js";
import "mathjax-full/components/src/input/tex/extensions/configmacros/configmacros.js";
import "mathjax-full/components/src/input/tex/extensions/noundefined/noundefined.js";
import "mathjax-full/components/src/output/chtml/chtml.js";
import "mathjax-full/components/src/output/chtml/fonts/tex/tex.js";
import "mathjax-full/components/src/a11y/assistive-mml/assistive-mml.js";

Loader.preLoad(
  "loader",
  "startup",
  "core",
  "input/tex-base",
  "[tex]/ams",
  "[tex]/configmacros",
  "[tex]/noundefined",
  "output/chtml",
  "output/chtml/fonts/tex.js",
  "a11y/assistive-mml",
);
registerTeX(["base", "ams", "configmacros", "noundefined"]);

// Loads nothing any more, and sets the page's formulas.
import("mathjax-full/components/src/startup/startup.js");
