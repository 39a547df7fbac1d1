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

export function mapNode({ words, pictures, prompts }, pictureUrl) {
  const at = (x, y) => [500 + 460 * x, 400 - 360 * y];
  const picture = shape("svg", { viewBox: "0 0 1000 800", class: "map", role: "img",
    "aria-label": texts.mapAlt(words.length, pictures.length) });
  picture.append(shape("defs", {}, shape("marker", { id: "head", viewBox: "0 0 10 10", refX: 9,
    refY: 5, markerWidth: 5, markerHeight: 5, orient: "auto" },
  shape("path", { d: "M0 0L10 5L0 10z", class: "arrow-head" }))));
  for (const [x, y, name] of pictures) {
    const [left, top] = at(x, y);
    picture.append(shape("image", { href: pictureUrl(name), x: left - 14, y: top - 14, width: 28,
      height: 28 }));
  }
  for (const [x, y, word] of apart(words, at)) {
    const [left, top] = at(x, y);
    picture.append(shape("text", { x: left, y: top, class: "word" }, word));
  }
  for (const { text, x, y, arrow } of prompts) {
    if (arrow) {
      const [[x1, y1], [x2, y2]] = [at(arrow[0], arrow[1]), at(arrow[2], arrow[3])];
      picture.append(shape("line", { x1, y1, x2, y2, class: "arrow", "marker-end": "url(#head)" }));
    }
    const [cx, cy] = at(x, y);
    picture.append(shape("circle", { cx, cy, r: 9, class: "prompt-point" }),
      shape("text", { x: cx, y: cy - 16, class: "prompt-text" }, text.slice(0, 40)));
  }
  const list = element("ul", { className: "unseen" }, ...prompts.map(({ text, x, y }) =>
    element("li", {}, texts.mapPlace(text, x, y))));
  return element("div", {}, picture, list);
}

// Words that do not cover each other: the first of each place stays.
function apart(words, at) {
  const taken = [];
  return words.filter(([x, y, word]) => {
    const [left, top] = at(x, y);
    const half = 4.5 * word.length;
    const free = taken.every(([l, t, h]) =>
      Math.abs(t - top) > 18 || Math.abs(l - left) > h + half);
    if (free) taken.push([left, top, half]);
    return free;
  });
}
