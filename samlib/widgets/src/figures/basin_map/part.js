// The script of the figure, which comes when its figure is near.

import { offer } from "../../shared/parts.js";
import { createCard } from "./card.js";
import { renderBasinMap } from "./figure.js";

offer("basin-map", { render: renderBasinMap, createCard });
