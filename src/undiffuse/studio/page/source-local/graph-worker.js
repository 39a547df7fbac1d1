// A thread that runs graphs in onnxruntime-web. A graph's weights are read from a weight file and
// handed over by their names.

import * as ort from "../onnxruntime/ort.wasm.min.js";
import { remember } from "./remember.js";
import { readWeights } from "./safetensors.js";

const here = (path) => new URL(`../${path}`, import.meta.url).href;
ort.env.wasm.numThreads = 1; // more need headers that a static server does not send
ort.env.wasm.wasmPaths = {
  mjs: here("onnxruntime/ort-wasm-simd-threaded.js"),
  wasm: here("onnxruntime/ort-wasm-simd-threaded.wasm"),
};

const sessions = new Map();

async function bytes(path) {
  const reply = await fetch(here(path));
  if (!reply.ok) throw new Error(`${path}: ${reply.status}`);
  return reply.arrayBuffer();
}

async function open({ graph, weights }) {
  const [model, stored] = await Promise.all([bytes(graph), bytes(weights)]);
  const tensors = readWeights(stored);
  const externalData = [...tensors].map(([path, data]) =>
    ({ path, data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) }));
  // As in Python; more optimization takes half a second longer to open.
  const options = { executionProviders: ["wasm"], graphOptimizationLevel: "basic", externalData };
  return ort.InferenceSession.create(new Uint8Array(model), options);
}

// Networks of the same shape share a graph.
const session = (about) =>
  remember(sessions, `${about.graph} ${about.weights}`, () => open(about));

// inputs: name -> {type, data, dims}; the result is {data, dims} of the only output.
async function run(about, inputs) {
  const opened = await session(about);
  const feeds = Object.fromEntries(Object.entries(inputs).map(([name, { type, data, dims }]) =>
    [name, new ort.Tensor(type, data, dims)]));
  const [result] = Object.values(await opened.run(feeds));
  return { data: result.data, dims: result.dims };
}

let turn = Promise.resolve(); // onnxruntime-web runs one session at a time

addEventListener("message", ({ data: { id, about, inputs } }) => {
  turn = turn.then(async () => {
    try {
      postMessage({ id, result: inputs ? await run(about, inputs) : (await session(about), null) });
    } catch (error) {
      postMessage({ id, error: error.message });
    }
  });
});
