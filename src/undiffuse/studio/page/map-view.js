// A map of words and pictures, with prompts and the arrows of sums on it.

import { element } from "./dom.js";
import { texts } from "./texts.en.js";

const SVG = "http://www.w3.org/2000/svg";

function shape(name, attributes, ...children) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

const [WORD_SIZE, PROMPT_SIZE] = [15, 21]; // as in panels.css
const PICTURE = 28;
const MARGIN = 40; // above and below
const place = ([x, y]) => [500 + 460 * x, 400 - 360 * y];

// What text covers, about: [left, top, right, bottom].
function textBox([x, y], text, size) {
  const half = 0.3 * size * text.length;
  return [x - half, y - size, x + half, y + 0.25 * size];
}

// What is on the map beside the words; later parts cover earlier ones.
function pictureParts(pictures, pictureUrl) {
  return pictures.map(([x, y, name]) => {
    const [left, top] = place([x, y]).map((center) => center - PICTURE / 2);
    return { box: [left, top, left + PICTURE, top + PICTURE],
      nodes: [shape("image", { href: pictureUrl(name), x: left, y: top, width: PICTURE,
        height: PICTURE })] };
  });
}

function promptParts(prompts) {
  return prompts.map(({ text, x, y, arrow }) => {
    const [[cx, cy], label] = [place([x, y]), text.slice(0, 40)];
    const at = [cx, cy - 16];
    const nodes = [shape("circle", { cx, cy, r: 9, class: "prompt-point" }),
      shape("text", { x: at[0], y: at[1], class: "prompt-text" }, label)];
    if (arrow) {
      const [[x1, y1], [x2, y2]] = [place(arrow), place(arrow.slice(2))];
      nodes.unshift(shape("line", { x1, y1, x2, y2, class: "arrow", "marker-end": "url(#head)" }));
    }
    const [left, top, right] = textBox(at, label, PROMPT_SIZE);
    return { box: [left, top, right, cy + 9], nodes };
  });
}

export function mapNode({ words, pictures, prompts }, pictureUrl) {
  const shown = [...pictureParts(pictures, pictureUrl), ...promptParts(prompts)];
  const heights = [...words, ...pictures, ...prompts.map(({ x, y }) => [x, y])]
    .map((at) => place(at)[1]);
  const top = Math.min(...heights) - MARGIN;
  const picture = shape("svg", { class: "map", role: "img",
    viewBox: `0 ${top} 1000 ${Math.max(...heights) + MARGIN - top}`,
    "aria-label": texts.mapAlt(words.length, pictures.length) });
  picture.append(
    shape("defs", {}, shape("marker", { id: "head", viewBox: "0 0 10 10", refX: 9, refY: 5,
      markerWidth: 5, markerHeight: 5, orient: "auto" },
    shape("path", { d: "M0 0L10 5L0 10z", class: "arrow-head" }))),
    ...wordNodes(words, shown.map(({ box }) => box)),
    ...shown.flatMap(({ nodes }) => nodes),
  );
  const list = element("ul", { className: "unseen" }, ...prompts.map(({ text, x, y }) =>
    element("li", {}, texts.mapPlace(text, x, y))));
  return element("div", {}, picture, list);
}

// Words that cover nothing else: the first of each place stays.
function wordNodes(words, boxes) {
  const taken = [...boxes];
  return words.flatMap(([x, y, word]) => {
    const at = place([x, y]);
    const [left, top, right, bottom] = textBox(at, word, WORD_SIZE);
    if (taken.some(([l, t, r, b]) => left < r && l < right && top < b && t < bottom)) return [];
    taken.push([left, top, right, bottom]);
    return [shape("text", { x: at[0], y: at[1], class: "word" }, word)];
  });
}
