import { Context } from "./context.js";
import { invalid } from "./errors.js";
import { Handle } from "./handle.js";
import { count, known, split } from "./options.js";

/** @typedef {import("./types.js").CallOptions} CallOptions */
/** @typedef {import("./types.js").Hit} Hit */
/** @typedef {import("./types.js").VectorSource} VectorSource */

/**
 * Embeddings to search, in the memory of a context: every one is compared, so that what is found is exact. The score of a query
 * `q` and a vector `x` is `Σ q[i] x[i]`: the cosine, if both have length 1, as embeddings do by default.
 */
export class Vectors extends Handle {
  /** @param {Context} context @param {number} id @param {number} count @param {number} dim @internal */
  constructor(context, id, count, dim) {
    super(context, id);
    /** How many vectors there are. @type {number} */
    this.count = count;
    /** Numbers in each. @type {number} */
    this.dim = dim;
  }

  /**
   * Copies vectors of `dim` numbers to a context: a list of them, such as `clip.embed` gives, an array with one after the other, or
   * the `codes` and `scales` of `quantized`.
   * @param {VectorSource} source
   * @param {CallOptions & { dim: number, context?: Context }} options `context`: the one that models share, if it is left out.
   */
  static async create(source, options) {
    const { call, own } = split(options);
    known("vectors", own, ["dim", "context"]);
    const { dim, context = Context.shared } = own;
    const params = wireOf(source, count("dim", dim));
    const transfer = [params.values, params.codes, params.scales].flatMap((it) => (it ? [it.buffer] : []));
    const { id } = await context.call("vectors.create", params, { ...call, transfer, discard: discarding(context) });
    return new Vectors(context, id, params.count, params.dim);
  }

  /**
   * These vectors, each rounded to 8-bit integers with a scale, the largest magnitude divided by 127: a quarter of the memory. These
   * here stay until they are closed.
   * @param {CallOptions} [options]
   */
  async quantize(options = {}) {
    const discard = discarding(this.context);
    const { id } = await this.context.call("vectors.quantize", { vectors: this.id }, { ...only("quantize", options), discard });
    return new Vectors(this.context, id, this.count, this.dim);
  }

  /**
   * Vectors that were rounded, for a file: vector `i` is `scales[i]` times its row of `codes`.
   * @param {CallOptions} [options]
   * @returns {Promise<{ codes: Int8Array, scales: Float32Array }>}
   */
  async quantized(options = {}) {
    return this.context.call("vectors.quantized", { vectors: this.id }, only("quantized", options));
  }

  /**
   * The `k` vectors with the largest scores, or all if they are fewer: the best first, of equal scores the one with the smaller
   * index.
   * @param {Float32Array} query
   * @param {number} k
   * @param {CallOptions} [options]
   * @returns {Promise<Hit[]>}
   */
  async topk(query, k, options = {}) {
    const [hits] = await this.topkEach([query], k, options);
    return /** @type {Hit[]} */ (hits);
  }

  /**
   * The same for several queries, faster than one call for each.
   * @param {readonly Float32Array[]} queries
   * @param {number} k
   * @param {CallOptions} [options]
   * @returns {Promise<Hit[][]>}
   */
  async topkEach(queries, k, options = {}) {
    const asked = joined("queries", queries, this.dim);
    const params = { vectors: this.id, queries: asked, count: queries.length, k: Math.min(count("k", k), 2 ** 32 - 1) };
    /** @type {ArrayBuffer} */
    const found = await this.context.call("vectors.topk", params, { ...only("topk", options), transfer: [asked.buffer] });
    const [indices, scores] = [new Uint32Array(found), new Float32Array(found)];
    const each = Math.min(k, this.count);
    return queries.map((_, query) => Array.from({ length: each }, (_, i) => {
      const at = 2 * (query * each + i);
      return { index: /** @type {number} */ (indices[at]), score: /** @type {number} */ (scores[at + 1]) };
    }));
  }
}

/** What every call takes, and nothing else. @param {string} what @param {CallOptions} options */
function only(what, options) {
  const { call, own } = split(options);
  known(what, own, ["signal", "progress"]);
  return call;
}

/** One after the other, in an array of their own. @param {string} what @param {readonly Float32Array[]} list @param {number} dim */
function joined(what, list, dim) {
  if (!Array.isArray(list)) throw invalid(`${what}: an array of Float32Array is needed`);
  const values = new Float32Array(list.length * dim);
  list.forEach((it, i) => {
    if (!(it instanceof Float32Array) || it.length !== dim) throw invalid(`${what} ${i}: ${dim} numbers in a Float32Array are needed`);
    values.set(it, i * dim);
  });
  return values;
}

/**
 * Vectors on their way to the worker, in arrays that can be moved there.
 * @param {VectorSource} source
 * @param {number} dim
 * @returns {import("./types.js").WireVectors}
 */
function wireOf(source, dim) {
  if (dim === 0) throw invalid("dim: 0 is no number of that kind");
  if (Array.isArray(source)) return { values: joined("vectors", source, dim), count: source.length, dim };
  const rows = (/** @type {{ length: number }} */ values) => {
    if (values.length % dim !== 0) throw invalid(`vectors: ${values.length} numbers are not whole rows of ${dim}`);
    return values.length / dim;
  };
  if (source instanceof Float32Array) return { values: new Float32Array(source), count: rows(source), dim };
  const { codes, scales } = /** @type {{ codes: Int8Array, scales: Float32Array }} */ (Object(source));
  if (!(codes instanceof Int8Array) || !(scales instanceof Float32Array)) {
    throw invalid("vectors: a Float32Array, a list of them, or codes and scales in an Int8Array and a Float32Array are needed");
  }
  if (scales.length !== rows(codes)) throw invalid(`scales: there are ${scales.length} for ${rows(codes)} vectors`);
  return { codes: new Int8Array(codes), scales: new Float32Array(scales), count: scales.length, dim };
}

/** Frees vectors that nobody waits for any more. @param {Context} context @returns {(result: { id: number }) => void} */
function discarding(context) {
  return ({ id }) => void context.call("free", { ids: [id] }).catch(() => {});
}
