// The spiral: points that come out of noise, and the field of arrows that moves them.

import { element } from "./dom.js";
import { DATA, blend, normals, velocity } from "./spiral.js";
import { texts } from "./texts.en.js";

const SIDE = 640;
const RANGE = 2.6; // from the middle to an edge
const [COUNT, STEPS, GRID] = [180, 40, 17];

export class SpiralView {
  constructor() {
    this.canvas = element("canvas", { width: SIDE, height: SIDE, role: "img",
      className: "spiral" });
    this.slider = element("input", { type: "range", min: 0, max: STEPS, value: STEPS,
      className: "scrub", id: "spiral-step" });
    this.fresh = element("input", { type: "checkbox", id: "spiral-fresh" });
    this.shares = element("output", { htmlFor: "spiral-step" });
    this.seed = 1;
    const again = element("button", { type: "button" }, texts.spiralAgain);
    again.addEventListener("click", () => {
      this.seed += 1;
      this.start();
      this.play();
    });
    this.slider.addEventListener("input", () => {
      cancelAnimationFrame(this.frame);
      this.show();
    });
    this.fresh.addEventListener("change", () => {
      this.start();
      this.show();
    });
    this.node = element("div", { className: "spiral-stage" }, this.canvas,
      element("div", { className: "progress" },
        element("div", { className: "legend" }, this.shares,
          element("label", {}, this.fresh, " ", texts.freshness)),
        element("label", { className: "unseen", htmlFor: "spiral-step" }, texts.step), this.slider),
      element("div", { className: "actions" }, again));
    this.start();
    this.show();
  }

  // The paths of all points, from noise to the data.
  start() {
    const normal = normals(this.seed);
    const pair = () => [normal(), normal()];
    let points = Array.from({ length: COUNT }, pair);
    this.path = [points];
    for (let k = 0; k < STEPS; k += 1) {
      const [t, s] = [1 - k / STEPS, 1 - (k + 1) / STEPS];
      points = points.map((point) => blend(point, t, s, this.fresh.checked ? pair() : null));
      this.path.push(points);
    }
  }

  play() {
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return this.show();
    cancelAnimationFrame(this.frame);
    this.slider.value = 0;
    let last = 0;
    const next = (now) => {
      if (!this.canvas.isConnected) return;
      if (now - last > 50) {
        last = now;
        this.show();
        if (this.slider.valueAsNumber === STEPS) return;
        this.slider.value = this.slider.valueAsNumber + 1;
      }
      this.frame = requestAnimationFrame(next);
    };
    this.frame = requestAnimationFrame(next);
  }

  show() {
    const step = this.slider.valueAsNumber;
    const t = 1 - step / STEPS;
    const context = this.canvas.getContext("2d");
    const style = getComputedStyle(document.documentElement);
    const color = (name) => style.getPropertyValue(name).trim();
    const at = ([x, y]) => [x, -y].map((v) => (SIDE / 2) * (1 + v / RANGE));
    context.clearRect(0, 0, SIDE, SIDE);
    const dots = (points, radius, fill) => {
      context.fillStyle = fill;
      for (const point of points) {
        context.beginPath();
        context.arc(...at(point), radius, 0, 2 * Math.PI);
        context.fill();
      }
    };
    dots(DATA, 2, color("--noise"));
    context.strokeStyle = color("--quiet");
    context.lineWidth = 1.3;
    for (let i = 0; i < GRID * GRID; i += 1) {
      const from = [i % GRID, Math.floor(i / GRID)].map((v) =>
        RANGE * 0.94 * ((2 * v) / (GRID - 1) - 1));
      this.arrow(context, at, from, velocity(from, Math.max(t, 0.03)));
    }
    dots(this.path[step], 4.5, color("--accent"));
    this.shares.textContent = texts.shares(1 - t, t);
    this.slider.setAttribute("aria-valuetext", texts.stepValue(step, STEPS, 1 - t, t));
    this.slider.style.setProperty("--share", `${100 * (1 - t)}%`);
    this.canvas.setAttribute("aria-label", texts.spiralAlt(step, STEPS));
  }

  arrow(context, at, from, [u, v]) {
    const speed = Math.hypot(u, v);
    if (!speed) return;
    const size = (0.2 * Math.min(1, speed)) / speed;
    const [x0, y0] = at(from);
    const [x1, y1] = at([from[0] + u * size, from[1] + v * size]);
    const angle = Math.atan2(y1 - y0, x1 - x0);
    context.beginPath();
    context.moveTo(x0, y0);
    context.lineTo(x1, y1);
    for (const side of [2.6, -2.6]) {
      context.moveTo(x1, y1);
      context.lineTo(x1 + 5 * Math.cos(angle + side), y1 + 5 * Math.sin(angle + side));
    }
    context.stroke();
  }
}
