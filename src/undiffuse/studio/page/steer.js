// Steer: the prompt as a sum of chips, directions as sliders, and a picture between two.

import { announce, byId, element } from "./dom.js";
import { formatSum, isPicture, parseSum, withWeight } from "./sums.js";
import { texts } from "./texts.en.js";

const STEP = 0.2; // of a weight
const STORE = "undiffuse-directions";
const MOST_OWN = 12;

export class SteerPanel {
  // change(prompt, settled) sets the prompt; attempt(work) shows the error of async work.
  constructor(source, prompt, change, attempt) {
    Object.assign(this, { source, prompt, change, attempt });
    this.own = readOwn();
    this.sliders = new Map();
    prompt.addEventListener("input", () => this.show());
    for (const text of texts.palette) byId("palette").append(this.word(text));
    byId("direction-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.addOwn(byId("direction").value.trim().replace(/["]/g, ""));
    });
    this.listenForDrops(byId("chips"));
    this.listenBetween();
    this.showSliders();
    this.show();
  }

  get terms() {
    return parseSum(this.prompt.value);
  }

  set(terms, settled = true) {
    this.change(formatSum(terms), settled);
    this.show();
  }

  show() {
    const { terms } = this;
    const focus = document.activeElement?.dataset?.chip;
    byId("chips").replaceChildren(...terms.map((term, number) => this.chip(term, number)));
    byId("chips-empty").hidden = terms.length > 0;
    if (focus) byId("chips").querySelector(`[data-chip="${focus}"]`)?.focus();
    for (const [text, { slider, output }] of this.sliders) {
      const weight = terms.find((term) => term.text === text)?.weight ?? 0;
      slider.value = weight;
      output.textContent = signed(weight);
    }
  }

  chip({ weight, text }, number) {
    const name = isPicture(text) ? texts.ownPicture : text;
    const button = (action, sign, label, work) => {
      const one = element("button", { type: "button", "aria-label": label }, sign);
      one.dataset.chip = `${action}-${number}`;
      one.addEventListener("click", work);
      return one;
    };
    const chip = element("li", { className: "chip", draggable: true },
      isPicture(text) ? element("img", { src: this.source.uploadUrl(text), alt: name })
        : element("span", {}, name),
      button("less", "−", texts.lessOf(name), () => this.step(number, -STEP)),
      element("output", {}, signed(weight)),
      button("more", "+", texts.moreOf(name), () => this.step(number, STEP)),
      button("remove", "×", texts.removeTerm(name), () => this.take(number)));
    chip.addEventListener("dragstart", (event) => {
      event.dataTransfer.setData("text/plain", text);
      event.dataTransfer.setData("application/x-term", String(number));
    });
    chip.addEventListener("keydown", (event) => {
      if (event.key === "Delete") this.take(number);
      const way = event.altKey ? { ArrowLeft: -1, ArrowRight: 1 }[event.key] : 0;
      if (!way) return;
      event.preventDefault();
      this.move(number, number + way);
    });
    return chip;
  }

  step(number, by) {
    const { terms } = this;
    const weight = Math.round((terms[number].weight + by) * 10) / 10;
    terms[number].weight = weight || Math.sign(by) * STEP; // over zero
    this.set(terms);
    announce(`${terms[number].text}: ${signed(terms[number].weight)}`);
  }

  take(number) {
    this.set(this.terms.filter((_, one) => one !== number));
    (byId("chips").querySelector("button") ?? byId("prompt")).focus();
  }

  move(from, to) {
    const { terms } = this;
    if (to < 0 || to >= terms.length) return;
    terms.splice(to, 0, ...terms.splice(from, 1));
    this.set(terms);
  }

  add(text) {
    const { terms } = this;
    if (!text || terms.some((term) => term.text === text)) return;
    this.set([...terms, { weight: 1, text }]);
  }

  word(text) {
    const word = element("button", { type: "button", draggable: true }, text);
    word.addEventListener("click", () => this.add(text));
    word.addEventListener("dragstart", (event) => event.dataTransfer.setData("text/plain", text));
    return element("li", {}, word);
  }

  // Words, pictures of the panel, chips that change their place, and files.
  listenForDrops(zone) {
    zone.addEventListener("dragover", (event) => event.preventDefault());
    zone.addEventListener("drop", (event) => {
      event.preventDefault();
      document.body.classList.remove("dropping");
      const files = [...event.dataTransfer.files];
      if (files.length) {
        this.attempt(async () => this.add((await this.source.upload(files[0])).name));
        return;
      }
      const from = event.dataTransfer.getData("application/x-term");
      const target = [...zone.children].indexOf(event.target.closest(".chip"));
      if (from !== "") this.move(Number(from), target < 0 ? zone.children.length - 1 : target);
      else this.add(event.dataTransfer.getData("text/plain").replace(/["\n]/g, " ").trim());
    });
  }

  showSliders() {
    this.sliders.clear();
    byId("directions").replaceChildren(...[...texts.directions, ...this.own].map((text, number) => {
      const id = `direction-${number}`;
      const slider = element("input", { type: "range", min: -2, max: 2, step: 0.1, value: 0, id });
      const output = element("output", { htmlFor: id });
      for (const [type, settled] of [["input", false], ["change", true]]) {
        slider.addEventListener(type, () =>
          this.set(withWeight(this.terms, text, slider.valueAsNumber), settled));
      }
      this.sliders.set(text, { slider, output });
      return element("div", { className: "row" }, element("div", { className: "row-head" },
        element("label", { htmlFor: id }, text), output), slider);
    }));
  }

  addOwn(text) {
    if (!text || this.sliders.has(text)) return;
    this.own = [...this.own, text].slice(-MOST_OWN);
    writeOwn(this.own);
    byId("direction").value = "";
    this.showSliders();
    this.show();
    this.sliders.get(text).slider.focus();
  }

  listenBetween() {
    const [one, other, share] = ["between-one", "between-other", "between-share"].map(byId);
    const ask = (settled) => this.attempt(async () => {
      if (!one.value.trim()) one.value = this.prompt.value;
      if (!one.value.trim() || !other.value.trim()) return;
      const turn = (this.turn = {});
      const { prompt } = await this.source.between(
        one.value.trim(), other.value.trim(), share.valueAsNumber);
      if (turn !== this.turn) return;
      this.change(prompt, settled);
      this.show();
    });
    share.addEventListener("input", () => ask(false));
    share.addEventListener("change", () => ask(true));
    byId("between-form").addEventListener("submit", (event) => {
      event.preventDefault();
      ask(true);
    });
    for (const field of [one, other]) {
      field.addEventListener("dragover", (event) => event.preventDefault());
      field.addEventListener("drop", (event) => {
        const text = event.dataTransfer.getData("text/plain");
        const [file] = event.dataTransfer.files;
        event.preventDefault();
        document.body.classList.remove("dropping");
        if (file) {
          this.attempt(async () => { field.value = (await this.source.upload(file)).name; });
        } else field.value = text.replace(/\n/g, " ").trim();
      });
    }
  }
}

const signed = (weight) => (weight > 0 ? "+" : weight < 0 ? "−" : "")
  + Math.round(Math.abs(weight) * 100) / 100;

function readOwn() {
  try {
    const kept = JSON.parse(localStorage.getItem(STORE) ?? "[]");
    return kept.filter((one) => typeof one === "string" && one.length < 100).slice(0, MOST_OWN);
  } catch {
    return []; // not allowed, or written by another program
  }
}

function writeOwn(own) {
  try {
    localStorage.setItem(STORE, JSON.stringify(own));
  } catch { /* kept for this visit only */ }
}
