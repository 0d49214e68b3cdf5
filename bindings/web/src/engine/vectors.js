// Exact search, as the worker offers it. Vectors stay in the module's memory from one search to the next.
import { invalid } from "../errors.js";
import { Arena, using_ } from "./module.js";

/** @typedef {import("./engine.js").Engine} Engine */
/** @typedef {import("../types.js").WireVectors} WireVectors */

/**
 * A `vitrum_vectors` and what it points to, kept until it is freed.
 * @param {Engine} engine
 * @param {(arena: Arena) => Record<string, number | undefined>} fill Its fields.
 */
function kept(engine, fill) {
  const arena = new Arena(engine.module);
  try {
    const vectors = arena.struct("vectors", fill(arena));
    return { id: engine.keep("vectors", vectors, () => arena.free()) };
  } catch (error) {
    arena.free();
    throw error;
  }
}

/** @param {Engine} engine @param {WireVectors} params */
export function create(engine, { values, codes, scales, count, dim }) {
  return kept(engine, (arena) => {
    if (values) return { values: arena.f32(values), count, dim };
    const bytes = /** @type {Int8Array} */ (codes);
    return {
      codes: arena.bytes(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)),
      scales: arena.f32(/** @type {Float32Array} */ (scales)), count, dim,
    };
  });
}

/** @param {Engine} engine @param {{ vectors: number }} params */
function fieldsOf(engine, params) {
  const start = engine.handle(params.vectors, "vectors");
  const get = (/** @type {string} */ field) => engine.module.get("vectors", start, field);
  return { start, values: get("values"), codes: get("codes"), scales: get("scales"), count: get("count"), dim: get("dim") };
}

/** @param {Engine} engine @param {{ vectors: number }} params */
export function quantize(engine, params) {
  const { values, count, dim } = fieldsOf(engine, params);
  if (values === 0) throw invalid("these vectors are 8-bit integers");
  return kept(engine, (arena) => {
    const [codes, scales] = [arena.alloc(count * dim), arena.alloc(4 * count)];
    if (count > 0) engine.module.call("quantize_vectors", values, count, dim, codes, scales);
    return { codes, scales, count, dim };
  });
}

/** @param {Engine} engine @param {{ vectors: number }} params */
export function quantized(engine, params) {
  const { codes, scales, count, dim } = fieldsOf(engine, params);
  if (codes === 0) throw invalid("these vectors are floats");
  return { codes: new Int8Array(engine.copy(codes, count * dim)), scales: new Float32Array(engine.copy(scales, 4 * count)) };
}

/**
 * Indices and scores by turns: `vitrum_hit`s.
 * @param {Engine} engine
 * @param {{ vectors: number, queries: Float32Array, count: number, k: number }} params
 */
export function topk(engine, { queries, count, k, ...params }) {
  const { module } = engine;
  return using_(module, (arena) => {
    const { start } = fieldsOf(engine, params);
    const options = arena.struct("topk_options", engine.monitored());
    const asked = arena.f32(queries);
    return engine.collect(arena, 8, (...out) => module.call("topk", engine.context, asked, count, start, k, options, ...out));
  });
}
