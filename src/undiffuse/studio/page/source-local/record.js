// The record in a picture's file, and the command line and the Python that draw it again; see
// undiffuse/pipeline/record.py and undiffuse/studio/reproduce.py.

import { SAMPLING } from "../settings.js";
import { expressionOf } from "./prompt.js";

// The record of one picture.
export function describePicture(prompt, negative, settings, index, site) {
  const record = {
    prompt: prompt.prompt, style: prompt.style, text: prompt.text,
    style_strength: settings.style_strength, style_below: settings.style_below,
    color_strength: settings.color_strength,
    seed: settings.seed, index, sampler: settings.sampler, steps: settings.steps,
    guidance: settings.guidance, band: settings.band, shift: settings.shift, ...site.record,
    ...(settings.fast ? site.fast.record : {}),
  };
  if (prompt.read !== prompt.prompt) record.read = prompt.read;
  if (settings.negative) record.negative = settings.negative;
  if (negative.style && negative.style !== prompt.style) {
    record.negative_read = expressionOf(negative.terms);
  } else if (negative.read !== negative.prompt) record.negative_read = negative.read;
  if (settings.freshness !== null) record.freshness = settings.freshness;
  if (settings.like.length) record.like = settings.like;
  if (settings.init) Object.assign(record, { start: settings.init, strength: settings.strength });
  if (settings.mask) record.mask = settings.mask;
  if (settings.compose !== null) record.compose = settings.compose;
  return record;
}

// JSON in which Python reads as float what has to be one.
export function recordJson(record, floats) {
  const number = (value) => (Number.isInteger(value) ? value.toFixed(1) : String(value));
  const entries = Object.entries(record).map(([key, value]) => {
    if (key === "band") return `"band":[${value.map(number)}]`;
    return `${JSON.stringify(key)}:${floats.includes(key) ? number(value) : JSON.stringify(value)}`;
  });
  return `{${entries.join(",")}}`;
}

const OLDER = { color_strength: 0 }; // of records without it

// The settings that draw the picture of a record again.
export function settingsOf(found) {
  const record = { ...OLDER, ...found };
  const names = ["prompt", "negative", "style", "style_strength", "color_strength", "seed", "index",
    "like", "strength", "mask", "compose", "fast", ...(record.fast ? [] : SAMPLING)];
  const given = names.filter((name) => name in record).map((name) => [name, record[name]]);
  return { ...Object.fromEntries(given), ...(record.start && { init: record.start }) };
}

// Key of a record, option of `undiffuse draw`, argument of `TextToImage.generate`.
const OPTIONS = [
  ["seed", "--seed", "seed"], ["index", "--first-index", "first_index"],
  ["steps", "--steps", "steps"], ["sampler", "--sampler", "sampler"],
  ["guidance", "--guidance", "guidance"], ["freshness", "--freshness", "freshness"],
  ["style", "--style", "style"], ["style_strength", "--style-strength", "style_strength"],
  ["color_strength", "--color-strength", "color_strength"],
  ["negative", "--negative", "negative"], ["like", "--like", "like"],
  ["start", "--from", "start"], ["strength", "--strength", "strength"], ["mask", "--mask", "mask"],
];

const given = (record) => OPTIONS.filter(([key]) =>
  key in record && !(["seed", "index"].includes(key) && record[key] === 0)
  && !(record.fast && SAMPLING.includes(key)));

const quoted = (word) => (/^[\w@%+=:,./-]+$/.test(word) ? word
  : `'${word.replaceAll("'", `'"'"'`)}'`);
const option = (name, value) => (value.startsWith("-") ? [`${name}=${value}`] : [name, value]);

export function commandLine(found, scale) {
  const record = { ...OLDER, ...found };
  const words = given(record).flatMap(([key, name]) =>
    [record[key]].flat().flatMap((value) => option(name, String(value))));
  if (record.compose === false) words.push("--no-compose");
  if (record.fast) words.push("--fast");
  const { prompt } = record;
  const last = prompt.startsWith("-") ? ["--", prompt] : [prompt];
  return ["undiffuse", "draw", ...words, "--scale", String(scale), ...last].map(quoted).join(" ");
}

export function pythonCode(found, scale) {
  const record = { ...OLDER, ...found };
  const lines = [JSON.stringify(record.prompt), ...given(record).map(([key, , name]) =>
    `${name}=${JSON.stringify(record[key])}`),
  ...(record.compose === false ? ["compose=False"] : []),
  ...(record.fast ? ["fast=True"] : [])].map((line) => `    ${line},\n`);
  return `import undiffuse\n\nmodel = undiffuse.load()\npicture = model.generate(\n${
    lines.join("")})[0]\npicture.save("picture.png", scale=${scale})\n`;
}
