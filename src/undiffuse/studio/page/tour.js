// Understand: the tour's seven stops, two runs side by side, and the map. All computed when asked.

import { announce, byId, element } from "./dom.js";
import { mapNode } from "./map-view.js";
import { MatrixView } from "./matrix-view.js";
import { RunsView } from "./runs-view.js";
import { SideBySide } from "./side-by-side.js";
import { SpiralView } from "./spiral-view.js";
import { isPicture, parseSum } from "./sums.js";
import { texts } from "./texts.en.js";

const MATRIX_WORDS = 5;
const STRONG = 12; // guidance that is too much

export class TourView {
  // attempt(work) runs async work and shows its error.
  constructor(source, model, attempt) {
    Object.assign(this, { source, model, attempt });
    this.stops = ["noise", "old", "fresh", "steering", "clip", "sums", "spiral", "pair", "map"];
    this.prompt = byId("tour-prompt");
    byId("stops").append(...this.stops.map((name, number) => {
      const button = element("button", { type: "button", id: `stop-${name}` },
        texts.tour[name].name);
      button.addEventListener("click", () => this.open(number));
      return element("li", {}, button);
    }));
    byId("tour-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.start();
    });
    byId("tour-stop").addEventListener("click", () => this.running?.abort());
    byId("tour-next").addEventListener("click", () => {
      this.open((this.stop + 1) % this.stops.length);
      byId("tour-title").focus();
    });
  }

  show(prompt) {
    if (prompt && !this.prompt.value) this.prompt.value = prompt;
    if (this.stop === undefined) this.open(0);
  }

  get text() {
    return this.prompt.value.trim() || texts.tourExample;
  }

  // The first text of the prompt, which may be a sum.
  get word() {
    const text = parseSum(this.text).find((term) => !isPicture(term.text))?.text ?? "";
    return text.replaceAll('"', "").trim() || texts.tourExample;
  }

  // Open a stop and start it.
  open(number) {
    this.running?.abort();
    this.stop = number;
    const name = this.stops[number];
    byId("stops").querySelectorAll("button").forEach((button, one) => {
      if (one === number) button.setAttribute("aria-current", "step");
      else button.removeAttribute("aria-current");
    });
    byId("tour-title").textContent = texts.tour[name].title;
    byId("tour-text").textContent = texts.tour[name].text;
    byId("tour-prompt-field").hidden = ["clip", "spiral"].includes(name);
    byId("tour-stage").replaceChildren();
    this.pair = name === "pair" ? new SideBySide(this.model) : null;
    byId("tour-options").replaceChildren(...(this.pair ? [this.pair.node] : []));
    this.matrix = null;
    this.start();
  }

  start() {
    const name = this.stops[this.stop];
    if (name === "noise") return this.noise();
    if (name === "clip") return this.clip();
    if (name === "spiral") return this.spiral();
    if (name === "map") return this.map();
    if (name === "sums") return this.sums();
    return this.compare(this.pair ? this.pair.runs(this.text) : this.runs(name, this.text));
  }

  // [title, settings] of each run of a stop.
  runs(name, prompt) {
    const { steps } = this.model.defaults;
    const base = { prompt, steps, seed: 1 };
    const [first, second, third] = texts.tour[name].runs;
    return {
      old: [[first, { ...base, sampler: "previous" }], [second, { ...base, sampler: "blend" }]],
      fresh: [[first, { ...base, sampler: "blend", freshness: 1 }],
        [second, { ...base, sampler: "blend", freshness: 0 }]],
      steering: [[first, { ...base, prompt: "" }], [second, base],
        [third, { ...base, guidance: STRONG }]],
    }[name];
  }

  // Run async work of this stop; a newer one ends it.
  async run(work) {
    this.running?.abort();
    const control = (this.running = new AbortController());
    byId("tour-stop").hidden = false;
    byId("tour-stage").setAttribute("aria-busy", "true");
    await this.attempt(() => work(control.signal), () => control === this.running);
    if (control !== this.running) return;
    this.running = null;
    byId("tour-stop").hidden = true;
    byId("tour-stage").setAttribute("aria-busy", "false");
    announce(control.signal.aborted ? texts.stopped : texts.tourDone);
  }

  async stream(view, events, signal) {
    for await (const event of events) {
      if (signal.aborted) return;
      view.take(event);
    }
  }

  async compare(runs, ...more) {
    const view = new RunsView(runs.map(([title]) => title), this.model.size <= 128);
    byId("tour-stage").replaceChildren(view.node, ...more);
    await this.run((signal) =>
      this.stream(view, this.source.compare(runs.map(([, one]) => one), { signal }), signal));
  }

  async noise() {
    const view = new RunsView([this.text], this.model.size <= 128, texts.pairNoise);
    byId("tour-stage").replaceChildren(view.node);
    await this.run((signal) =>
      this.stream(view, this.source.noise({ prompt: this.text, seed: 1 }, { signal }), signal));
  }

  clip() {
    const words = [...new Set([this.word, ...texts.matrixWords])].slice(0, MATRIX_WORDS);
    this.matrix ??= new MatrixView(this.source, words, (work) => this.run(work));
    byId("tour-stage").replaceChildren(this.matrix.node);
    return this.matrix.update();
  }

  async sums() {
    const { word } = this;
    const [base, worn] = [{ seed: 1, steps: this.model.defaults.steps }, texts.withHat(word)];
    const sum = `"${worn}" - "${word}"`;
    const list = element("ol", { className: "nearest" });
    const heading = element("h3", {}, texts.nearestTo(`${worn} − ${word}`));
    const prompts = [`"${worn}"`, `"${word}"`, sum, `"${texts.otherThing}" + ${sum}`];
    const titles = [worn, word, `${worn} − ${word}`, `${texts.otherThing} + ${worn} − ${word}`];
    await this.compare(titles.map((title, k) => [title, { ...base, prompt: prompts[k] }]),
      heading, list);
    list.append(element("li", {}, texts.nearestWait));
    await this.run(async () => {
      const { words } = await this.source.nearest(sum);
      list.replaceChildren(...words.map(({ text, cosine }) =>
        element("li", {}, `${text} `, element("span", {}, cosine.toFixed(2)))));
    });
  }

  spiral() {
    this.running = null;
    byId("tour-stop").hidden = true;
    const view = new SpiralView();
    byId("tour-stage").replaceChildren(view.node);
    view.play();
  }

  async map() {
    byId("tour-stage").replaceChildren(element("p", { className: "welcome" }, texts.mapWait));
    await this.run(async () => {
      const found = await this.source.map([this.text]);
      byId("tour-stage").replaceChildren(
        mapNode(found, (name) => this.source.pictureUrl(name)));
    });
  }
}
