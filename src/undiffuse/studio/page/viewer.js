// The two panels, the slider over the steps, and the choice among several pictures.

import { announce, byId, element } from "./dom.js";
import { texts } from "./texts.en.js";

export class Viewer {
  constructor() {
    this.scrub = byId("scrub");
    this.clear();
    this.scrub.addEventListener("input", () => {
      this.follow = false;
      this.show();
    });
    document.addEventListener("keydown", (event) => this.onArrow(event));
  }

  // Forget the steps; the panels keep their pictures until the next ones come.
  clear(prompt = "", count = 1) {
    this.prompt = prompt;
    this.frames = Array.from({ length: count }, () => []); // of each picture
    this.finished = [];
    this.selected = 0;
    this.follow = true; // show the newest step
    this.showChoices();
  }

  addStep(event) {
    this.frames[event.picture].push(event);
    if (event.picture === this.selected) this.show();
    this.showThumbnail(event.picture, event.x0);
  }

  addPicture(event) {
    this.finished[event.picture] = event;
    this.showThumbnail(event.picture, event.png);
  }

  get current() {
    return this.finished[this.selected];
  }

  // Call `changed` when another picture is selected.
  onSelect(changed) {
    this.changed = changed;
  }

  show() {
    const frames = this.frames[this.selected];
    if (!frames.length) return;
    this.scrub.max = frames.length;
    if (this.follow) this.scrub.value = frames.length;
    const frame = frames[this.scrub.valueAsNumber - 1];
    const { step, of, picture_share: picture, noise_share: noise } = frame;
    this.setPanel("x-t", frame.x_t, texts.altNoisy(this.prompt, step));
    this.setPanel("x0", frame.x0, texts.altPredicted(this.prompt, step));
    byId("shares").textContent = texts.shares(picture, noise);
    byId("step").textContent = texts.stepOf(step, of);
    this.scrub.setAttribute("aria-valuetext", texts.stepValue(step, of, picture, noise));
    this.scrub.style.setProperty("--share", `${100 * picture}%`);
    byId("progress").hidden = false;
    byId("welcome").hidden = true;
  }

  setPanel(id, source, alt) {
    const image = byId(id);
    image.src = source;
    image.alt = alt;
    image.hidden = false;
  }

  showChoices() {
    const choices = byId("choices");
    choices.hidden = this.frames.length < 2;
    choices.replaceChildren(...(choices.hidden ? [] : this.frames.map((_, number) => {
      const input = element("input", {
        type: "radio", name: "choice", value: number, checked: number === 0,
        className: "unseen", "aria-label": texts.picture(number + 1),
      });
      input.addEventListener("change", () => this.select(number));
      return element("label", {}, input, element("img", { alt: "" }));
    })));
  }

  showThumbnail(number, source) {
    const image = byId("choices").children[number]?.querySelector("img");
    if (image) image.src = source;
  }

  select(number) {
    this.selected = number;
    this.show();
    this.changed?.();
    announce(texts.picture(number + 1));
  }

  // Arrow keys move over the steps, unless the focus is on something that needs them itself.
  onArrow(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const busy = event.target.closest("input, select, textarea, dialog, [contenteditable]");
    const other = event.altKey || event.ctrlKey || event.metaKey;
    if (!step || busy || other || byId("progress").hidden) return;
    this.scrub.valueAsNumber += step;
    this.follow = false;
    this.show();
    event.preventDefault();
  }
}
