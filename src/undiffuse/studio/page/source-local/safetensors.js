// Reads weight files: safetensors with float16 tensors, or int8 with a scale for each row.

const SCALES = "/scale"; // the scales of "x.weight" are "x.weight/scale"
const READERS = { F32: Float32Array, F16: Uint16Array, I8: Int8Array, U8: Uint8Array };

// All values of float16 by their bits.
const HALF = Float32Array.from({ length: 1 << 16 }, (_, bits) => {
  const [sign, exponent, fraction] = [bits & 0x8000 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return exponent ? sign * 2 ** (exponent - 15) * (1 + fraction / 1024)
    : (sign * 2 ** -14 * fraction) / 1024;
});

// The stored tensors of a file: name -> {type, shape, data}. Error for a file that is broken.
export function readTensors(buffer) {
  const size = Number(new DataView(buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, size)));
  const tensors = new Map();
  for (const [name, { dtype, shape, data_offsets: [start, end] }] of Object.entries(header)
    .filter(([key]) => key !== "__metadata__")) {
    const Reader = READERS[dtype];
    if (!Reader) throw new Error(`tensor ${name} has type ${dtype}: float16 or int8 is read`);
    const data = new Reader(buffer.slice(8 + size + start, 8 + size + end));
    tensors.set(name, { type: dtype, shape, data });
  }
  return tensors;
}

// A weight file's tensors as Float32Array by name.
export function readWeights(buffer) {
  const stored = readTensors(buffer);
  const names = [...stored.keys()].filter((name) => !name.endsWith(SCALES));
  return new Map(names.map((name) => [name, toFloat(stored, name)]));
}

function toFloat(stored, name) {
  const { type, shape, data } = stored.get(name);
  if (type === "F32") return data;
  const values = new Float32Array(data.length); // Float32Array.from takes ten times as long
  if (type === "F16") {
    for (let i = 0; i < values.length; i += 1) values[i] = HALF[data[i]];
    return values;
  }
  const scales = stored.get(name + SCALES)?.data;
  if (scales?.length !== shape[0]) throw new Error(`the int8 scales of ${name} are missing`);
  const size = data.length / shape[0];
  for (let i = 0; i < values.length; i += 1) values[i] = data[i] * scales[Math.floor(i / size)];
  return values;
}
