// Samplers: async generators that turn noise into a picture and yield a step after each step.
//
// denoiser   async (x_t, t, cond) -> x0, on Float32Array (B, ...)
// noise      standard normal; sampling starts from sigma(times[0]) * noise
// options    {schedule, times, fresh, freshness}: fresh is step -> new noise
//
// A step is {index, steps, t, s, alpha, sigma, x_t, x0}: t before it, s, alpha and sigma after it.
// The equations and their sources are in undiffuse/diffusion/samplers.py.

import { combine } from "./arrays.js";
import { alphaSigma, posteriorStd } from "./schedule.js";

// x_t at times[0], and each step with [alpha, sigma] at t and s.
function begin(noise, { schedule, times }) {
  const at = times.map((t) => alphaSigma(schedule, t));
  const plan = times.slice(1).map((s, k) => {
    const [alpha, sigma] = at[k + 1];
    const step = { index: k + 1, steps: times.length - 1, t: times[k], s, alpha, sigma };
    return [step, at[k], at[k + 1]];
  });
  return [combine([at[0][1], noise]), plan];
}

// arXiv 2010.02502, equation 12, with fresh noise of standard deviation c.
async function* stochastic(denoiser, noise, cond, options, deviation) {
  let [x, plan] = begin(noise, options);
  for (const [step, [alphaT, sigmaT], [alphaS, sigmaS]] of plan) {
    const x0 = await denoiser(x, step.t, cond);
    const c = deviation(alphaT, sigmaT, alphaS, sigmaS);
    const scale = Math.sqrt(Math.max(0, sigmaS ** 2 - c ** 2)) / sigmaT;
    const terms = [[alphaS - scale * alphaT, x0], [scale, x]];
    if (c > 0) terms.push([c, options.fresh(step.index)]);
    x = combine(...terms);
    yield { ...step, x_t: x, x0 };
  }
}

// The film's loop: predict x0 from x_t, blend it with noise at the next level, repeat.
export function blend(denoiser, noise, cond, options) {
  const share = options.freshness ?? 1;
  return stochastic(denoiser, noise, cond, options, (alphaT, sigmaT, alphaS, sigmaS) =>
    share * sigmaS);
}

// arXiv 2010.02502, equation 16; `freshness` is eta, and 0 is deterministic.
export function ddim(denoiser, noise, cond, options) {
  const share = options.freshness ?? 0;
  return stochastic(denoiser, noise, cond, options, (...shares) =>
    (share ? share * posteriorStd(...shares) : 0));
}

export const ddpm = (denoiser, noise, cond, options) =>
  ddim(denoiser, noise, cond, { ...options, freshness: 1 });

export const euler = (denoiser, noise, cond, options) =>
  ddim(denoiser, noise, cond, { ...options, freshness: 0 });

// arXiv 2206.00364, algorithm 1: two predictions per step. A step to sigma 0, or from alpha 0 on a
// curved schedule, is an Euler step.
export async function* heun(denoiser, noise, cond, options) {
  const { curved } = options.schedule;
  let [x, plan] = begin(noise, options);
  for (const [step, [alphaT, sigmaT], [alphaS, sigmaS]] of plan) {
    const x0 = await denoiser(x, step.t, cond);
    const eps = combine([1 / sigmaT, x], [-alphaT / sigmaT, x0]);
    x = combine([alphaS, x0], [sigmaS, eps]);
    if (sigmaS > 0 && (alphaT > 0 || !curved)) {
      const x0S = await denoiser(x, step.s, cond);
      const epsS = combine([1 / sigmaS, x], [-alphaS / sigmaS, x0S]);
      const half = 0.5 * (sigmaS - sigmaT * (curved ? alphaS / alphaT : 1));
      const turn = [[half, epsS], [-half, eps]];
      if (!curved) turn.push([-half, x0S], [half, x0]);
      x = combine([1, x], ...turn);
    }
    yield { ...step, x_t: x, x0 };
  }
}

// arXiv 2211.01095, algorithm 2; the first `warmup` steps and a step to sigma 0 are first order.
export async function* dpmpp2m(denoiser, noise, cond, options, warmup = 2) {
  let [x, plan] = begin(noise, options);
  let [before, hBefore] = [x, Infinity];
  for (const [step, [alphaT, sigmaT], [alphaS, sigmaS]] of plan) {
    const x0 = await denoiser(x, step.t, cond);
    const shrink = sigmaS / sigmaT;
    const decay = (alphaT / alphaS) * shrink; // e^-h
    const h = decay > 0 ? -Math.log(decay) : Infinity;
    const more = step.index > warmup && decay > 0 ? (0.5 * h) / hBefore : 0;
    const scale = alphaS - alphaT * shrink;
    x = combine([shrink, x], [scale * (1 + more), x0], [-scale * more, before]);
    [before, hBefore] = [x0, h];
    yield { ...step, x_t: x, x0 };
  }
}

// The old way: predict the picture one step less noisy, feed it back, repeat.
export const previous = (denoiser, noise, cond, options) =>
  ddpm(denoiser, noise, cond, { ...options, fresh: () => combine([0, noise]) });

export const SAMPLERS = { blend, ddpm, ddim, euler, heun, dpmpp_2m: dpmpp2m, previous };
