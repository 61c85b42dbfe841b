// The script of the figure, which comes when its figure is near.

import { offer } from "../../shared/parts.js";
import { renderThermostat } from "./figure.js";

offer("thermostat", { render: renderThermostat });
