// The events of a drawing, as the server sends them; see undiffuse/studio/drawing.py and
// undiffuse/studio/compare.py.

import { alphaSigma } from "./schedule.js";
import { combine, concatenate, dot } from "./arrays.js";
import { noise } from "./noise.js";
import { onWhite, upscale } from "./pixels.js";
import { dataUri, encodePng } from "./png.js";
import { commandLine, pythonCode, recordJson, settingsOf } from "./record.js";

const NOISE_LEVELS = 20;
const WORD_STEPS = 8; // of a picture that is drawn for CLIP's matrix
const MAX_SHOWN = 100; // steps of a drawing, evenly spaced
// Decoding a large picture takes three times as long as a step of the denoiser.
const MAX_LARGE_SHOWN = 4;
const LARGE = 128; // pixels of a side

const preview = async (pixels) => dataUri(await encodePng(onWhite(pixels)));

const isShown = ({ index, steps }, most) => {
  const shown = Math.min(most, steps);
  return Math.floor((index * shown) / steps) > Math.floor(((index - 1) * shown) / steps);
};

export class Drawing {
  // gallery: {addPicture, addUpload, picture}, where pictures are kept.
  constructor(model, gallery) {
    Object.assign(this, { model, gallery });
  }

  // The events of a drawing; a signal ends it after the step that it is at.
  async* draw(settings, signal, keep = settings.keep ?? true) {
    const last = yield* this.stepEvents(this.model.steps(settings), signal);
    const pictures = await this.model.pictures(last);
    for (const [number, pixels] of pictures.entries()) {
      const record = last.plan.records[number];
      const bytes = await this.file(pixels, record);
      const event = { type: "picture", picture: number, png: dataUri(bytes), pixels,
        notes: last.plan.notes, ...this.describe(record) };
      const name = keep ? this.gallery.addPicture(bytes, event) : null;
      yield { ...event, file: name && `${name}.png` };
    }
  }

  file(pixels, record) {
    const { model, floats } = this.model.site;
    return encodePng(upscale(pixels, model.scale), recordJson(record, floats));
  }

  describe(record) {
    const { scale } = this.model.site.model;
    return { record, settings: settingsOf(record), command: commandLine(record, scale),
      python: pythonCode(record, scale) };
  }

  get mostShown() {
    return this.model.codec.config.image_size < LARGE ? MAX_SHOWN : MAX_LARGE_SHOWN;
  }

  // The next step is computed while the codec shows this one. Returns the last step.
  async* stepEvents(steps, signal) {
    let next = steps.next();
    try {
      for (let last = null; ;) {
        const { value: step, done } = await next;
        signal?.throwIfAborted();
        if (done) return last;
        last = step;
        next = steps.next();
        next.catch(() => {}); // it is awaited, unless the drawing is stopped
        if (isShown(step, this.mostShown)) yield* this.showStep(step);
        signal?.throwIfAborted();
      }
    } finally {
      steps.return();
    }
  }

  async* showStep(step) {
    const isLast = step.x_t.every((value, place) => value === step.x0[place]);
    const { canvases } = step.plan;
    const rows = await (isLast ? this.model.composed(step.x_t, canvases)
      : this.model.composed(concatenate([step.x_t, step.x0]), [...canvases, ...canvases]));
    const shown = await Promise.all((isLast ? [...rows, ...rows] : rows).map(preview));
    const count = shown.length / 2;
    for (let number = 0; number < count; number += 1) {
      yield { type: "step", picture: number, step: step.index, of: step.steps, t: step.t,
        picture_share: step.alpha, noise_share: step.sigma,
        x_t: shown[number], x0: shown[count + number] };
    }
  }

  // Several settings side by side: the run that has the smallest share of its steps is next.
  async* compare(runs, signal) {
    const streams = runs.map((run) => this.draw({ ...run, count: 1 }, signal, false));
    const shares = new Map(runs.map((_, number) => [number, 0]));
    try {
      while (shares.size) {
        const [number] = [...shares].reduce((a, b) => (b[1] < a[1] ? b : a));
        const { value: event, done } = await streams[number].next();
        if (done) shares.delete(number);
        else {
          if (event.type === "step") shares.set(number, event.step / event.of);
          yield { ...event, run: number };
        }
      }
    } finally {
      streams.forEach((stream) => stream.return());
    }
  }

  // A drawing at noise levels t = 0 to 1, with one noise for all: arXiv 2006.11239, equation 4.
  async* noise(settings, signal) {
    const last = await this.finish(settings, signal);
    const { schedule, size } = this.model.denoiser;
    const { seed, index } = last.plan.settings;
    const [x0, eps] = [last.x_t.subarray(0, size), noise(seed, index, 0, size)];
    const clean = await preview((await this.model.decode(x0))[0]);
    for (let level = 0; level <= NOISE_LEVELS; level += 1) {
      signal?.throwIfAborted();
      const t = level / NOISE_LEVELS;
      const [alpha, sigma] = alphaSigma(schedule, t);
      const [noisy] = await this.model.decode(combine([alpha, x0], [sigma, eps]));
      yield { type: "step", picture: 0, step: level, of: NOISE_LEVELS, t, picture_share: alpha,
        noise_share: sigma, x_t: await preview(noisy), x0: clean };
    }
  }

  async finish(settings, signal) {
    let last = null;
    for await (const step of this.model.steps(settings)) {
      signal?.throwIfAborted();
      last = step;
    }
    return last;
  }

  // CLIP's cosines of words and uploads; a picture that is null is drawn from its word.
  async* similarities(words, given, signal) {
    const names = [...given];
    for (const [index, name] of names.entries()) {
      if (name !== null) continue;
      const last = await this.finish({ prompt: words[index], steps: WORD_STEPS }, signal);
      const [pixels] = await this.model.pictures(last);
      const bytes = await encodePng(pixels);
      names[index] = this.gallery.addUpload(bytes, onWhite(pixels));
      yield { type: "word_picture", index, name: names[index], png: dataUri(bytes) };
    }
    const { clip } = this.model;
    const pictures = [];
    for (const name of names) pictures.push(await clip.encodeImage(this.gallery.picture(name)));
    const vectors = await Promise.all(words.map((word) => clip.encodeText(word)));
    yield { type: "matrix",
      cosines: vectors.map((vector) => pictures.map((one) => dot(vector, one))) };
  }

  // Draw the settings of a kept picture again; says whether the pixels are the same.
  async* replay(kept, signal) {
    for await (const event of this.draw(kept.settings, signal, false)) {
      if (event.type !== "picture") yield event;
      else {
        const same = event.pixels.data.every((value, i) => value === kept.pixels.data[i]);
        yield { ...event, same, changes: [] };
      }
    }
  }
}
