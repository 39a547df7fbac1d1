// PNG files with the record of a drawing, as undiffuse/imaging/png.py writes them.

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  return crc;
});

function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (crc >>> 8) ^ TABLE[(crc ^ byte) & 255];
  return (crc ^ 0xffffffff) >>> 0;
}

function chunk(name, data) {
  const bytes = new Uint8Array(12 + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  bytes.set(new TextEncoder().encode(name), 4);
  bytes.set(data, 8);
  view.setUint32(8 + data.length, crc32(bytes.subarray(4, 8 + data.length)));
  return bytes;
}

async function deflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// Each row as its difference from the one above: filter 2.
function filterRows({ data, width, height, channels }) {
  const size = width * channels;
  const rows = new Uint8Array((size + 1) * height);
  for (let y = 0; y < height; y += 1) {
    const to = y * (size + 1);
    rows[to] = 2;
    for (let i = 0; i < size; i += 1) {
      rows[to + 1 + i] = data[y * size + i] - (y ? data[(y - 1) * size + i] : 0);
    }
  }
  return rows;
}

// The bytes of a PNG file of RGB or RGBA pixels; `record` is JSON text for a text chunk.
export async function encodePng(pixels, record = null) {
  const head = new Uint8Array(13);
  const view = new DataView(head.buffer);
  view.setUint32(0, pixels.width);
  view.setUint32(4, pixels.height);
  head.set([8, pixels.channels === 4 ? 6 : 2, 0, 0, 0], 8);
  const text = record === null ? []
    : [chunk("iTXt", new TextEncoder().encode(`undiffuse\0\0\0\0\0${record}`))];
  const parts = [
    new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]), chunk("IHDR", head), ...text,
    chunk("IDAT", await deflate(filterRows(pixels))), chunk("IEND", new Uint8Array()),
  ];
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

export function dataUri(bytes) {
  let text = "";
  for (let start = 0; start < bytes.length; start += 1 << 14) {
    text += String.fromCharCode(...bytes.subarray(start, start + (1 << 14)));
  }
  return `data:image/png;base64,${btoa(text)}`;
}
