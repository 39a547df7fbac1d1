// Noise that depends on (seed, index, step) and on nothing else: the same as undiffuse.diffusion's.

const MASK = (1n << 64n) - 1n;
const MULTIPLIERS = [0xd2e7470ee14c6c93n, 0xca5a826395121157n];
const WEYL = [0x9e3779b97f4a7c15n, 0xbb67ae8584caa73bn];
const ROUNDS = 10;

// One block of Philox-4x64 (Salmon et al. 2011): four words of 64 bits.
export function philox([c0, c1, c2, c3], [k0, k1]) {
  for (let round = 0; round < ROUNDS; round += 1) {
    const [p0, p1] = [MULTIPLIERS[0] * c0, MULTIPLIERS[1] * c2];
    [c0, c1, c2, c3] = [(p1 >> 64n) ^ c1 ^ k0, p1 & MASK, (p0 >> 64n) ^ c3 ^ k1, p0 & MASK];
    [k0, k1] = [(k0 + WEYL[0]) & MASK, (k1 + WEYL[1]) & MASK];
  }
  return [c0, c1, c2, c3];
}

// The first words of NumPy's generator: it counts before each block.
export function* randomWords(key, counter) {
  let [c0, ...rest] = counter;
  for (;;) {
    c0 += 1n;
    yield* philox([c0, ...rest], key);
  }
}

// Numbers of NumPy's Generator(Philox(key=[seed, index])).
export class Random {
  constructor(seed, index, step = 0) {
    this.words = randomWords([BigInt(seed), BigInt(index)], [0n, BigInt(step), 0n, 0n]);
  }

  // In [0, 1), with 53 random bits.
  random() {
    return Number(this.words.next().value >> 11n) * 2 ** -53;
  }

  uniform(low, high) {
    return low + (high - low) * this.random();
  }
}

// Standard normal noise of one picture at one step (size,). Box and Muller (1958): for u1, u2
// uniform, sqrt(-2 ln u1) (cos 2 pi u2, sin 2 pi u2) is standard normal.
export function noise(seed, index, step, size) {
  const rng = new Random(seed, index, step);
  const normal = new Float32Array(size + (size % 2));
  for (let i = 0; i < size; i += 2) {
    const radius = Math.sqrt(-2 * Math.log(rng.random() + 2 ** -53)); // of (0, 1]: no log of 0
    const angle = 2 * Math.PI * rng.random();
    normal[i] = radius * Math.cos(angle);
    normal[i + 1] = radius * Math.sin(angle);
  }
  return normal.subarray(0, size);
}

// step -> (B, size): the noise of several pictures.
export function noiseSource(seed, indices, size) {
  return (step) => {
    const all = new Float32Array(indices.length * size);
    indices.forEach((index, row) => all.set(noise(seed, index, step, size), row * size));
    return all;
  };
}
