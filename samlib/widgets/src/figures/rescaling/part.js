// The script of the figure, which comes when its figure is near.

import { offer } from "../../shared/parts.js";
import { renderRescaling } from "./figure.js";

offer("rescaling", { render: renderRescaling });
