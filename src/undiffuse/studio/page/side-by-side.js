// Two runs with one setting changed: which one, and its two values.

import { element } from "./dom.js";
import { texts } from "./texts.en.js";

const NUMBERS = { steps: [4, 20], guidance: [1, 6], seed: [1, 2], freshness: [0, 1] };

export class SideBySide {
  constructor(model) {
    this.model = model;
    const names = ["guidance", "steps", "sampler", "style", "freshness", "seed", "prompt"];
    this.select = element("select", { id: "pair-setting" }, ...names.map((name) =>
      element("option", { value: name }, texts.pairSettings[name])));
    this.values = element("div", { className: "beside" });
    this.select.addEventListener("change", () => this.show());
    this.node = element("div", { className: "beside pair-options" },
      element("div", { className: "row" },
        element("label", { htmlFor: "pair-setting" }, texts.pairSetting), this.select),
      this.values);
    this.show();
  }

  show() {
    const name = this.select.value;
    this.fields = [0, 1].map((side) => this.field(name, side));
    this.values.replaceChildren(...this.fields.map((field, side) => {
      field.id = `pair-${side}`;
      return element("div", { className: "row" },
        element("label", { htmlFor: field.id }, texts.pairSide(side + 1)), field);
    }));
  }

  field(name, side) {
    const { model } = this;
    if (name === "prompt") {
      return element("input", { type: "text", maxLength: model.limits.prompt,
        value: side ? texts.otherThing : "" });
    }
    if (name in NUMBERS) {
      const [min, max] = name === "seed" ? [0, Number.MAX_SAFE_INTEGER] : model.limits[name];
      const step = ["steps", "seed"].includes(name) ? 1 : "any";
      return element("input", { type: "number", min, max, step, value: NUMBERS[name][side] });
    }
    const choices = name === "style" ? model.styles : model.samplers;
    const select = element("select", {}, ...choices.map((one) => element("option", {}, one)));
    select.value = choices[Math.min(side, choices.length - 1)];
    return select;
  }

  // [title, settings] of both runs.
  runs(prompt) {
    const name = this.select.value;
    return this.fields.map((field) => {
      const value = field.type === "number" ? field.valueAsNumber : field.value;
      const settings = { prompt, seed: 1, ...(name === "freshness" && { sampler: "blend" }),
        [name]: name === "prompt" && !value ? prompt : value };
      return [`${texts.pairSettings[name]}: ${settings[name]}`, settings];
    });
  }
}
