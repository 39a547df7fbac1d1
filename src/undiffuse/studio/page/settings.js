// The settings of a drawing: what every source of drawings takes, and what a link holds.

// null stands for the model's default.
export const INITIAL = Object.freeze({
  prompt: "", negative: "", style: null, style_strength: null, color_strength: null,
  seed: 0, index: 0, count: 1, steps: null, sampler: null, guidance: null, freshness: null,
  like: [], init: null, strength: null, mask: null, compose: null, fast: null, candidates: null,
});

const TEXTS = ["prompt", "negative", "style", "sampler", "init", "mask"];
const WHOLE = ["seed", "index", "count", "steps", "candidates"];
export const SAMPLING = ["steps", "sampler", "guidance", "freshness"];
const NUMBERS = [...WHOLE, "guidance", "freshness", "style_strength", "color_strength", "strength"];
const UPLOAD = /^uploads\/[0-9a-f]{16}\.png$/;

// "#prompt=a+cat&seed=7", without what has its initial value.
export function toHash(settings) {
  const parameters = new URLSearchParams();
  for (const [name, initial] of Object.entries(INITIAL)) {
    const value = settings[name];
    if (name === "like") value.forEach((upload) => parameters.append(name, upload));
    else if (value !== initial && value !== null && value !== undefined) {
      parameters.set(name, String(value));
    }
  }
  return `#${parameters}`;
}

// The settings in a link. Anybody may have written it: what does not fit is left out.
export function fromHash(hash, model) {
  const parameters = new URLSearchParams(hash.replace(/^#/, ""));
  const settings = { ...INITIAL };
  for (const name of TEXTS) {
    if (parameters.has(name)) settings[name] = parameters.get(name).slice(0, model.limits.prompt);
  }
  for (const name of NUMBERS) {
    const value = Number(parameters.get(name) || NaN);
    const [low, high] = model.limits[name];
    const whole = !WHOLE.includes(name) || Number.isSafeInteger(value);
    if (whole && value >= low && value <= high) settings[name] = value;
  }
  const likes = parameters.getAll("like").filter((name) => UPLOAD.test(name));
  settings.like = likes.slice(0, model.limits.like);
  if (settings.style !== "" && !model.styles.includes(settings.style)) settings.style = null;
  if (!model.samplers.includes(settings.sampler)) settings.sampler = null;
  if (parameters.get("compose") === "false") settings.compose = false;
  if (parameters.get("fast") === "false") settings.fast = false;
  for (const name of ["init", "mask"]) {
    if (!UPLOAD.test(settings[name] ?? "")) settings[name] = null;
  }
  if (settings.init === null) settings.mask = settings.strength = null;
  if (!(chosen(settings, model, "sampler") in model.freshness)) settings.freshness = null;
  return withQuality(settings, model);
}

// Settings of sampling ask for the denoiser that takes them.
export function withQuality(settings, model) {
  const full = model.fast && SAMPLING.some((name) => settings[name] !== null);
  return full ? { ...settings, fast: false } : settings;
}

// Whether the denoiser of few steps draws, which takes no settings of sampling, no negative prompt
// and no picture to begin with.
export const isFast = ({ fast, negative, init }, model) =>
  model.fast && fast !== false && !negative && !init;

// A setting, or the model's default.
export function chosen(settings, model, name) {
  if (settings[name] !== null) return settings[name];
  if (name === "freshness") return model.freshness[chosen(settings, model, "sampler")] ?? null;
  return model.defaults[name];
}

// The body of a request: without the settings that keep their defaults.
export function toRequest(settings) {
  return Object.fromEntries(
    Object.entries(settings).filter(([, value]) => value !== null && value?.length !== 0),
  );
}

export const randomSeed = () => crypto.getRandomValues(new Uint32Array(1))[0];
