// Set formulas without a browser: TeX with the macros of AMS and those of _config.yml, and a hidden
// copy of each formula in MathML for screen readers. It is asked on its standard input and answers
// on its standard output, both in JSON.

import { readFileSync } from "node:fs";
import { AssistiveMmlHandler } from "mathjax-full/js/a11y/assistive-mml.js";
import { liteAdaptor } from "mathjax-full/js/adaptors/liteAdaptor.js";
import { RegisterHTMLHandler } from "mathjax-full/js/handlers/html.js";
import { TeX } from "mathjax-full/js/input/tex.js";
import "mathjax-full/js/input/tex/ams/AmsConfiguration.js";
import "mathjax-full/js/input/tex/base/BaseConfiguration.js";
import "mathjax-full/js/input/tex/configmacros/ConfigMacrosConfiguration.js";
import "mathjax-full/js/input/tex/noundefined/NoUndefinedConfiguration.js";
import { mathjax } from "mathjax-full/js/mathjax.js";
import { CHTML } from "mathjax-full/js/output/chtml.js";

const packages = ["base", "ams", "configmacros", "noundefined"];

/**
 * Each formula as HTML, and the styles of all that a formula may hold.
 *
 * @param {object} question
 * @param {object} question.tex options of MathJax's input
 * @param {object} question.chtml options of its output
 * @param {{em: number, ex: number}} question.metrics of the text around, in pixels
 * @param {[tex: string, display: boolean][]} question.formulas
 */
function answer({ tex, chtml, metrics, formulas }) {
  const adaptor = liteAdaptor();
  AssistiveMmlHandler(RegisterHTMLHandler(adaptor));
  const output = new CHTML({ ...chtml, adaptiveCSS: false });
  const document = mathjax.document("", { InputJax: new TeX({ ...tex, packages }), OutputJax: output });
  const html = formulas.map(([formula, display]) =>
    adaptor.outerHTML(document.convert(formula, { display, ...metrics })),
  );
  return { html, css: adaptor.textContent(output.styleSheet(document)) };
}

process.stdout.write(JSON.stringify(answer(JSON.parse(readFileSync(0, "utf8")))));
