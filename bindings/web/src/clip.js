import { Handle } from "./handle.js";
import { toPixels } from "./image.js";
import { invalid } from "./errors.js";
import { loadModel } from "./models.js";
import { known, split, strings } from "./options.js";

/** @typedef {import("./types.js").CallOptions} CallOptions */
/** @typedef {import("./types.js").ImageSource} ImageSource */

/** A CLIP model: pictures and texts in one space. */
export class Clip extends Handle {
  /** @param {import("./context.js").Context} context @param {any} model @internal */
  constructor(context, model) {
    super(context, model.id);
    /** Numbers in an embedding. @type {number} */
    this.embedDim = model.embedDim;
    /** Bytes of memory that the model occupies. @type {number} */
    this.memoryBytes = model.memoryBytes;
    /** What was assumed, and which parts of the files are not used. @type {string[]} */
    this.warnings = model.warnings;
  }

  /**
   * Loads a model.
   * @param {import("./types.js").ModelSource} source
   * @param {import("./types.js").LoadOptions} [options]
   */
  static async load(source, options = {}) {
    const { context, model } = await loadModel("clip", source, options);
    return new Clip(context, model);
  }

  /**
   * How well each label describes the picture: probabilities that sum to 1, in the order of the labels.
   * @param {ImageSource} image
   * @param {readonly string[]} labels
   * @param {CallOptions & { template?: string }} [options] `template`: a sentence in which each label takes the place of `{}`.
   * @returns {Promise<Float32Array>}
   */
  async classify(image, labels, options = {}) {
    const { call, own } = split(options);
    known("classify", own, ["template"]);
    const params = { clip: this.id, labels: strings("labels", labels), template: own.template };
    const pixels = await toPixels(image);
    return this.context.call("clip.classify", { ...params, image: pixels }, { ...call, transfer: [pixels.data.buffer] });
  }

  /**
   * Embeddings of pictures or of texts, of length 1 unless `normalize` is false.
   * @param {{ images: readonly ImageSource[] } | { texts: readonly string[] }} inputs
   * @param {CallOptions & { normalize?: boolean }} [options]
   * @returns {Promise<Float32Array[]>}
   */
  async embed(inputs, options = {}) {
    const { call, own } = split(options);
    known("embed", own, ["normalize"]);
    known("inputs", inputs, ["images", "texts"]);
    const params = { clip: this.id, normalize: own.normalize ?? true };
    if ("texts" in inputs) {
      if ("images" in inputs) throw invalid("inputs: either images or texts");
      return this.context.call("clip.encodeTexts", { ...params, texts: strings("texts", inputs.texts) }, call);
    }
    const images = await Promise.all(inputs.images.map(toPixels));
    const transfer = images.map(({ data }) => data.buffer);
    return this.context.call("clip.encodeImages", { ...params, images }, { ...call, transfer });
  }

  /**
   * Compares embeddings: for each picture the logits of all texts, the cosine times the model's scale.
   * @param {readonly Float32Array[]} images
   * @param {readonly Float32Array[]} texts
   * @param {CallOptions} [options]
   * @returns {Promise<Float32Array[]>}
   */
  async similarity(images, texts, options = {}) {
    for (const it of [...images, ...texts]) {
      if (it?.length !== this.embedDim) throw invalid(`embeddings of ${this.embedDim} numbers are needed`);
    }
    return this.context.call("clip.similarity", { clip: this.id, images, texts }, options);
  }

  /**
   * The token ids of a text, with those of its start and end.
   * @param {string} text
   * @returns {Promise<Uint32Array>}
   */
  async tokenize(text) {
    return this.context.call("clip.tokenize", { clip: this.id, text: strings("text", [text])[0] });
  }
}
