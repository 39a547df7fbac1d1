// What a network may predict, as p * x0 + q * eps, and the conversion to x0.

import { combine } from "./arrays.js";
import { alphaSigma } from "./schedule.js";

export const EPS_START = 0.995; // at t = 1 eps does not determine x0

// (schedule, t, chain) -> [p, q]; see undiffuse/diffusion/targets.py.
const TARGETS = {
  x0: () => [1, 0],
  eps: () => [0, 1],
  v: (schedule, t) => (schedule.curved ? [-schedule.sigma(t), schedule.alpha(t)] : [-1, 1]),
  // The mean of q(x_s | x_t, x0): arXiv 2006.11239, equation 7.
  previous: (schedule, t, chain) => {
    const [alphaT, sigmaT] = alphaSigma(schedule, t);
    const [alphaS, sigmaS] = alphaSigma(schedule, (Math.round(t * chain) - 1) / chain);
    return [alphaS, ((alphaT / alphaS) * sigmaS ** 2) / sigmaT];
  },
};

// Convert a prediction at x_t to x0.
export function toX0(name, schedule, output, x, t, chain = 0) {
  if (name === "x0") return output;
  const [p, q] = TARGETS[name](schedule, t, chain);
  const [alpha, sigma] = alphaSigma(schedule, t);
  const d = p * sigma - q * alpha;
  return combine([sigma / d, output], [-q / d, x]);
}
