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
import { ColorWords, parsePrompt, sameTerms } from "./prompt.js";
import { Reader } from "./reading.js";
import { describePicture } from "./record.js";
import { remember } from "./remember.js";
import { SAMPLERS } from "./samplers.js";
import { SceneGrammar } from "./scene-parse.js";
import { SceneWords } from "./scene-words.js";
import {
  compose, compositionOf, emphasize, headOf, indicesOf, partsOf, wantsScenes,
} from "./scenes.js";
import { alphaSigma, shiftedTimes } from "./schedule.js";
import { EPS_START } from "./targets.js";
import { texts } from "../texts.en.js";

const FAST = "denoiser-fast"; // the graph with the weights of few steps

export class TextToImage {
  // site: what the export wrote; picture: async name -> RGB pixels of an upload;
  // fetchFile: async path -> ArrayBuffer
  constructor(site, graphs, { picture, fetchFile }) {
    Object.assign(this, { site, picture, fetchFile, files: new Map() });
    this.clip = new Clip(graphs, site.clip);
    this.codec = new Codec(graphs, site.codec);
    this.denoiser = new Denoiser(graphs, site.denoiser);
    this.fast = new Denoiser(graphs, site.denoiser, FAST);
    this.colors = new ColorWords(site.constants);
    this.places = site.scenes && new SceneWords(site.scenes.words);
  }

  // Read what a first drawing needs.
  open() {
    const names = [this.site.fast ? FAST : "denoiser", "codec_decode", "clip_text"];
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

  // Drawings of latents (B, ...), as bytes. The last array is remembered: the last step that is
  // shown is the finished picture.
  async decode(latents) {
    if (this.decoded?.latents === latents) return this.decoded.drawings;
    const { image_size: side, image_channels: channels } = this.codec.config;
    const rows = await this.codec.decodeRows(latents);
    this.decoded = { latents, drawings: rows.map((row) => toPixels(row, side, channels)) };
    return this.decoded.drawings;
  }

  // Pictures of the latents of canvases, as bytes.
  async composed(latents, canvases) {
    return compose(await this.decode(latents), canvases);
  }

  // The steps of a drawing; each has the `plan`, whose `pictures` finishes the last one.
  async* steps(given) {
    const plan = await this.plan(resolveSettings(given, this.site));
    for await (const step of this.sample(plan)) yield { ...step, plan };
  }

  sample({ settings, cond, lateCond, negativeCond, init, fresh }) {
    const { schedule } = this.denoiser;
    const network = settings.fast ? this.fast : this.denoiser;
    let denoiser = (...inputs) => network.predict(...inputs);
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
    const { model: { styles }, constants } = this.site;
    const reader = await this.reader([settings.prompt, settings.negative]);
    const readsTokens = this.denoiser.config.text_tokens > 0;
    const composes = wantsScenes(settings, Boolean(this.places), readsTokens);
    const needed = { reader, styles, style: settings.style, places: composes ? this.places : null };
    const prompt = parsePrompt(settings.prompt,
      { ...needed, like: settings.like, styleRequested: settings.styleRequested });
    const negative = parsePrompt(settings.negative, needed);
    const row = prompt.subtract(negative, constants.negative);
    const grammar = composes ? this.grammarOf(reader) : null;
    const composition = grammar && compositionOf(prompt, grammar, this.site.scenes);
    const parts = partsOf(prompt, composition);
    const heads = parts.map((one) => (grammar ? headOf(one, grammar) : ""));
    const rows = parts.map((one, k) =>
      emphasize(one, heads[k]).subtract(negative, constants.negative));
    const always = settings.alwaysStyled || row.styleRequested;
    const strengths = rows.map((one) => {
      const colorless = one.colorless(this.colors);
      const color = sameTerms(colorless, one.terms) ? 0 : settings.color_strength;
      return { style: always ? settings.style_strength : 0, color, colorless };
    });
    const { index, count, seed } = settings;
    const canvases = Array.from({ length: count }, (_, k) =>
      ({ seed, index: index + k, rows: rows.length, composition }));
    const indices = canvases.flatMap((one) => indicesOf(one.index, one.rows));
    const recorded = { ...settings, style_strength: strengths[0].style,
      color_strength: Math.max(...strengths.map(({ color }) => color)),
      compose: settings.compose ?? (composition || heads.some(Boolean) ? true : null) };
    return {
      settings, canvases, notes: this.notes(row, negative, { composition, heads, ...settings }),
      ...await this.embed(rows, strengths, negative, count),
      init: settings.init ? await InitImage.read(settings, this) : null,
      fresh: noiseSource(seed, indices, this.denoiser.size),
      records: canvases.map((one) =>
        describePicture(row, negative, recorded, one.index, this.site)),
    };
  }

  grammarOf({ lexicon: { names, known } }) {
    this.grammar ??= new SceneGrammar(names, known, this.places);
    return this.grammar;
  }

  // cond, lateCond and negativeCond (B, D) of a plan, for `count` pictures of the same rows; null
  // where nothing steers.
  async embed(rows, strengths, negative, count) {
    const repeat = (vectors) =>
      concatenate(Array.from({ length: count }, () => vectors).flat());
    const withStates = async (vector, sentence) => {
      const tokens = this.denoiser.config.text_tokens;
      const states = tokens ? await this.clip.encodeStates(sentence, tokens) : [];
      return concatenate([vector, states]);
    };
    const embed = async (late) => repeat(await Promise.all(rows.map(async (row, k) => withStates(
      row.terms.length ? await row.embed(this.encodeTerm, late[k])
        : new Float32Array(this.clip.dim), row.sentence))));
    const steers = rows[0].terms.length > 0; // only a prompt that is drawn whole can be empty
    return {
      cond: steers ? await embed([]) : null,
      lateCond: strengths.some(({ style, color }) => style || color)
        ? await embed(strengths) : null,
      negativeCond: negative.terms.length && !steers
        ? repeat([await withStates(await negative.embed(this.encodeTerm), "")]) : null,
    };
  }

  notes(prompt, negative, { composition, heads, guidance }) {
    const notes = [...prompt.notes, ...negative.notes.map(texts.promptNotes.negative)];
    if (composition) notes.push(composition.note);
    notes.push(...heads.filter(Boolean).map(texts.drawnAboveAll));
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
    const pictures = await this.composed(latents, plan.canvases);
    return plan.init ? pictures.map((one) => plan.init.pasteUnmasked(one)) : pictures;
  }
}
