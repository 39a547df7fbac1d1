// Noise schedules: x_t = alpha(t) * x0 + sigma(t) * noise; see undiffuse/diffusion/schedule.py.

// arXiv 2209.03003: a straight line from picture to noise.
const linear = { name: "linear", curved: false, alpha: (t) => 1 - t, sigma: (t) => t };

// arXiv 2102.09672, equation 17, in forms that are exactly 0 at the ends.
function cosineSchedule(offset = 0.008) {
  const scale = Math.PI / 2 / (1 + offset);
  const first = offset * scale;
  return {
    name: "cosine", curved: true,
    alpha: (t) => Math.sin((1 - t) * scale) / Math.cos(first),
    sigma: (t) => Math.sqrt(Math.sin(t * scale) * Math.sin(t * scale + 2 * first))
      / Math.cos(first),
  };
}

// arXiv 2006.11239: alpha^2 is the product of 1 - beta_i, with beta linear in i.
function ddpmSchedule(first = 1e-4, last = 0.02, steps = 1000) {
  const fall = [0];
  for (let i = 0; i < steps; i += 1) {
    fall.push(fall[i] - Math.log1p(-(first + ((last - first) * i) / (steps - 1))));
  }
  const at = (t) => {
    const left = Math.min(Math.floor(t * steps), steps - 1);
    return fall[left] + (t * steps - left) * (fall[left + 1] - fall[left]);
  };
  return {
    name: "ddpm", curved: true,
    alpha: (t) => Math.exp(-0.5 * at(t)), sigma: (t) => Math.sqrt(-Math.expm1(-at(t))),
  };
}

export const SCHEDULES = Object.fromEntries(
  [linear, cosineSchedule(), ddpmSchedule()].map((one) => [one.name, one]));

export const alphaSigma = (schedule, t) => [schedule.alpha(t), schedule.sigma(t)];

// The standard deviation of q(x_s | x_t, x0): arXiv 2010.02502, equation 16 with eta = 1.
export function posteriorStd(alphaT, sigmaT, alphaS, sigmaS) {
  return sigmaS * Math.sqrt(1 - ((alphaT / alphaS) * (sigmaS / sigmaT)) ** 2);
}

// steps + 1 levels from `start` to 0; a shift above 1 places more of them near pure noise:
// arXiv 2403.03206, equation 23.
export function shiftedTimes(steps, shift, start = 1) {
  const top = Math.min(1, start / (shift + (1 - shift) * start));
  const levels = Array.from({ length: steps }, (_, k) => top * ((steps - k - 1) / steps));
  return [start, ...levels.map((t) => (shift * t) / (1 + (shift - 1) * t))];
}
