// The pictures that were drawn and the uploads, until the page is closed. Names are as the
// server makes them.

import { resize } from "./pixels.js";
import { refuse } from "./expression.js";
import { texts } from "../texts.en.js";

const MAX_SIDE = 1024; // pixels that are kept of an upload
const [MAX_UPLOADS, MAX_KEPT] = [100, 200]; // the oldest are dropped

// 16 hexadecimal digits: FNV-1a, twice.
function digest(bytes) {
  return [0x811c9dc5, 0x050c5d1f].map((start) => {
    let hash = start;
    for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
    return (hash >>> 0).toString(16).padStart(8, "0");
  }).join("");
}

const stamp = () => new Date().toISOString().slice(0, 19).replace(/[-:]/g, "").replace("T", "-");
const objectUrl = (bytes) => URL.createObjectURL(new Blob([bytes], { type: "image/png" }));

function drop(kept, name) {
  URL.revokeObjectURL(kept.get(name).url);
  kept.delete(name);
}

export class Gallery {
  constructor() {
    this.uploads = new Map();
    this.pictures = new Map(); // in the order in which they were drawn
  }

  addUpload(bytes, pixels) {
    const name = `uploads/${digest(bytes)}.png`;
    if (!this.uploads.has(name)) this.uploads.set(name, { pixels, url: objectUrl(bytes) });
    if (this.uploads.size > MAX_UPLOADS) drop(this.uploads, this.uploads.keys().next().value);
    return name;
  }

  // An image file: upright, on white, and at most 1024 pixels a side.
  async upload(file) {
    const bytes = new Uint8Array(await file.arrayBuffer());
    return this.addUpload(bytes, await readPicture(file));
  }

  // The RGB pixels of an upload.
  picture(name) {
    const found = this.uploads.get(name);
    if (!found) throw refuse(texts.errors.missing(name));
    return found.pixels;
  }

  uploadUrl(name) {
    return this.uploads.get(name)?.url ?? "";
  }

  // Keep a finished picture; the same file is kept once.
  addPicture(bytes, event) {
    const mark = digest(bytes).slice(0, 8);
    const known = [...this.pictures.keys()].find((name) => name.endsWith(mark));
    if (known) return known;
    const name = `${stamp()}-${mark}`;
    this.pictures.set(name, { ...event, name, bytes, url: objectUrl(bytes) });
    if (this.pictures.size > MAX_KEPT) drop(this.pictures, this.pictures.keys().next().value);
    return name;
  }

  find(name) {
    const found = this.pictures.get(name);
    if (!found) throw refuse(texts.errors.missing(name));
    return found;
  }

  remove(name) {
    drop(this.pictures, this.find(name).name);
  }
}

async function readPicture(file) {
  let image;
  try {
    image = await createImageBitmap(file);
  } catch {
    throw refuse(texts.errors.picture(file.name ?? ""));
  }
  const { width, height } = image;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.drawImage(image, 0, 0);
  const rgba = context.getImageData(0, 0, width, height).data;
  const data = new Uint8ClampedArray(width * height * 3);
  for (let i = 0, j = 0; j < data.length; i += 4, j += 3) {
    [data[j], data[j + 1], data[j + 2]] = [rgba[i], rgba[i + 1], rgba[i + 2]];
  }
  const scale = Math.min(1, MAX_SIDE / Math.max(width, height));
  const fit = (side) => Math.max(1, Math.round(side * scale));
  return resize({ data, width, height, channels: 3 }, fit(width), fit(height));
}
