// The settings of a drawing, checked, with the model's defaults; see
// undiffuse/pipeline/options.py and undiffuse/studio/settings.py.

import { refuse } from "./expression.js";
import { INITIAL, SAMPLING } from "../settings.js";
import { isPicture } from "../sums.js";
import { texts } from "../texts.en.js";

// The settings with every default filled in. SourceError for a value that can't be drawn.
export function resolveSettings(given, site) {
  const { model } = site;
  const settings = { ...INITIAL, ...Object.fromEntries(
    Object.entries(given).filter(([, value]) => value !== null && value !== undefined)) };
  for (const [name, [low, high]] of Object.entries(model.limits).filter(([, one]) => one.length)) {
    const value = settings[name];
    if (value !== null && !(value >= low && value <= high)) {
      throw refuse(texts.errors.range(name, value, low, high));
    }
  }
  const fast = wantsFast(settings, site);
  const drawing = { ...site.drawing, ...(fast ? site.fast.drawing : {}) };
  const sampler = settings.sampler ?? drawing.sampler;
  check("sampler", sampler, model.samplers);
  if (settings.style) check("style", settings.style, model.styles);
  if (settings.freshness !== null && !(sampler in model.freshness)) {
    throw refuse(texts.errors.freshness(sampler));
  }
  for (const name of [...settings.like, settings.init, settings.mask]) {
    if (name !== null && !isPicture(name)) throw refuse(texts.errors.upload(name));
  }
  return {
    ...settings, fast, sampler,
    steps: settings.steps ?? drawing.steps,
    guidance: settings.guidance ?? drawing.guidance,
    styleRequested: Boolean(settings.style),
    style: settings.style ?? drawing.style,
    alwaysStyled: settings.style_strength !== null,
    style_strength: settings.style_strength ?? drawing.style_strength,
    color_strength: settings.color_strength ?? drawing.color_strength,
    style_below: drawing.style_below,
    band: [drawing.band_low, drawing.band_high],
    shift: site.uniformSamplers.includes(sampler) ? 1 : drawing.shift,
    strength: settings.strength ?? (settings.mask ? 1 : site.constants.strength),
  };
}

// Whether settings are for the denoiser of few steps; see undiffuse/pipeline/options.py.
function wantsFast(settings, site) {
  const given = [...SAMPLING, "negative", "init"].find((name) => settings[name]?.length !== 0
    && settings[name] !== null);
  if (settings.fast && !site.fast) throw refuse(texts.errors.fast);
  if (settings.fast && given) throw refuse(texts.errors.fastOr(given));
  return settings.fast ?? Boolean(site.fast && !given);
}

function check(name, value, known) {
  if (!known.includes(value)) throw refuse(texts.errors.unknown(name, value, known));
}
