// SAM's functions, as the worker offers them.
import { STRUCTS } from "../abi.js";
import { using_ } from "./module.js";
import { promptsOf } from "./prompts.js";

/** @typedef {import("./engine.js").Engine} Engine */
/** @typedef {import("./module.js").Arena} Arena */
/** @typedef {import("./engine.js").Pixels} Pixels */
/** @typedef {import("../types.js").LoadedFile} LoadedFile */
/** @typedef {import("../types.js").WirePrompt} WirePrompt */
/** @typedef {import("../types.js").WireMask} WireMask */
/** @typedef {import("../types.js").MaskOutputs} MaskOutputs */

/** @param {Engine} engine @param {{ files: LoadedFile[], options: Record<string, number> }} params */
export function load(engine, { files, options }) {
  const { module } = engine;
  return using_(module, (arena) => {
    const given = arena.struct("sam_options", { ...options, ...engine.monitored() });
    const list = engine.files(arena, files);
    const pointer = engine.created(arena, (out) =>
      module.call("sam_load_memory", engine.context, list, files.length, given, out));
    return engine.model("sam", pointer, (sam) => ({
      imageSize: module.run("sam_image_size", sam),
      maskSide: module.run("sam_mask_side", sam),
      memoryBytes: module.run("sam_memory_bytes", sam) >>> 0,
    }));
  });
}

/** @param {Engine} engine @param {number} pointer */
function embedding(engine, pointer) {
  const { module } = engine;
  return {
    id: engine.keep("sam_embedding", pointer),
    width: module.run("sam_embedding_width", pointer),
    height: module.run("sam_embedding_height", pointer),
    memoryBytes: module.run("sam_embedding_memory_bytes", pointer) >>> 0,
  };
}

/** @param {Engine} engine @param {{ sam: number, image: Pixels }} params */
export function encode(engine, { sam, image }) {
  const { module } = engine;
  return using_(module, (arena) => {
    const pictures = engine.images(arena, [image]);
    const pointer = engine.handle(sam, "sam");
    return embedding(engine, engine.created(arena, (out) =>
      module.call("sam_encode", pointer, pictures, module.run("web_progress"), 0, out)));
  });
}

/** @param {Engine} engine @param {{ sam: number, bytes: Uint8Array }} params */
export function loadEmbedding(engine, { sam, bytes }) {
  const { module } = engine;
  return using_(module, (arena) => {
    const pointer = engine.handle(sam, "sam");
    const data = arena.bytes(bytes);
    return embedding(engine, engine.created(arena, (out) =>
      module.call("sam_embedding_load", pointer, data, bytes.length, out)));
  });
}

/** @param {Engine} engine @param {{ embedding: number }} params */
export function saveEmbedding(engine, params) {
  const { module } = engine;
  return using_(module, (arena) => {
    const pointer = engine.handle(params.embedding, "sam_embedding");
    return new Uint8Array(engine.collect(arena, 1, (...out) => module.call("sam_embedding_save", pointer, ...out)));
  });
}

/** @param {Engine} engine @param {{ embedding: number }} params */
export function embeddingValues(engine, params) {
  const { module } = engine;
  return using_(module, (arena) => {
    const pointer = engine.handle(params.embedding, "sam_embedding");
    return new Float32Array(engine.collect(arena, 4, (...out) => module.call("sam_embedding_values", pointer, ...out)));
  });
}

/** One of `VITRUM_PICTURE_*`. @param {Engine} engine @param {{ embedding: number, image: Pixels }} params */
export function embeddingIsOf(engine, params) {
  const { module } = engine;
  return using_(module, (arena) => {
    const [pointer, out] = [engine.handle(params.embedding, "sam_embedding"), arena.alloc(4)];
    module.call("sam_embedding_is_of", pointer, engine.images(arena, [params.image]), out);
    return module.read(out, "i32");
  });
}

