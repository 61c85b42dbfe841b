"""Draw book/assets/card.png, the picture that goes with a link to the book: `make card`.

It shows SAM and gradient descent from one start in a bowl, as `samlib` computes them.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from PIL import Image
from playwright.sync_api import sync_playwright

import samlib

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
from tests.browser import FLAGS, find_browser  # noqa: E402

ASSETS = ROOT / "book/assets"
WIDTH, HEIGHT, SCALE = 1200, 630, 330

PAGE = """<!doctype html><meta charset="utf-8"><link rel="stylesheet" href="{style}">
<style>
  body {{ margin: 0; background: #fdfcf9; color: #23272c; overflow: hidden; }}
  h1 {{ font: 600 78px/1.1 "Book Serif"; letter-spacing: -0.012em; margin: 0; width: 560px; }}
  p {{ font: 400 31px/1.4 "Book Sans"; margin: 34px 0 0; width: 530px; color: #59616b; }}
  main {{ position: absolute; z-index: 1; left: 72px; top: 112px; }}
  svg {{ position: absolute; right: 0; top: 0; }}
  text {{ font: 600 26px "Book Sans"; }}
</style>
<main><h1>How does SAM minimize sharpness?</h1>
<p>An interactive textbook. Every figure can be played with, every claim is checked by code.</p>
</main>
<svg width="680" height="630" viewBox="-370 -315 680 630" fill="none">{drawing}</svg>
"""


def path_of(points: torch.Tensor, colour: str, dashes: str = "") -> str:
    """Return a polyline through points of the plane."""
    places = " ".join(f"{SCALE * x:.1f},{-SCALE * y:.1f}" for x, y in points.tolist())
    return (
        f'<polyline points="{places}" stroke="{colour}" stroke-width="5" '
        f'stroke-linejoin="round" stroke-linecap="round" stroke-dasharray="{dashes}"/>'
    )


def drawing() -> str:
    """Return the bowl's level lines, both runs, and the two points that SAM ends at."""
    curvatures, start = [2.0, 0.6], torch.tensor([0.3, 0.85], dtype=torch.float64)
    bowl = samlib.landscapes.Quadratic(curvatures)
    parts = [
        f'<ellipse rx="{SCALE * (2 * level / 2.0) ** 0.5:.1f}" '
        f'ry="{SCALE * (2 * level / 0.6) ** 0.5:.1f}" stroke="#d8d2c4" stroke-width="2"/>'
        for level in (0.012, 0.05, 0.115, 0.21, 0.34, 0.5, 0.7)
    ]
    lr, rho = 0.3, 0.8
    sam = samlib.simulate(bowl, samlib.rules.SAM(lr, rho), start, steps=40).x[0]
    descent = samlib.simulate(bowl, samlib.rules.GradientDescent(lr), start, steps=40).x[0]
    colours = samlib.plotting.COLOURS
    parts += [
        path_of(descent, colours["gradient_descent"], "2 11"),
        path_of(sam, colours["sam"]),
        f'<circle cx="{SCALE * 0.3}" cy="{-SCALE * 0.85}" r="12" fill="#fdfcf9" '
        'stroke="#23272c" stroke-width="5"/>',
    ]
    for x, y in sam[-2:].tolist():
        place = f'cx="{SCALE * x:.1f}" cy="{-SCALE * y:.1f}"'
        parts.append(f'<circle {place} r="17" fill="{colours["sam"]}"/>')
    parts.append('<circle r="9" fill="#666666"/>')
    return "".join(parts)


def main() -> None:
    """Write the picture."""
    page_file = ASSETS / "card.html"
    page_file.write_text(PAGE.format(style="book.css", drawing=drawing()), encoding="utf8")
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=find_browser(), args=list(FLAGS))
            page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
            page.goto(page_file.as_uri())
            page.evaluate("document.fonts.ready")
            page.screenshot(path=str(ASSETS / "card.png"))
        with Image.open(ASSETS / "card.png") as picture:
            palette = picture.convert("RGB").quantize(64, dither=Image.Dither.NONE)
        palette.save(ASSETS / "card.png", optimize=True)
    finally:
        page_file.unlink()


if __name__ == "__main__":
    main()
