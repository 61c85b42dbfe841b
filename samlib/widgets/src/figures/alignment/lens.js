// The surroundings of the minimum, magnified in the quarter opposite to the start, where SAM does not pass.

import { svg } from "../../shared/dom.js";
import { drawScene } from "./scene.js";

/** @param {import("./view.js").View} view @param {import("../../shared/plot.js").Plot} plot */
export function createLens(view, plot) {
  const frame = svg("path", { class: "samlib-lens" });
  plot.marks.append(frame);

  /** On which sides of the plane the lens is, and its rectangle. */
  function place() {
    const { box } = plot;
    const { state, plane: [i, j] } = view.world; // prettier-ignore
    const size = 0.4 * Math.min(box.right - box.left, box.bottom - box.top);
    const pad = 8;
    const onLeft = state.start[i] >= 0;
    const below = state.start[j] >= 0;
    const left = onLeft ? box.left + pad : box.right - pad - size;
    const top = below ? box.bottom - pad - size : box.top + pad;
    return { onLeft, below, left, top, size };
  }

  return {
    /** @param {boolean} hidden */
    hide: (hidden) => frame.toggleAttribute("hidden", hidden),
    /**
     * @param {number} close half of what the lens shows
     * @param {{centreX: number, centreY: number, scale: number}} scene
     */
    draw(close, { centreX: cx, centreY: cy, scale }) {
      const { context } = plot;
      const { onLeft, below, left, top, size } = place();
      context.save();
      context.beginPath();
      context.rect(left, top, size, size);
      context.clip();
      context.fillStyle = view.colours.plot;
      context.fill();
      drawScene(view, context, { left, top, right: left + size, bottom: top + size }, close);
      context.restore();
      // Its frame, the frame of what it magnifies, and two lines between their corners.
      const r = Math.max(scale * close, 2);
      const [near, far] = onLeft ? [left + size, left] : [left, left + size];
      const [inner, outer] = below ? [top, top + size] : [top + size, top];
      const sx = onLeft ? -r : r;
      const sy = below ? r : -r;
      frame.setAttribute(
        "d",
        `M${left} ${top}h${size}v${size}h${-size}z` +
          `M${cx - r} ${cy - r}h${2 * r}v${2 * r}h${-2 * r}z` +
          `M${cx + sx} ${cy - sy}L${far} ${inner}M${cx - sx} ${cy + sy}L${near} ${outer}`,
      );
      return { left, top, size };
    },
  };
}
