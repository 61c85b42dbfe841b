// The figure "Explore": what a kernel measures of the reader's own network. Nothing is computed here; without a
// kernel the figure shows what was measured last.

import { button } from "../../shared/buttons.js";
import { html, svg } from "../../shared/dom.js";
import { slider } from "../../shared/fields.js";
import { createLegend, line } from "../../shared/legend.js";
import { linksOf } from "../../shared/permalink.js";
import { createCosines } from "./cosines.js";
import { describe } from "./describe.js";
import { MARKS, NOTIONS } from "./drawing.js";
import { tableOf } from "./numbers.js";
import { createProfile } from "./profile.js";
import { createProgress } from "./progress.js";
import { pythonOf } from "./python.js";
import { createRadii } from "./radii.js";
import { createSpectrum } from "./spectrum.js";
import { NAMES, createTable } from "./table.js";
import { createView } from "./view.js";

/** The traits that only the kernel sets. */
const MEASURED = /** @type {const} */ (["_network", "_point", "_measured", "_current", "_progress", "_message"]);

/**
 * @param {{model: import("../../shared/model.js").Model, el: HTMLElement, linkId?: string, alias?: string}} context
 * @returns {() => void} takes the figure down
 */
export function renderExplore(context) {
  const view = createView(context);
  const radii = createRadii(view);
  const [profile, spectrum, cosines] = [createProfile(view), createSpectrum(view), createCosines(view)];
  const pictures = [profile, radii, spectrum, cosines];
  const table = createTable(view);
  const progress = createProgress(view);
  const rho = slider({
    label: "Radius ρ", name: "rho", range: view.config.sliders.rho, limits: view.config.limits.rho,
    onInput: (value) => view.pick(value),
  }); // prettier-ignore
  const slide = /** @type {HTMLInputElement} */ (rho.el.querySelector("[type=range]"));
  const sweep = button({
    label: "Measure at seven radii", text: "Sweep over ρ", onPress: () => view.kernel.ask("sweep"),
  }); // prettier-ignore
  sweep.dataset.control = "sweep";
  const takeDown = view.mount({
    className: "samlib-explore",
    choices: null,
    hint: "Drag ρ: from where on is the gradient not the worst direction?",
    legend: legend(),
    stage: [radii.plot.el],
    player: { el: progress.el, pause() {}, dispose() {} },
    main: html("div", { class: "samlib-and" }, rho.el, sweep),
    panels: [
      { name: "numbers", title: "Numbers", parts: [table.el] },
      { name: "profile", title: "Along the directions", parts: [profile.plot.el, createLegend([["explored-random", [line()], "one random direction"]])] },
      { name: "spectrum", title: "Eigenvalues", parts: [spectrum.plot.el] },
      { name: "cosines", title: "Angles", parts: [cosines.plot.el] },
    ],
    controls: null,
    handles: [radii.handle, { group: slide, key: (event) => view.step(event.key) }],
    compute: view.compute,
    draw() {
      const there = view.kernel.state() === "there";
      rho.el.hidden = !there && view.measured.length < 2;
      sweep.hidden = view.kernel.state() === "none";
      sweep.disabled = !there;
      rho.show(view.state.rho);
      table.draw();
      progress.draw();
      for (const picture of pictures) picture.draw();
    },
    describe: () => describe(view),
    table: () => tableOf(view),
    python: () => pythonOf(view),
    ...linksOf(view, { labels: { rho: "ρ" } }),
    dispose: () => pictures.forEach(({ plot }) => plot.dispose()),
  });
  const changed = () => {
    view.compute();
    view.redraw();
  };
  for (const name of MEASURED) context.model.on(`change:${name}`, changed);
  view.kernel.ask("hello");
  return () => {
    for (const name of MEASURED) context.model.off(`change:${name}`, changed);
    view.kernel.dispose();
    takeDown();
  };
}

const SHORT = { worst: "worst", ascent: "gradient’s", average: "average" };

/** What the lines and marks are. */
function legend() {
  return createLegend([
    ...NOTIONS.map((notion) => /** @type {import("../../shared/legend.js").Entry} */ ([
      `explored-${notion}`, [line(), svg("path", { d: MARKS[notion], transform: "translate(16 7)" })],
      `${SHORT[notion]}, ${{ worst: "Rᴹᵃˣ", ascent: "Rᴬˢᶜ", average: "Rᴬᵛᵍ" }[notion]}`,
    ])),
    ["explored-model", [svg("path", { d: "M1 11L31 3" })], "to second order"],
  ]); // prettier-ignore
}
