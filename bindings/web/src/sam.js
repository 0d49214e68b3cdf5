import { C } from "./abi.js";
import { invalid } from "./errors.js";
import { Handle } from "./handle.js";
import { toPixels } from "./image.js";
import { Mask, MaskRecord } from "./mask.js";
import { loadModel } from "./models.js";
import { OUTPUTS, count, fieldsOf, known, outputs, split, strings, wirePrompt } from "./options.js";

/** @typedef {import("./types.js").CallOptions} CallOptions */
/** @typedef {import("./types.js").ImageSource} ImageSource */
/** @typedef {import("./types.js").Prompt} Prompt */
/** @typedef {import("./types.js").PredictOptions} PredictOptions */
/** @typedef {import("./types.js").EverythingOptions} EverythingOptions */

/** An encoded picture, of which masks are asked. */
export class Embedding extends Handle {
  /** @param {import("./context.js").Context} context @param {any} embedding @internal */
  constructor(context, embedding) {
    super(context, embedding.id);
    /** Width of the picture. @type {number} */
    this.width = embedding.width;
    /** Height of the picture. @type {number} */
    this.height = embedding.height;
    /** Bytes of memory that the embedding occupies. @type {number} */
    this.memoryBytes = embedding.memoryBytes;
  }

  /**
   * Restores what `save` wrote, here or in any other program with this library. The bytes need not be trusted.
   * @param {Sam} sam The model that made it.
   * @param {Uint8Array | ArrayBuffer | Blob} bytes
   * @param {CallOptions} [options]
   */
  static async load(sam, bytes, options = {}) {
    const data = await bytesOf(bytes);
    const embedding = await sam.context.call("sam.loadEmbedding", { sam: sam.id, bytes: data },
      { ...options, discard: discarding(sam) });
    return new Embedding(sam.context, embedding);
  }

  /** Bytes for a file. @returns {Promise<Uint8Array>} */
  async save() {
    return this.context.call("sam.saveEmbedding", { embedding: this.id });
  }

  /** The output of the image encoder: a square grid of tokens, row by row, the channels of a token together. @returns {Promise<Float32Array>} */
  async values() {
    return this.context.call("sam.embeddingValues", { embedding: this.id });
  }

  /**
   * Whether it was made from exactly this picture; `null` if that is not known, as of files of early versions.
   * @param {ImageSource} image
   * @returns {Promise<boolean | null>}
   */
  async isOf(image) {
    const pixels = await toPixels(image);
    const answer = await this.context.call("sam.embeddingIsOf", { embedding: this.id, image: pixels }, { transfer: [pixels.data.buffer] });
    return answer === C.PICTURE_UNKNOWN ? null : answer === C.PICTURE_SAME;
  }
}

/** The masks of one prompt. */
export class Prediction {
  /** @param {readonly Mask[]} masks @param {number} best */
  constructor(masks, best) {
    /** In the model's order. */
    this.masks = masks;
    /** The one with the highest score. */
    this.best = masks[best];
  }
}

/** A SAM or SAM 2 model: masks from clicks, boxes and words. */
export class Sam extends Handle {
  /** @param {import("./context.js").Context} context @param {any} model @internal */
  constructor(context, model) {
    super(context, model.id);
    /** Side of the model's square input, in pixels. @type {number} */
    this.imageSize = model.imageSize;
    /** Side of its low-resolution masks, in values. @type {number} */
    this.maskSide = model.maskSide;
    /** Bytes of memory that the model occupies. @type {number} */
    this.memoryBytes = model.memoryBytes;
    /** What was assumed, and which parts of the files are not used. @type {string[]} */
    this.warnings = model.warnings;
  }

  /**
   * Loads a model.
   * @param {import("./types.js").ModelSource} source
   * @param {import("./types.js").LoadOptions & { imageSize?: number }} [options] `imageSize`: another side of the model's
   * input; a smaller one is faster and shows less detail.
   */
  static async load(source, { imageSize, ...options } = {}) {
    /** @type {Record<string, number>} */
    const more = imageSize === undefined ? {} : { image_size: count("imageSize", imageSize) };
    const { context, model } = await loadModel("sam", source, options, more);
    return new Sam(context, model);
  }

  /**
   * Runs the image encoder: the slow part, once for a picture.
   * @param {ImageSource} image
   * @param {CallOptions} [options]
   */
  async encode(image, options = {}) {
    const pixels = await toPixels(image);
    const embedding = await this.context.call("sam.encode", { sam: this.id, image: pixels },
      { ...options, transfer: [pixels.data.buffer], discard: discarding(this) });
    return new Embedding(this.context, embedding);
  }

  /**
   * The masks that one prompt asks for.
   * @param {Embedding} embedding
   * @param {Prompt} prompt
   * @param {PredictOptions} [options]
   */
  async predict(embedding, prompt, options = {}) {
    const [prediction] = await this.predictAll(embedding, [prompt], options);
    return prediction;
  }

