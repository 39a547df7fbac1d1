// The form of settings, made from what the model has.

import { element } from "./dom.js";
import { INITIAL, SAMPLING, chosen, isFast, randomSeed, withQuality } from "./settings.js";
import { texts } from "./texts.en.js";

const CANDIDATES = [null, 2, 4, 8]; // of a picture
const SLIDERS = { steps: [1, 50, 1], guidance: [0, 12, 0.25], freshness: [0, 1, 0.05] };

export class Controls {
  // moved(settled) is called while a control moves, and with true when it is let go.
  constructor(form, model, moved) {
    Object.assign(this, { form, model, moved });
    this.settings = { ...INITIAL };
    this.fields = {};
    form.append(
      this.select("style", [
        [null, texts.styleDefault(model.defaults.style)],
        ...model.styles.map((name) => [name, name]),
        ["", texts.styleNone],
      ]),
      this.counts(),
      ...(model.composes
        ? [this.select("compose", [[null, texts.composed], [false, texts.whole]])] : []),
      ...(model.limits.candidates[1] > 1
        ? [this.select("candidates", CANDIDATES.map((count) => [count, String(count ?? 1)]))] : []),
      ...(model.fast
        ? [this.select("fast", [[null, texts.fastSteps], [false, texts.fullSteps]])] : []),
      this.slider("steps"),
      this.select("sampler", model.samplers.map((name) => [name, texts.samplers[name] ?? name])),
      this.slider("guidance"),
      this.slider("freshness"),
      this.text("negative"),
      this.seed(),
      ...(model.sizes.length ? [this.size()] : []),
    );
    form.addEventListener("submit", (event) => event.preventDefault());
    this.show();
  }

  // Take settings over into the form.
  set(settings) {
    this.settings = withQuality({ ...INITIAL, ...settings }, this.model);
    this.show();
  }

  change(name, value, settled = true) {
    this.settings[name] = value;
    if (name === "style") this.settings.style_strength = null;
    if (name === "seed") this.settings.index = 0;
    if (name === "fast") for (const one of SAMPLING) this.settings[one] = null;
    if (name === "sampler" && !(value in this.model.freshness)) this.settings.freshness = null;
    this.show();
    this.moved(settled);
  }

  // Change several settings that are no fields of the form; does not draw.
  assign(values) {
    Object.assign(this.settings, values);
    this.show();
  }

  show() {
    for (const field of Object.values(this.fields)) field();
  }

  // A label above its control, with a line of help below.
  row(name, control, value = "") {
    const id = `setting-${name}`;
    control.id = id;
    const label = element("label", { htmlFor: id }, texts[name]);
    const head = element("div", { className: "row-head" }, label, value);
    const row = element("div", { className: "row" }, head, control);
    if (texts.help[name]) {
      control.setAttribute("aria-describedby", `${id}-help`);
      row.append(element("p", { className: "help", id: `${id}-help` }, texts.help[name]));
    }
    return row;
  }

  select(name, choices) {
    const control = element("select", {}, ...choices.map(([, text], number) =>
      element("option", { value: number }, text)));
    control.addEventListener("change", () => this.change(name, choices[control.value][0]));
    const row = this.row(name, control);
    this.fields[name] = () => {
      const { settings, model } = this;
      row.hidden = name === "sampler" && isFast(settings, model);
      const value = name === "style" ? settings.style : chosen(settings, model, name);
      control.value = Math.max(0, choices.findIndex(([one]) => one === value));
    };
    return row;
  }

  slider(name) {
    const [low, high, step] = SLIDERS[name];
    const control = element("input", { type: "range", min: low, max: high, step });
    const value = element("output", {});
    control.addEventListener("input", () => this.change(name, control.valueAsNumber, false));
    control.addEventListener("change", () => this.change(name, control.valueAsNumber, true));
    const row = this.row(name, control, value);
    value.setAttribute("for", control.id);
    this.fields[name] = () => {
      const now = chosen(this.settings, this.model, name);
      // The sampler has no fresh noise, or the fast denoiser takes no settings of sampling.
      row.hidden = now === null || isFast(this.settings, this.model);
      if (row.hidden) return;
      if (now > Number(control.max)) control.max = now; // a link may ask for more
      if (now < Number(control.min)) control.min = now;
      control.value = now;
      value.textContent = String(Math.round(now * 100) / 100);
    };
    return row;
  }

  text(name) {
    const control = element("input", {
      type: "text", maxLength: this.model.limits.prompt, placeholder: texts[`${name}Example`] ?? "",
    });
    control.addEventListener("change", () => this.change(name, control.value.trim()));
    this.fields[name] = () => { control.value = this.settings[name]; };
    return this.row(name, control);
  }

  seed() {
    const [low] = this.model.limits.seed;
    const high = Number.MAX_SAFE_INTEGER;
    const control = element("input", { type: "number", min: low, max: high, step: 1 });
    control.addEventListener("change", () => {
      const value = control.valueAsNumber;
      this.change("seed", Number.isSafeInteger(value) && value >= low ? value : 0);
    });
    this.fields.seed = () => { control.value = this.settings.seed; };
    const row = this.row("seed", control);
    const fresh = element("button", { type: "button", id: "new-seed" }, texts.newSeed);
    fresh.addEventListener("click", () => this.change("seed", randomSeed()));
    const beside = element("div", { className: "beside" }, fresh);
    control.before(beside);
    beside.prepend(control);
    return row;
  }

  counts() {
    const [low, high] = this.model.limits.count;
    const inputs = Array.from({ length: high - low + 1 }, (_, k) => element("input", {
      type: "radio", name: "count", value: low + k, className: "unseen", id: `count-${low + k}`,
    }));
    for (const input of inputs) {
      input.addEventListener("change", () => this.change("count", Number(input.value)));
    }
    this.fields.count = () => {
      for (const input of inputs) input.checked = Number(input.value) === this.settings.count;
    };
    return element("fieldset", { className: "row" }, element("legend", {}, texts.count),
      element("div", { className: "segments" }, ...inputs.map((input) =>
        element("label", {}, input, element("span", {}, input.value)))));
  }

  size() {
    const sizes = this.model.sizes;
    if (sizes.length === 1) {
      return element("p", { className: "row help" }, `${texts.size}: ${texts.sizeOf(sizes[0])}`);
    }
    return this.select("size", [[null, texts.sizeOf(this.model.size)],
      ...sizes.map((side) => [side, texts.sizeOf(side)])]);
  }
}
