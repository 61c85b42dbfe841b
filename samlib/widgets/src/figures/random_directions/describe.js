// What the figure "RandomDirections" shows, in words.

import { count, number } from "../../shared/format.js";
import { DIRECTIONS } from "./directions.js";

/** One sentence that says what is shown. @param {import("./figure.js").View} view */
export const describe = ({ state, world: { average, best } }) =>
  `In D = ${count(state.dimension)} dimensions a random direction raises L by ${number(100 * average)} % of the most ` +
  `possible on average, and the best of ${count(DIRECTIONS)} draws by ${number(100 * best)} %.`;
