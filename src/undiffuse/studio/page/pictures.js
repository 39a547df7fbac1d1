// Pictures that a drawing uses: to draw like them, to begin with one, and a mask over that.

import { byId, element } from "./dom.js";
import { MaskEditor } from "./mask-editor.js";
import { texts } from "./texts.en.js";

const TYPES = ["image/png", "image/jpeg", "image/webp"];
const STRENGTH = 0.7; // the source's, without a mask

export class PicturesPanel {
  // attempt(work) runs an async function and shows its error.
  constructor(controls, source, attempt, draw) {
    Object.assign(this, { controls, source, attempt, draw });
    this.list = element("ul", { className: "pictures" });
    this.file = element("input", { type: "file", accept: TYPES.join(","), multiple: true,
      hidden: true, id: "picture-file" });
    const button = element("button", { type: "button", id: "add-picture" }, texts.addPicture);
    button.addEventListener("click", () => this.file.click());
    this.file.addEventListener("change", () => {
      this.addAll([...this.file.files]);
      this.file.value = "";
    });
    controls.form.prepend(element("section", { className: "row", "aria-label": texts.ownPictures },
      element("p", { className: "row-head label" }, texts.ownPictures),
      this.list, button, this.file,
      element("p", { className: "help" }, texts.pictureHelp)));
    this.editor = new MaskEditor(source, attempt);
    controls.fields.pictures = () => this.show();
    this.listenForDrops();
    this.show();
  }

  listenForDrops() {
    const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
    const over = (on) => document.body.classList.toggle("dropping", on);
    document.addEventListener("dragover", (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      over(true);
    });
    document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) over(false); });
    document.addEventListener("drop", (event) => {
      over(false);
      if (!hasFiles(event) || event.defaultPrevented) return;
      event.preventDefault();
      if (!byId("view-draw").hidden) this.addAll([...event.dataTransfer.files]);
    });
  }

  async addAll(files) {
    await this.attempt(async () => {
      for (const file of files) await this.add(file);
      if (files.length) this.draw();
    });
  }

  async add(file, role = "like") {
    const { name } = await this.source.upload(file);
    this.place(name, role);
  }

  // Give a picture a role: "like", "init", or null to take it out.
  place(name, role) {
    const { settings, model } = this.controls;
    const like = settings.like.filter((one) => one !== name);
    let { init, mask, strength } = settings;
    if (init === name && role !== "init") init = mask = strength = null;
    if (role === "like") like.push(name);
    if (role === "init" && init !== name) {
      if (init) like.push(init);
      [init, mask, strength] = [name, null, STRENGTH];
    }
    this.controls.assign({ like: like.slice(-model.limits.like), init, mask, strength });
  }

  show() {
    const { like, init } = this.controls.settings;
    const names = [...(init ? [[init, "init"]] : []), ...like.map((name) => [name, "like"])];
    const shown = JSON.stringify([names, this.controls.settings.mask]);
    if (shown !== this.shown) this.list.replaceChildren(...names.map((one) => this.card(...one)));
    this.shown = shown;
    if (this.slider && init) this.showStrength();
  }

  card(name, role) {
    const image = element("img", { src: this.source.uploadUrl(name), alt: texts.ownPicture,
      draggable: true });
    image.addEventListener("dragstart", (event) => event.dataTransfer.setData("text/plain", name));
    const select = element("select", { "aria-label": texts.pictureRole },
      ...["like", "init"].map((one) =>
        element("option", { value: one, selected: one === role }, texts.roles[one])));
    select.addEventListener("change", () => {
      this.place(name, select.value);
      this.draw();
    });
    const remove = element("button", { type: "button", "aria-label": texts.removePicture }, "×");
    remove.addEventListener("click", () => {
      this.place(name, null);
      byId("add-picture").focus();
      this.controls.moved(true);
    });
    const card = element("li", { className: "picture" }, image, select, remove);
    if (role === "init") card.append(this.strength(), this.mask(name));
    return card;
  }

  strength() {
    this.slider = element("input", { type: "range", min: 0.05, max: 1, step: 0.05,
      id: "setting-strength" });
    this.value = element("output", { htmlFor: "setting-strength" });
    for (const [type, settled] of [["input", false], ["change", true]]) {
      this.slider.addEventListener(type, () =>
        this.controls.change("strength", this.slider.valueAsNumber, settled));
    }
    this.showStrength();
    return element("div", { className: "wide" }, element("div", { className: "row-head" },
      element("label", { htmlFor: "setting-strength" }, texts.strength), this.value), this.slider);
  }

  showStrength() {
    const { strength, mask } = this.controls.settings;
    this.slider.value = strength ?? (mask ? 1 : STRENGTH);
    this.value.textContent = String(Math.round(100 * this.slider.valueAsNumber)) + "%";
  }

  mask(name) {
    const { mask } = this.controls.settings;
    const label = mask ? texts.maskChange : texts.maskPaint;
    const paint = element("button", { type: "button", id: "paint-mask" }, label);
    paint.addEventListener("click", async () => {
      const painted = await this.editor.open(name, mask);
      if (painted === undefined) return;
      this.controls.assign({ mask: painted, strength: painted ? 1 : STRENGTH });
      byId("paint-mask").focus();
      this.draw();
    });
    return element("div", { className: "wide" }, paint);
  }
}
