// What the parts of a figure share: the world they show, the colours, and how they ask for changes.

/**
 * @typedef {object} View
 * @property {import("./world.js").World} world
 * @property {import("./world.js").Config} config
 * @property {import("./theme.js").Palette} colours
 * @property {boolean} dragging while a start is being dragged, scales stand still
 * @property {() => void} redraw in the next animation frame
 * @property {() => void} pause
 * @property {(changes: Partial<import("./world.js").State>) => void} update
 */

export {};
