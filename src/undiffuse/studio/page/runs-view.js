// Drawings side by side, in step: of each run the noisy picture and the prediction.

import { element } from "./dom.js";
import { texts } from "./texts.en.js";

export class RunsView {
  constructor(titles, pixels, caption = texts.pair) {
    this.frames = titles.map(() => []);
    this.follow = true;
    this.figures = titles.map((title) => {
      const images = ["x_t", "x0"].map((kind) => element("img", { hidden: true, alt: "",
        "data-kind": kind }));
      const figure = element("figure", { className: "run" },
        element("h3", {}, title),
        element("div", { className: "pair" }, ...images.map((image) =>
          element("div", { className: pixels ? "frame pixels" : "frame" }, image))),
        element("figcaption", {}, caption));
      return { title, images, figure };
    });
    this.scrub = element("input", { type: "range", min: 1, max: 1, value: 1, className: "scrub",
      "aria-label": texts.step });
    this.shares = element("output", {});
    this.step = element("span", {});
    this.scrub.addEventListener("input", () => {
      this.follow = false;
      this.show();
    });
    this.bar = element("div", { className: "progress", hidden: true },
      element("div", { className: "legend" }, this.shares, this.step), this.scrub);
    this.node = element("div", {}, element("div", { className: "runs" },
      ...this.figures.map(({ figure }) => figure)), this.bar);
  }

  take(event) {
    if (event.type !== "step") return;
    this.frames[event.run ?? 0].push(event);
    this.show();
  }

  // All runs at the share of their steps where the slider is.
  show() {
    const most = Math.max(...this.frames.map((frames) => frames.length));
    if (!most) return;
    this.scrub.max = most;
    if (this.follow) this.scrub.value = most;
    const longest = this.frames.find((frames) => frames.length === most);
    const now = longest[this.scrub.valueAsNumber - 1];
    const share = now.step / now.of;
    this.figures.forEach(({ title, images }, run) => {
      const frames = this.frames[run];
      const shown = frames.findLast((one) => one.step / one.of <= share + 1e-9) ?? frames[0];
      if (!shown) return;
      for (const [image, kind] of images.map((one) => [one, one.dataset.kind])) {
        image.src = shown[kind];
        image.alt = texts.altRun(title, kind, shown.step);
        image.hidden = false;
      }
    });
    const { step, of, picture_share: picture, noise_share: noise } = now;
    this.shares.textContent = texts.shares(picture, noise);
    this.step.textContent = texts.stepOf(step, of);
    this.scrub.setAttribute("aria-valuetext", texts.stepValue(step, of, picture, noise));
    this.scrub.style.setProperty("--share", `${Math.min(100, 100 * picture)}%`);
    this.bar.hidden = false;
  }
}