/**
 * @param {Engine} engine
 * @param {{
 *   sam: number, embedding: number, prompts: WirePrompt[], options: Record<string, number>, only: "best" | "all",
 *   outputs: MaskOutputs,
 * }} params
 * @returns {{ masks: WireMask[], best: number }[]}
 */
export function predict(engine, { sam, embedding: encoded, prompts, options, only, outputs }) {
  const { module } = engine;
  return using_(module, (arena) => {
    const model = engine.handle(sam, "sam");
    const image = engine.handle(encoded, "sam_embedding");
    const given = arena.struct("sam_predict_options", { ...options, ...engine.monitored() });
    const list = promptsOf(arena, prompts);
    const prediction = engine.created(arena, (out) => module.call("sam_prediction_new", model, out));
    try {
      module.call("sam_predict", model, image, list, prompts.length, given, prediction);
      const count = module.run("sam_prediction_masks", prediction);
      const scores = new Float32Array(
        engine.collect(arena, 4, (...out) => module.call("sam_prediction_scores", prediction, ...out)));
      return prompts.map((_, prompt) => {
        const own = scores.subarray(prompt * count, (prompt + 1) * count);
        const best = own.reduce((best, score, i) => (score > own[best] ? i : best), 0);
        const wanted = only === "best" ? [best] : Array.from(own.keys());
        const masks = wanted.map((mask) => maskOf(engine, arena, prediction, prompt, mask, outputs));
        return { masks, best: only === "best" ? 0 : best };
      });
    } finally {
      if (!module.broken) module.run("sam_prediction_free", prediction);
    }
  });
}

/**
 * @param {Engine} engine
 * @param {Arena} arena
 * @param {number} prediction
 * @param {number} prompt
 * @param {number} mask
 * @param {MaskOutputs} outputs
 * @returns {WireMask}
 */
function maskOf(engine, arena, prediction, prompt, mask, outputs) {
  const { module } = engine;
  const { threshold } = outputs;
  const at = /** @type {const} */ ([prediction, prompt, mask]);
  const stats = arena.struct("sam_mask_stats");
  module.call("sam_prediction_stats", ...at, threshold, stats);
  /** @param {string} name @param {number} size @param {...number} args */
  const collected = (name, size, ...args) =>
    using_(module, (own) => engine.collect(own, size, (...out) => module.call(name, ...at, ...args, ...out)));
  return {
    area: module.get("sam_mask_stats", stats, "area"),
    box: /** @type {[number, number, number, number]} */ (module.list("sam_mask_stats", stats, "bounding_box")),
    score: module.get("sam_mask_stats", stats, "score"),
    stability: module.get("sam_mask_stats", stats, "stability_score"),
    data: outputs.data ? new Uint8Array(collected("sam_prediction_mask", 1, threshold)) : undefined,
    counts: outputs.rle ? new Uint32Array(collected("sam_prediction_rle", 4, threshold)) : undefined,
    logits: outputs.logits ? new Float32Array(collected("sam_prediction_logits", 4)) : undefined,
    lowRes: outputs.lowRes ? new Float32Array(collected("sam_prediction_low_res", 4)) : undefined,
  };
}

/** A `vitrum_sam_record` as values. @param {Engine} engine @param {number} start */
function recordOf(engine, start) {
  const { module } = engine;
  /** @param {string} field */
  const get = (field) => module.get("sam_record", start, field);
  /** @param {string} field */
  const list = (field) => module.list("sam_record", start, field);
  return {
    area: get("area"),
    width: get("width"),
    height: get("height"),
    box: /** @type {[number, number, number, number]} */ (list("bounding_box")),
    cropBox: /** @type {[number, number, number, number]} */ (list("crop_box")),
    point: /** @type {[number, number]} */ (list("point")),
    predictedIou: get("predicted_iou"),
    stabilityScore: get("stability_score"),
    counts: new Uint32Array(engine.copy(get("counts"), 4 * get("count_size"))),
  };
}

/**
 * @param {Engine} engine
 * @param {{ sam: number, image: Pixels, options: Record<string, number> }} params
 */
