// The script of the figure, which comes when its figure is near.

import { offer } from "../../shared/parts.js";
import { renderLimitingFlow } from "./figure.js";

offer("limiting-flow", { render: renderLimitingFlow });
