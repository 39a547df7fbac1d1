// The exact denoiser of a small data set in the plane, and the samplers that the tour compares.
//
// For data points p_k, x_t = (1 - t) x0 + t eps, the best prediction is the posterior mean:
//   x0(x_t, t) = sum_k w_k p_k,  w = softmax(-|x_t - (1 - t) p_k|^2 / (2 t^2)).

const GAP = 0.65; // between neighboring arms
const POINTS = 160; // on each arm

export const spiralPoint = (turn, arm) => {
  const [angle, radius] = [2 * Math.PI * turn + Math.PI * arm, 0.25 + 2 * GAP * turn];
  return [radius * Math.cos(angle), radius * Math.sin(angle)];
};

export const DATA = [0, 1].flatMap((arm) =>
  Array.from({ length: POINTS }, (_, k) => spiralPoint(k / (POINTS - 1), arm)));

// The prediction of the finished point at noise level t in [0, 1].
export function denoise([x, y], t, data = DATA) {
  if (t <= 0) return [x, y];
  const logs = data.map(([a, b]) =>
    -((x - (1 - t) * a) ** 2 + (y - (1 - t) * b) ** 2) / (2 * t * t));
  const top = Math.max(...logs);
  const total = [0, 0, 0];
  data.forEach(([a, b], k) => {
    const weight = Math.exp(logs[k] - top);
    total[0] += weight * a;
    total[1] += weight * b;
    total[2] += weight;
  });
  return [total[0] / total[2], total[1] / total[2]];
}

// The direction in which a point moves as noise is taken away: x0 - eps = (x0 - x_t) / t.
export function velocity(point, t, data = DATA) {
  const x0 = denoise(point, t, data);
  return x0.map((value, axis) => (value - point[axis]) / t);
}

// One step of the blend from t to s < t: the prediction and the same noise, or fresh noise.
export function blend(point, t, s, fresh = null, data = DATA) {
  const x0 = denoise(point, t, data);
  return x0.map((value, axis) => {
    const noise = fresh ? fresh[axis] : (point[axis] - (1 - t) * value) / t;
    return (1 - s) * value + s * noise;
  });
}

// Normally distributed numbers from a seed: mulberry32 and Box-Muller.
export function normals(seed) {
  let state = seed >>> 0;
  const uniform = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let z = Math.imul(state ^ (state >>> 15), state | 1);
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61);
    return (((z ^ (z >>> 14)) >>> 0) + 0.5) / 4294967296;
  };
  return () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
}
