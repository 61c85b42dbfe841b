// What the parts of the figure "Alignment" share: its frame, and the world that it shows.

/** @typedef {import("../../shared/frame.js").Frame<import("./world.js").State> & {world: import("./world.js").World}} View */

export {};
