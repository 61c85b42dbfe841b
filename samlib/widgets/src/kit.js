// What the bundle lends to scripts of their own (shared/parts.js), so that none of them brings it along: modules by
// their paths. build.js puts these in their place when it bundles a part; a part that needs another adds it here.

import { contours } from "d3-contour";
import { scaleLinear, scaleLog } from "d3-scale";
import * as schema from "./schema.js";
import * as buttons from "./shared/buttons.js";
import * as dom from "./shared/dom.js";
import * as drag from "./shared/drag.js";
import * as drawing from "./shared/drawing.js";
import * as fields from "./shared/fields.js";
import * as format from "./shared/format.js";
import * as frame from "./shared/frame.js";
import * as handle from "./shared/handle.js";
import * as labels from "./shared/labels.js";
import * as legend from "./shared/legend.js";
import * as marks from "./shared/marks.js";
import * as parts from "./shared/parts.js";
import * as permalink from "./shared/permalink.js";
import * as player from "./shared/player.js";
import * as plot from "./shared/plot.js";
import * as samples from "./shared/samples.js";
import * as takeAwayPython from "./shared/take-away/python.js";
import * as takeAwayTable from "./shared/take-away/table.js";
import * as theme from "./shared/theme.js";
import * as traitControls from "./shared/trait-controls.js";

/** @type {Record<string, object>} */
export const KIT = {
  "d3-contour": { contours },
  "d3-scale": { scaleLinear, scaleLog },
  "schema.js": schema,
  "shared/buttons.js": buttons,
  "shared/dom.js": dom,
  "shared/drag.js": drag,
  "shared/drawing.js": drawing,
  "shared/fields.js": fields,
  "shared/format.js": format,
  "shared/frame.js": frame,
  "shared/handle.js": handle,
  "shared/labels.js": labels,
  "shared/legend.js": legend,
  "shared/marks.js": marks,
  "shared/parts.js": parts,
  "shared/permalink.js": permalink,
  "shared/player.js": player,
  "shared/plot.js": plot,
  "shared/samples.js": samples,
  "shared/take-away/python.js": takeAwayPython,
  "shared/take-away/table.js": takeAwayTable,
  "shared/theme.js": theme,
  "shared/trait-controls.js": traitControls,
};

/** @type {any} */ (globalThis).samlibKit = KIT;
