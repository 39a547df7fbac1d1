// Guidance: functions that take a denoiser and return a denoiser.

import { combine, concatenate } from "./arrays.js";

// arXiv 2207.12598 on x0: uncond + scale * (cond - uncond), at noise levels in a band. One batch
// holds both predictions. `negative` (B, D) stands for the unsteered rows; scale 1 is off.
export function classifierFreeGuidance(denoiser, scale, { negative = null, band = [0, 1] } = {}) {
  if (scale === 1) return denoiser;
  return async (x, t, cond) => {
    if (t < band[0] || t > band[1] || (!cond && !negative)) return denoiser(x, t, cond);
    const towards = cond ?? combine([0, negative]);
    const away = negative ?? combine([0, towards]);
    const both = await denoiser(concatenate([x, x]), t, concatenate([towards, away]));
    const [steered, unsteered] = [both.subarray(0, x.length), both.subarray(x.length)];
    return combine([scale, steered], [1 - scale, unsteered]);
  };
}

// A denoiser that uses `cond` at noise levels under `below` (arXiv 2211.01324, section 4).
export const switchCond = (denoiser, cond, below) => (x, t, early) =>
  denoiser(x, t, t < below ? cond : early);