  /**
   * The masks of several objects, independently of each other; faster than one call for each.
   * @param {Embedding} embedding
   * @param {readonly Prompt[]} prompts
   * @param {PredictOptions} [options]
   * @returns {Promise<Prediction[]>}
   */
  async predictAll(embedding, prompts, options = {}) {
    const { call, own } = split(options);
    known("predict", own, [...OUTPUTS, "multimask", "only", "maxHoleArea", "maxSprinkleArea"]);
    const { only = "all", multimask, maxHoleArea, maxSprinkleArea, ...wanted } = own;
    if (only !== "all" && only !== "best") throw invalid(`only: ${String(only)} is none of all, best`);
    const answers = await this.context.call("sam.predict", {
      sam: this.id,
      embedding: this.beside(embedding),
      prompts: prompts.map(wirePrompt),
      options: fieldsOf("sam_predict_options", { multimask, maxHoleArea, maxSprinkleArea }),
      only,
      outputs: outputs(wanted),
    }, call);
    const { width, height } = embedding;
    return answers.map((/** @type {any} */ { masks, best }) =>
      new Prediction(masks.map((/** @type {any} */ mask) => new Mask(mask, width, height)), best));
  }

  /**
   * Segments everything in a picture. The embedding comes along, for prompts.
   * @param {ImageSource} image
   * @param {CallOptions & EverythingOptions} [options]
   * @returns {Promise<{ records: MaskRecord[], embedding: Embedding }>}
   */
  async everything(image, options = {}) {
    const { call, own } = split(options);
    const params = { sam: this.id, options: fieldsOf("sam_everything_options", own) };
    const pixels = await toPixels(image);
    const found = await this.context.call("sam.everything", { ...params, image: pixels },
      { ...call, transfer: [pixels.data.buffer], discard: ({ embedding }) => discarding(this)(embedding) });
    return {
      records: found.records.map((/** @type {any} */ record) => new MaskRecord(record)),
      embedding: new Embedding(this.context, found.embedding),
    };
  }

  /**
   * Finds what texts describe: segments everything, and compares each mask with the texts. The best masks of each text
   * come text by text.
   * @param {import("./clip.js").Clip} clip A CLIP in the same context.
   * @param {ImageSource} image
   * @param {readonly string[]} texts
   * @param {CallOptions & {
   *   others?: readonly string[], template?: string, top?: number, minProbability?: number, candidates?: EverythingOptions,
   * }} [options] `others`: texts for other things, with which the texts compete. `top`: masks for each text at most, 1.
   * `minProbability`: masks of a lower probability are dropped, 0.
   * @returns {Promise<{ matches: { text: number, probability: number, record: MaskRecord }[], embedding: Embedding }>}
   */
  async ground(clip, image, texts, options = {}) {
    const { call, own } = split(options);
    known("ground", own, ["others", "template", "top", "minProbability", "candidates"]);
    const { others = [], template, top = 1, minProbability = 0, candidates = {} } = own;
    const params = {
      sam: this.id, clip: this.beside(clip), texts: strings("texts", texts), others: strings("others", others),
      template, top: count("top", top), minProbability, options: fieldsOf("sam_everything_options", candidates),
    };
    const pixels = await toPixels(image);
    const found = await this.context.call("sam.ground", { ...params, image: pixels },
      { ...call, transfer: [pixels.data.buffer], discard: ({ embedding }) => discarding(this)(embedding) });
    return {
      matches: found.matches.map((/** @type {any} */ { record, ...rest }) => ({ ...rest, record: new MaskRecord(record) })),
      embedding: new Embedding(this.context, found.embedding),
    };
  }

  /** `Embedding.load` with this model. @param {Uint8Array | ArrayBuffer | Blob} bytes @param {CallOptions} [options] */
  loadEmbedding(bytes, options = {}) {
    return Embedding.load(this, bytes, options);
  }

  /**
   * The outlines of a mask: closed polygons along the edges of its pixels, holes after what they are in. `corners` are x and
   * y in turn; `tolerance` is how far a corner that is left out may be from the outline.
   * @param {import("./mask.js").Rle} rle
   * @param {CallOptions & { tolerance?: number }} [options]
   * @returns {Promise<{ corners: Uint32Array, part: number, isHole: boolean }[]>}
   */
  async polygons(rle, { tolerance = 0, ...options } = {}) {
    const { counts, width, height } = rle;
    return this.context.call("sam.polygons", { counts, width, height, tolerance }, options);
  }
}

/** Frees an embedding that nobody waits for any more. @param {Handle} owner @returns {(result: { id: number }) => void} */
function discarding({ context }) {
  return ({ id }) => void context.call("free", { ids: [id] }).catch(() => {});
}

/** @param {Uint8Array | ArrayBuffer | Blob} bytes */
export async function bytesOf(bytes) {
  if (bytes instanceof Uint8Array) return bytes;
  if (bytes instanceof ArrayBuffer) return new Uint8Array(bytes);
  if (bytes instanceof Blob) return new Uint8Array(await bytes.arrayBuffer());
  throw invalid("bytes: a Uint8Array, an ArrayBuffer or a Blob is needed");
}
