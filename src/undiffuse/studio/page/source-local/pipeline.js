// Text to image: prompt -> CLIP vector -> denoising steps -> picture; the order of the work is that
// of undiffuse/pipeline/text_to_image.py.

import { combine, concatenate } from "./arrays.js";
import { classifierFreeGuidance, switchCond } from "./guidance.js";
import { InitImage } from "./init-image.js";
import { Lexicon } from "./lexicon.js";
import { Clip, Codec, Denoiser } from "./networks.js";
import { noiseSource } from "./noise.js";
import { resolveSettings } from "./options.js";
import { toPixels } from "./pixels.js";
import { parsePrompt } from "./prompt.js";
import { Reader } from "./reading.js";
import { describePicture } from "./record.js";
import { remember } from "./remember.js";
import { SAMPLERS } from "./samplers.js";
import { alphaSigma, shiftedTimes } from "./schedule.js";
import { EPS_START } from "./targets.js";
import { texts } from "../texts.en.js";

export class TextToImage {
  // site: what the export wrote; picture: async name -> RGB pixels of an upload;
  // fetchFile: async path -> ArrayBuffer
  constructor(site, graphs, { picture, fetchFile }) {
    Object.assign(this, { site, picture, fetchFile, files: new Map() });
    this.clip = new Clip(graphs, site.clip);
    this.codec = new Codec(graphs, site.codec);
    this.denoiser = new Denoiser(graphs, site.denoiser);
  }

  // Read what a first drawing needs.
  open() {
    const names = ["denoiser", "codec_decode", "clip_text"];
    return Promise.all(names.map((name) => this.clip.graphs.open(name)));
  }

  // The unit vector of a term of a sum.
  encodeTerm = async (term) => {
    if (!term.isPicture) return this.clip.encodeText(term.text);
    return this.clip.encodeImage(await this.picture(term.text));
  };

  // A reader of some prompts; null for a model without a lexicon, which takes them literally.
  async reader(prompts) {
    const { lexicon } = this.site;
    if (!lexicon) return null;
    const reader = await remember(this.files, lexicon.file, async () =>
      new Reader(await Lexicon.read(await this.fetchFile(lexicon.file), lexicon.languages)));
    await reader.prepare(prompts);
    return reader;
  }

  // Pictures of latents (B, ...), as bytes. The last array is remembered: the last step that is
  // shown is the finished picture.
  async decode(latents) {
    if (this.decoded?.latents === latents) return this.decoded.pictures;
    const { image_size: side, image_channels: channels } = this.codec.config;
    const rows = await this.codec.decodeRows(latents);
    this.decoded = { latents, pictures: rows.map((row) => toPixels(row, side, channels)) };
    return this.decoded.pictures;
  }

  // The steps of a drawing; each has the `plan`, whose `pictures` finishes the last one.
  async* steps(given) {
    const plan = await this.plan(resolveSettings(given, this.site));
    for await (const step of this.sample(plan)) yield { ...step, plan };
  }

  sample({ settings, cond, lateCond, negativeCond, init, fresh }) {
    const { schedule } = this.denoiser;
    let denoiser = (...inputs) => this.denoiser.predict(...inputs);
    denoiser = classifierFreeGuidance(denoiser, settings.guidance,
      { negative: negativeCond, band: settings.band });
    if (lateCond) denoiser = switchCond(denoiser, lateCond, settings.style_below);
    let [start, noise] = [1, fresh(0)];
    if (this.denoiser.config.target === "eps") start = EPS_START;
    if (init) {
      start = Math.min(start, settings.strength);
      denoiser = init.keepUnmasked(denoiser, this.codec);
      const [alpha, sigma] = alphaSigma(schedule, start);
      noise = combine([1, noise], [alpha / sigma, init.latents]); // the sampler applies sigma
    }
    const times = shiftedTimes(settings.steps, settings.shift, start);
    const freshness = settings.freshness ?? undefined;
    return SAMPLERS[settings.sampler](denoiser, noise, cond, { schedule, times, fresh, freshness });
  }

  async plan(settings) {
    const { styles } = this.site.model;
    const reader = await this.reader([settings.prompt, settings.negative]);
    const needed = { reader, styles, style: settings.style };
    const prompt = parsePrompt(settings.prompt,
      { ...needed, like: settings.like, styleRequested: settings.styleRequested });
    const negative = parsePrompt(settings.negative, needed);
    const row = prompt.subtract(negative, this.site.constants.negative);
    const always = settings.alwaysStyled || row.styleRequested;
    const strength = always ? settings.style_strength : 0;
    const { index, count, seed } = settings;
    const indices = Array.from({ length: count }, (_, k) => index + k);
    return {
      settings, notes: this.notes(row, negative, settings),
      ...await this.embed(row, strength, negative, count),
      init: settings.init ? await InitImage.read(settings, this) : null,
      fresh: noiseSource(seed, indices, this.denoiser.size),
      records: indices.map((one) =>
        describePicture(row, negative, { ...settings, style_strength: strength }, one, this.site)),
    };
  }

  // cond, lateCond and negativeCond (B, D) of a plan; null where nothing steers.
  async embed(row, strength, negative, count) {
    const rows = (one) => concatenate(Array.from({ length: count }, () => one));
    const withStates = async (vector, sentence) => {
      const tokens = this.denoiser.config.text_tokens;
      const states = tokens ? await this.clip.encodeStates(sentence, tokens) : [];
      return rows(concatenate([vector, states]));
    };
    const embed = async (prompt, share) => withStates(
      prompt.terms.length ? await prompt.embed(this.encodeTerm, share)
        : new Float32Array(this.clip.dim), prompt.sentence);
    return {
      cond: row.terms.length ? await embed(row, 0) : null,
      lateCond: strength ? await embed(row, strength) : null,
      negativeCond: negative.terms.length && !row.terms.length
        ? await withStates(await negative.embed(this.encodeTerm), "") : null,
    };
  }

  notes(prompt, negative, { guidance }) {
    const notes = [...prompt.notes, ...negative.notes.map(texts.promptNotes.negative)];
    if (!prompt.terms.length) notes.push(texts.promptNotes.empty);
    if (negative.terms.length && !prompt.terms.length && guidance === 1) {
      notes.push(texts.promptNotes.guidanceOff);
    }
    const words = [...prompt.terms, ...negative.terms].filter((term) => !term.isPicture);
    const { cut } = this.clip.tokenizer.pad(words.map((term) => term.text));
    return [...notes, ...cut.filter(Boolean).map(texts.promptNotes.cut)];
  }

  // The finished pictures of a drawing's last step, as bytes.
  async pictures({ x_t: latents, plan }) {
    const pictures = await this.decode(latents);
    return plan.init ? pictures.map((one) => plan.init.pasteUnmasked(one)) : pictures;
  }
}
