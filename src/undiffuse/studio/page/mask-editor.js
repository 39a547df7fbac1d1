// Paints a mask over a picture: with the mouse, a finger, or the arrow keys and the space bar.

import { announce, byId, element } from "./dom.js";
import { texts } from "./texts.en.js";

const SIDE = 512; // of the mask in pixels; the source fits it to the model's size
const MOVE = 16;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class MaskEditor {
  constructor(source, attempt) {
    Object.assign(this, { source, attempt });
    this.dialog = byId("mask-dialog");
    this.canvas = byId("mask-canvas");
    this.canvas.width = this.canvas.height = SIDE;
    this.context = this.canvas.getContext("2d", { willReadFrequently: true });
    this.canvas.addEventListener("pointerdown", (event) => {
      this.canvas.setPointerCapture(event.pointerId);
      this.stroke(this.place(event), true);
    });
    this.canvas.addEventListener("pointermove", (event) => {
      if (this.canvas.hasPointerCapture(event.pointerId)) this.stroke(this.place(event));
      else this.moveTo(this.place(event));
    });
    // A fast stroke is no fling: browsers drop the tap that would stop one.
    this.canvas.addEventListener("touchmove", (event) => event.preventDefault(),
      { passive: false });
    this.canvas.addEventListener("keydown", (event) => this.onKey(event));
    byId("mask-size").addEventListener("input", () => this.moveTo(this.at));
    byId("mask-invert").addEventListener("click", () => this.invert());
    byId("mask-clear").addEventListener("click", () => this.clear());
    byId("mask-cancel").addEventListener("click", () => this.dialog.close());
    byId("mask-remove").addEventListener("click", () => this.finish(null));
    byId("mask-apply").addEventListener("click", () => this.apply());
    this.dialog.addEventListener("close", () => this.resolve?.(this.result));
  }

  // Resolves with the upload's name, null for no mask, undefined if nothing is to change.
  async open(picture, mask) {
    byId("mask-picture").src = this.source.uploadUrl(picture);
    byId("mask-error").hidden = true;
    this.result = undefined;
    this.at = [SIDE / 2, SIDE / 2];
    this.clear();
    if (mask) await this.load(mask);
    this.dialog.showModal();
    this.canvas.focus();
    this.moveTo(this.at);
    return new Promise((resolve) => { this.resolve = resolve; });
  }

  async load(mask) {
    const image = element("img", { src: this.source.uploadUrl(mask) });
    await image.decode().catch(() => {});
    if (!image.naturalWidth) return;
    this.context.drawImage(image, 0, 0, SIDE, SIDE);
    const pixels = this.context.getImageData(0, 0, SIDE, SIDE);
    for (let i = 0; i < pixels.data.length; i += 4) {
      pixels.data[i + 3] = pixels.data[i] > 127 ? 255 : 0;
      pixels.data.set([79, 70, 229], i);
    }
    this.context.putImageData(pixels, 0, 0);
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top].map((v) => (v * SIDE) / box.width);
  }

  get size() {
    return byId("mask-size").valueAsNumber;
  }

  moveTo([x, y]) {
    this.at = [x, y].map((v) => Math.min(SIDE, Math.max(0, v)));
    const cursor = byId("mask-cursor").style;
    cursor.setProperty("--x", `${(100 * this.at[0]) / SIDE}%`);
    cursor.setProperty("--y", `${(100 * this.at[1]) / SIDE}%`);
    cursor.setProperty("--size", `${(100 * this.size) / SIDE}%`);
  }

  // A line from where the brush is; a dot where a stroke begins.
  stroke(to, begins = false) {
    const { context } = this;
    context.globalCompositeOperation = byId("mask-erase").checked ? "destination-out"
      : "source-over";
    context.strokeStyle = "rgb(79 70 229)";
    context.lineWidth = this.size;
    context.lineCap = context.lineJoin = "round";
    context.beginPath();
    context.moveTo(...(begins ? to : this.at));
    context.lineTo(...to);
    context.stroke();
    this.moveTo(to);
  }

  onKey(event) {
    const arrow = ARROWS[event.key];
    if (arrow) {
      const to = this.at.map((v, axis) =>
        Math.min(SIDE, Math.max(0, v + MOVE * arrow[axis])));
      if (event.shiftKey) this.stroke(to);
      else this.moveTo(to);
      announce(texts.brushAt(...this.at.map((v) => Math.round((100 * v) / SIDE))));
    } else if (event.key === " ") this.stroke(this.at, true);
    else return;
    event.preventDefault();
  }

  invert() {
    this.context.globalCompositeOperation = "source-out"; // where there was nothing
    this.context.fillStyle = "rgb(79 70 229)";
    this.context.fillRect(0, 0, SIDE, SIDE);
  }

  clear() {
    this.context.clearRect(0, 0, SIDE, SIDE);
  }

  // White where it is painted, black elsewhere; null if there is only one of them.
  async file() {
    const pixels = this.context.getImageData(0, 0, SIDE, SIDE);
    let painted = 0;
    for (let i = 0; i < pixels.data.length; i += 4) {
      const on = pixels.data[i + 3] > 127;
      painted += on;
      pixels.data.set(on ? [255, 255, 255, 255] : [0, 0, 0, 255], i);
    }
    if (!painted || painted === SIDE * SIDE) return null;
    const copy = element("canvas", { width: SIDE, height: SIDE });
    copy.getContext("2d").putImageData(pixels, 0, 0);
    return new Promise((resolve) => { copy.toBlob(resolve, "image/png"); });
  }

  async apply() {
    const file = await this.file();
    byId("mask-error").hidden = file !== null;
    if (file === null) return;
    await this.attempt(async () => this.finish((await this.source.upload(file)).name));
  }

  finish(result) {
    this.result = result;
    this.dialog.close();
  }
}
