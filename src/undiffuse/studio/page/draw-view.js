// Draw: the prompt, the drawing that runs, and what to do with its pictures.

import { Controls } from "./controls.js";
import { announce, byId, copyButton, showError, slug } from "./dom.js";
import { PicturesPanel } from "./pictures.js";
import { chosen, fromHash, isFast, toHash } from "./settings.js";
import { SourceError } from "./source-error.js";
import { SteerPanel } from "./steer.js";
import { texts } from "./texts.en.js";
import { Viewer } from "./viewer.js";

const QUICK_STEPS = 4; // while a slider moves
const SETTLE_MS = 120; // a slider that is moved by keys is let go with each key

export class DrawView {
  // onError(error) may handle an error, and returns true if it did.
  constructor(source, model, onError) {
    Object.assign(this, { source, model, onError });
    this.viewer = new Viewer();
    this.viewer.onSelect(() => this.showActions());
    this.controls = new Controls(byId("controls"), model, (settled) => this.moved(settled));
    this.prompt = byId("prompt");
    this.quick = null; // the newest settings that a moving slider asks for
    this.running = null; // an AbortController
    for (const kind of Object.keys(texts.downloads)) {
      for (const id of [kind, `detail-${kind}`]) byId(id).hidden = !model.files.includes(kind);
    }
    const attempt = (work) => this.attempt(work);
    this.pictures = new PicturesPanel(this.controls, source, attempt, () => this.draw());
    this.steer = new SteerPanel(source, this.prompt, (prompt, settled) => {
      this.prompt.value = prompt;
      this.drawn = true;
      this.moved(settled);
    }, attempt);
    this.listen();
    for (const frame of document.querySelectorAll(".frame")) {
      frame.classList.toggle("pixels", model.size <= 128);
    }
  }

  listen() {
    byId("prompt-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.draw();
    });
    byId("stop").addEventListener("click", () => this.stop());
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !document.querySelector("dialog[open]")) this.stop();
    });
    byId("variations").addEventListener("click", () => {
      const { index, count } = this.controls.settings;
      this.controls.set({ ...this.settings, index: index + count, count: 4 });
      this.draw();
    });
    byId("begin-with").addEventListener("click", () => this.attempt(async () => {
      const { file } = this.viewer.current;
      const name = file.replace(/\.png$/, "");
      await this.pictures.add(await this.source.pictureFile(name), "init");
      byId("paint-mask").focus();
    }));
    copyButton(byId("copy-link"), () => location.href);
    copyButton(byId("copy-command"), () => this.viewer.current?.command ?? "");
    copyButton(byId("copy-python"), () => this.viewer.current?.python ?? "");
  }

  get settings() {
    return { ...this.controls.settings, prompt: this.prompt.value.trim() };
  }

  // Show settings, and draw them if there is a prompt.
  open(settings, { draw = settings.prompt !== "" } = {}) {
    this.controls.set(settings);
    this.prompt.value = settings.prompt;
    this.steer.show();
    if (draw) this.draw();
  }

  openHash() {
    this.open(fromHash(location.hash, this.model));
  }

  moved(settled) {
    clearTimeout(this.settling);
    if (!this.drawn) return; // nothing to change yet
    if (settled) this.settling = setTimeout(() => this.draw(), SETTLE_MS);
    else this.drawQuickly();
  }

  // One quick drawing at a time; the newest settings win.
  async drawQuickly() {
    const waits = this.quick !== null;
    const steps = isFast(this.settings, this.model) ? null
      : Math.min(QUICK_STEPS, chosen(this.settings, this.model, "steps"));
    this.quick = { ...this.settings, steps, count: 1, candidates: null, keep: false };
    if (waits) return;
    try {
      while (this.quick) {
        const settings = this.quick;
        if (!(await this.run(settings, true))) break;
        if (this.quick === settings) break;
      }
    } finally {
      this.quick = null;
    }
  }

  async draw() {
    this.quick = null;
    clearTimeout(this.settling);
    const settings = this.settings;
    this.drawn = true;
    history.replaceState(null, "", toHash(settings));
    document.title = texts.title(settings.prompt);
    announce(texts.started(settings.prompt));
    if (await this.run(settings)) announce(texts.finished);
  }

  // Run a drawing to its end; false if it was stopped or failed. A newer one ends this one.
  async run(settings, quick = false) {
    this.running?.abort();
    const control = (this.running = new AbortController());
    showError(null);
    this.setBusy(true);
    if (!quick) byId("actions").hidden = true;
    try {
      let first = true;
      for await (const event of this.source.draw(settings, { signal: control.signal })) {
        if (control !== this.running) return false;
        if (first && event.type !== "queued") {
          this.viewer.clear(settings.prompt, settings.count);
          first = false;
        }
        this.take(event);
      }
      if (control !== this.running) return false;
      if (!quick) this.showActions();
      return true;
    } catch (error) {
      if (control === this.running) this.fail(error);
      return false;
    } finally {
      if (control === this.running) {
        this.running = null;
        this.setBusy(false);
      }
    }
  }

  take(event) {
    if (event.type === "step") this.viewer.addStep(event);
    else if (event.type === "picture") this.viewer.addPicture(event);
    else if (event.type === "queued" && event.position > 0) {
      byId("step").textContent = texts.waiting(event.position);
      announce(texts.waiting(event.position));
    }
  }

  // Run async work; an error is shown while `wanted` says so.
  async attempt(work, wanted = () => true) {
    showError(null);
    try {
      await work();
    } catch (error) {
      if (wanted()) this.fail(error);
    }
  }

  stop() {
    this.quick = null;
    this.running?.abort();
  }

  fail(error) {
    if (error.name === "AbortError") {
      announce(texts.stopped);
      return;
    }
    if (this.onError(error)) return;
    if (!(error instanceof SourceError)) throw error;
    showError({
      lost: () => texts.lost, busy: () => texts.busy(error.seconds),
      refused: () => texts.failed(error.message),
    }[error.kind]());
  }

  // Keep the focus where the keyboard user is: the two buttons take each other's place.
  setBusy(busy) {
    const [draw, stop] = [byId("draw"), byId("stop")];
    const focused = document.activeElement;
    draw.hidden = busy;
    stop.hidden = !busy;
    if (busy && focused === draw) stop.focus();
    if (!busy && focused === stop) draw.focus();
    byId("panels").classList.toggle("busy", busy);
    byId("panels").setAttribute("aria-busy", String(busy));
  }

  showActions() {
    const picture = this.viewer.current;
    byId("actions").hidden = !picture?.file;
    this.showNotes(picture?.notes ?? []);
    if (!picture?.file) return;
    const name = picture.file.replace(/\.png$/, "");
    setDownloads(this.source, "", name, picture.settings.prompt ?? "");
  }

  showNotes(notes) {
    const list = byId("notes");
    list.hidden = !notes.length;
    list.replaceChildren(...notes.map((note) => {
      const item = document.createElement("li");
      item.textContent = note;
      return item;
    }));
  }
}

// The four links of a picture in the gallery; `prefix` is that of the elements' names.
export function setDownloads(source, prefix, name, prompt) {
  for (const kind of Object.keys(texts.downloads)) {
    const link = byId(prefix + kind);
    if (link.hidden) continue; // the source has no such files
    link.href = source.pictureUrl(name, kind);
    link.download = `${slug(prompt)}.${kind}`;
    link.title = texts.downloads[kind];
  }
}
