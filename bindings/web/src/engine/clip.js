// CLIP's functions, as the worker offers them.
import { using_ } from "./module.js";

/** @typedef {import("./engine.js").Engine} Engine */
/** @typedef {import("./engine.js").Pixels} Pixels */
/** @typedef {import("../types.js").LoadedFile} LoadedFile */

/** @param {Engine} engine @param {{ files: LoadedFile[], options: Record<string, number> }} params */
export function load(engine, { files, options }) {
  const { module } = engine;
  return using_(module, (arena) => {
    const given = arena.struct("clip_options", { ...options, ...engine.monitored() });
    const list = engine.files(arena, files);
    const pointer = engine.created(arena, (out) =>
      module.call("clip_load_memory", engine.context, list, files.length, given, out));
    return engine.model("clip", pointer, (clip) => ({
      embedDim: module.run("clip_embed_dim", clip),
      memoryBytes: module.run("clip_memory_bytes", clip) >>> 0,
    }));
  });
}

/** @param {Engine} engine @param {{ clip: number, image: Pixels, labels: string[], template?: string }} params */
export function classify(engine, { clip, image, labels, template }) {
  const { module } = engine;
  return using_(module, (arena) => {
    const options = arena.struct("clip_classify_options", {
      label_template: template === undefined ? 0 : arena.string(template), ...engine.monitored(),
    });
    const pictures = engine.images(arena, [image]);
    const texts = arena.strings(labels);
    // Not asked for its size, which is known: asking would do the work twice.
    const out = arena.alloc(Math.max(4, 4 * labels.length));
    const pointer = engine.handle(clip, "clip");
    module.call("clip_classify", pointer, pictures, texts, labels.length, options, out, labels.length, 0);
    return new Float32Array(engine.copy(out, 4 * labels.length));
  });
}

/** @param {Engine} engine @param {{ clip: number, images: Pixels[], normalize: boolean }} params */
export function encodeImages(engine, { clip, images, normalize }) {
  return using_(engine.module, (arena) =>
    embed(engine, clip, "clip_encode_image", engine.images(arena, images), images.length, normalize));
}

/** @param {Engine} engine @param {{ clip: number, texts: string[], normalize: boolean }} params */
export function encodeTexts(engine, { clip, texts, normalize }) {
  return using_(engine.module, (arena) =>
    embed(engine, clip, "clip_encode_text", arena.strings(texts), texts.length, normalize));
}

/**
 * @param {Engine} engine
 * @param {number} clip
 * @param {string} name
 * @param {number} inputs
 * @param {number} count
 * @param {boolean} normalize
 */
function embed(engine, clip, name, inputs, count, normalize) {
  const { module } = engine;
  return using_(module, (arena) => {
    const pointer = engine.handle(clip, "clip");
    const dim = module.run("clip_embed_dim", pointer);
    const options = arena.struct("clip_encode_options", { normalize: Number(normalize), ...engine.monitored() });
    const out = arena.alloc(Math.max(4, 4 * dim * count));
    module.call(name, pointer, inputs, count, options, out, dim * count, 0);
    return Array.from({ length: count }, (_, i) => new Float32Array(engine.copy(out + 4 * dim * i, 4 * dim)));
  });
}

/** @param {Engine} engine @param {{ clip: number, images: Float32Array[], texts: Float32Array[] }} params */
export function similarity(engine, { clip, images, texts }) {
  const { module } = engine;
  return using_(module, (arena) => {
    const count = images.length * texts.length;
    const out = arena.alloc(Math.max(4, 4 * count));
    const [left, right] = [images, texts].map((list) => arena.f32(list.flatMap((it) => Array.from(it))));
    const pointer = engine.handle(clip, "clip");
    module.call("clip_similarity", pointer, left, images.length, right, texts.length, out, count, 0);
    const row = 4 * texts.length;
    return images.map((_, i) => new Float32Array(engine.copy(out + row * i, row)));
  });
}

/** @param {Engine} engine @param {{ clip: number, text: string }} params */
export function tokenize(engine, { clip, text }) {
  const { module } = engine;
  return using_(module, (arena) => {
    const [pointer, start] = [engine.handle(clip, "clip"), arena.string(text)];
    return new Uint32Array(engine.collect(arena, 4, (...out) => module.call("clip_tokenize", pointer, start, ...out)));
  });
}