export function everything(engine, { sam, image, options }) {
  const { module } = engine;
  return using_(module, (arena) => {
    const pointer = engine.handle(sam, "sam");
    const given = everythingOptions(engine, arena, pointer, options);
    /** @type {ReturnType<typeof recordOf>[]} */
    const records = [];
    module.callbacks.record = (record) => void records.push(recordOf(engine, record >>> 0));
    const pictures = engine.images(arena, [image]);
    const callbacks = [module.run("web_record"), module.run("web_progress"), 0];
    const kept = engine.created(arena, (out) => module.call("sam_everything", pointer, pictures, given, ...callbacks, out));
    return { records, embedding: embedding(engine, kept) };
  });
}

/** The model's own defaults, and these fields. @param {Engine} engine @param {Arena} arena @param {number} sam @param {Record<string, number>} options */
function everythingOptions(engine, arena, sam, options) {
  const given = arena.struct("sam_everything_options");
  const status = engine.module.run("sam_everything_defaults", sam, given, STRUCTS.sam_everything_options.size);
  if (status !== 0) throw new Error(`vitrum_sam_everything_defaults: ${status}`);
  engine.module.set("sam_everything_options", given, options);
  return given;
}

/**
 * @param {Engine} engine
 * @param {{
 *   sam: number, clip: number, image: Pixels, texts: string[], others: string[], template?: string, top: number,
 *   minProbability: number, options: Record<string, number>,
 * }} params
 */
export function ground(engine, { sam, clip, image, texts, others, template, top, minProbability, options }) {
  const { module } = engine;
  return using_(module, (arena) => {
    const [model, words] = [engine.handle(sam, "sam"), engine.handle(clip, "clip")];
    const prompt = arena.struct("sam_text_prompt", {
      top,
      min_probability: minProbability,
      texts: arena.strings(texts),
      text_count: texts.length,
      others: others.length === 0 ? 0 : arena.strings(others),
      other_count: others.length,
      text_template: template === undefined ? 0 : arena.string(template),
      candidates: everythingOptions(engine, arena, model, options),
    });
    /** @type {{ text: number, probability: number, record: ReturnType<typeof recordOf> }[]} */
    const matches = [];
    module.callbacks.match = (text, probability, record) =>
      void matches.push({ text, probability, record: recordOf(engine, record >>> 0) });
    const pictures = engine.images(arena, [image]);
    const callbacks = [module.run("web_match"), module.run("web_progress"), 0];
    const kept = engine.created(arena, (out) =>
      module.call("sam_ground", model, words, pictures, prompt, ...callbacks, out));
    return { matches, embedding: embedding(engine, kept) };
  });
}

/**
 * @param {Engine} engine
 * @param {{ counts: Uint32Array, width: number, height: number, tolerance: number }} params
 */
export function polygons(engine, { counts, width, height, tolerance }) {
  const { module } = engine;
  return using_(module, (arena) => {
    const runs = arena.bytes(new Uint8Array(counts.buffer, counts.byteOffset, counts.byteLength));
    const needed = arena.alloc(8);
    const fixed = /** @type {const} */ ([runs, counts.length, width, height, tolerance]);
    module.call("rle_polygons", ...fixed, 0, 0, needed, 0, 0, needed + 4);
    const [numbers, count] = [module.read(needed, "u32"), module.read(needed + 4, "u32")];
    const { size } = STRUCTS.polygon;
    const [corners, list] = [arena.alloc(Math.max(4, 4 * numbers)), arena.alloc(Math.max(4, size * count))];
    module.call("rle_polygons", ...fixed, corners, numbers, needed, list, count, needed + 4);
    return Array.from({ length: count }, (_, i) => {
      /** @param {string} field */
      const get = (field) => module.get("polygon", list + i * size, field);
      const bytes = engine.copy(corners + 8 * get("first"), 8 * get("count"));
      return { corners: new Uint32Array(bytes), part: get("part"), isHole: get("is_hole") === 1 };
    });
  });
}
