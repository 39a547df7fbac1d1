// The graphs of the model, each in one of two threads, so that the codec shows a step while the
// denoiser computes the next.

import { SourceError } from "../source-error.js";
import { texts } from "../texts.en.js";

class Thread {
  constructor() {
    this.waiting = new Map();
    this.count = 0;
    this.worker = new Worker(new URL("./graph-worker.js", import.meta.url), { type: "module" });
    this.worker.addEventListener("message", ({ data: { id, result, error } }) => {
      const [resolve, reject] = this.waiting.get(id);
      this.waiting.delete(id);
      if (error === undefined) resolve(result);
      else reject(new SourceError("refused", error));
    });
    this.worker.addEventListener("error", (event) => {
      for (const [, reject] of this.waiting.values()) {
        reject(new SourceError("refused", event.message || texts.errors.thread));
      }
      this.waiting.clear();
    });
  }

  ask(about, inputs) {
    return new Promise((resolve, reject) => {
      this.waiting.set(this.count, [resolve, reject]);
      this.worker.postMessage({ id: this.count, about, inputs });
      this.count += 1;
    });
  }
}

export class Graphs {
  // listed: name -> {graph, weights}, paths in the site.
  constructor(listed) {
    this.listed = listed;
    this.threads = [new Thread(), new Thread()];
  }

  thread(name) {
    return this.threads[name.startsWith("codec") ? 1 : 0];
  }

  // Read a graph and its weights.
  open(name) {
    return this.thread(name).ask(this.listed[name], null);
  }

  // Run a graph on inputs name -> {type, data, dims}; the data (B, ...) of its output.
  async run(name, inputs) {
    return (await this.thread(name).ask(this.listed[name], inputs)).data;
  }

  // Row by row, as networks with convolutions run in Python: a row's result is its own.
  async runRows(name, input, rows, dims) {
    const results = [];
    for (const data of rows) {
      const tensor = { type: "float32", data, dims: [1, ...dims] };
      results.push(await this.run(name, { [input]: tensor }));
    }
    return results;
  }
}
