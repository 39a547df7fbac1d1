// The source of drawings that computes them in the browser: the same events as source-http.js.

import { ClipSpace } from "./clip-space.js";
import { Drawing } from "./drawing.js";
import { Gallery } from "./gallery.js";
import { Graphs } from "./graphs.js";
import { TextToImage } from "./pipeline.js";
import { interpolate } from "./prompt.js";
import { SourceError } from "../source-error.js";

const BETWEEN_STEPS = 20;
const ROOT = new URL("../", import.meta.url);

async function fetchFile(path) {
  const reply = await fetch(new URL(path, ROOT)).catch(() => null);
  if (!reply?.ok) throw new SourceError("lost");
  return reply.arrayBuffer();
}

export class LocalSource {
  features = { api: false, keeps: false };

  constructor() {
    this.kept = new Gallery();
    this.opened = this.open();
    this.opened.catch(() => {}); // model() reports it
  }

  async open() {
    const site = JSON.parse(new TextDecoder().decode(await fetchFile("model/site.json")));
    const picture = async (name) => this.kept.picture(name);
    this.pipeline = new TextToImage(site, new Graphs(site.graphs), { picture, fetchFile });
    this.drawing = new Drawing(this.pipeline, this.kept);
    this.space = new ClipSpace(this.pipeline, this.kept);
    this.pipeline.open().catch(() => {}); // a drawing reports it
    return site;
  }

  async model() {
    return (await this.opened).model;
  }

  uploadUrl(name) {
    return this.kept.uploadUrl(name);
  }

  pictureUrl(name) {
    return this.kept.find(name).url;
  }

  draw(settings, { signal } = {}) {
    return this.drawing.draw(settings, signal);
  }

  compare(runs, { signal } = {}) {
    return this.drawing.compare(runs, signal);
  }

  noise(settings, { signal } = {}) {
    return this.drawing.noise(settings, signal);
  }

  similarities(words, pictures, { signal } = {}) {
    return this.drawing.similarities(words, pictures, signal);
  }

  nearest(prompt) {
    return this.space.nearest(prompt);
  }

  async between(one, other, share) {
    const step = Math.round(share * BETWEEN_STEPS) / BETWEEN_STEPS;
    return { prompt: await interpolate(one, other, step, this.pipeline.encodeTerm) };
  }

  map(prompts) {
    return this.space.map(prompts);
  }

  async upload(file) {
    const name = await this.kept.upload(file);
    return { name, url: this.uploadUrl(name) };
  }

  async pictureFile(name) {
    return new Blob([this.kept.find(name).bytes], { type: "image/png" });
  }

  replay(name, { signal } = {}) {
    return this.drawing.replay(this.kept.find(name), signal);
  }

  async gallery({ search = "", before = "", count = 60 } = {}) {
    const found = await this.space.search(search);
    const start = before ? found.findIndex(({ name }) => name === before) + 1 : 0;
    return found.slice(start, start + count)
      .map(({ name, url, record }) => ({ name, url, prompt: record.prompt }));
  }

  async picture(name) {
    return this.kept.find(name);
  }

  async remove(name) {
    this.kept.remove(name);
  }

  async signIn() {} // there is no server to sign in to
}
