// Pictures composed of drawings, as a scene says; see undiffuse/layout/compose.py.

import { Random } from "./noise.js";
import { roundEven, unpremultiply } from "./pixels.js";
import { bounds, fit, moved, place } from "./scene-boxes.js";
import { drawGround } from "./scene-grounds.js";
import { boundsOf, paste, resized } from "./scene-layers.js";
import { groupsOf } from "./scene-parse.js";
import { texts } from "../texts.en.js";

const FILLED = 0.94; // of the side, by all things together
const ON_GROUND = 0.62;
const LARGEST = 1.3; // how much the things of a scene are enlarged together

function premultiply(pixels) {
  const data = pixels.data.map((value, i, all) =>
    (i % 4 === 3 ? value : Math.floor((value * all[i - (i % 4) + 3] + 127) / 255)));
  return { ...pixels, data };
}

// A scene with the drawings that it needs: one of each text, equal things share it.
export class Composition {
  // tables: the rows, places and grounds that the site has
  constructor(scene, tables) {
    Object.assign(this, { scene, tables });
    this.named = [...new Set(groupsOf(scene.node).map(({ text }) => text))];
    this.placed = place(scene.node, tables);
  }

  // What is drawn by the network, and what by this program.
  get note() {
    return texts.composedOf(groupsOf(this.scene.node), this.scene.ground);
  }

  // One picture of a drawing for each of `named`; seed and index decide how the ground looks.
  compose(drawings, seed, index) {
    const side = drawings[0].width;
    const found = new Map(this.named.map((text, k) => {
      const picture = premultiply(drawings[k]);
      return [text, { picture, rectangle: boundsOf(picture) }];
    }));
    const [canvas, floor] = this.canvas(side, seed, index);
    const boxes = this.boxes(found, floor / side);
    this.placed.forEach(({ text }, k) => {
      const { picture, rectangle } = found.get(text);
      const [left, top, width, height] = ["left", "top", "width", "height"].map((name) =>
        roundEven(boxes[k][name] * side));
      const layer = resized(picture, rectangle, Math.max(1, width), Math.max(1, height));
      paste(canvas, layer, left, top);
    });
    unpremultiply(canvas.data);
    return canvas;
  }

  // The ground, or nothing; and the row that things stand on.
  canvas(side, seed, index) {
    const { ground } = this.scene;
    if (ground) return drawGround(this.tables.grounds[ground], side, new Random(seed, index));
    const data = new Uint8ClampedArray(side * side * 4);
    return [{ data, width: side, height: side, channels: 4 }, side];
  }

  // The box of each thing, with the aspect of its drawing; all are as large as the picture allows.
  boxes(found, floor) {
    const boxes = this.placed.map(({ text, box }) => {
      const [left, top, right, bottom] = found.get(text).rectangle;
      return fit(box, right - left, bottom - top);
    });
    const { ground } = this.scene;
    const { width, height } = bounds(boxes);
    const filled = ground ? ON_GROUND : FILLED;
    const scale = Math.min(filled / Math.max(width, height), LARGEST);
    const upper = ground ? floor - height * scale : (1 - height * scale) / 2;
    return moved(boxes, scale, (1 - width * scale) / 2, upper);
  }
}
