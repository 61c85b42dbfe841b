// Twelve digits that the network has not seen, and what it takes them for.

import { html } from "../../shared/dom.js";

/** The side of an image in pixels. */
const SIDE = 8;

/** @param {import("./figure.js").View} view */
export function createDigits(view) {
  const { world } = view;
  const { images, shown } = world.trained;
  const digits = shown.targets.map((target, i) => {
    const canvas = html("canvas", { width: SIDE, height: SIDE, "aria-hidden": "true" });
    const answer = html("b");
    const truth = html("span");
    const item = html("li", {}, canvas, answer, truth);
    return { target, item, canvas, answer, truth, image: images.subarray(i * SIDE * SIDE, (i + 1) * SIDE * SIDE) };
  });
  const title = html("div", { class: "samlib-heading" }, html("span", {}, "What it takes twelve new digits for"));
  const list = html("ul", { class: "samlib-rescaling-digits" }, ...digits.map(({ item }) => item));
  let ink = "";

  /** In the ink's colour. @param {typeof digits[number]} digit */
  function paint({ canvas, image }) {
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    context.clearRect(0, 0, SIDE, SIDE);
    context.fillStyle = view.colours.ink;
    image.forEach((shade, at) => {
      context.globalAlpha = shade;
      context.fillRect(at % SIDE, Math.floor(at / SIDE), 1, 1);
    });
  }

  return {
    el: html("div", { class: "samlib-rescaling-answers" }, title, list),
    draw() {
      digits.forEach(({ target, item, answer, truth }, i) => {
        const given = world.now.answers[i];
        item.classList.toggle("samlib-wrong", given !== target);
        answer.textContent = String(given);
        truth.textContent = given === target ? "" : `not ${target}`;
      });
      if (ink !== view.colours.ink) digits.forEach(paint);
      ink = view.colours.ink;
    },
  };
}
