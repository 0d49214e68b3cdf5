// Options as callers write them, for the worker.
import { C, STRUCTS } from "./abi.js";
import { invalid } from "./errors.js";

/** @typedef {import("./types.js").CallOptions} CallOptions */
/** @typedef {import("./types.js").WirePrompt} WirePrompt */

/**
 * Splits what every call takes from what is this call's own.
 * @template {CallOptions} T
 * @param {T} options
 * @returns {{ call: CallOptions, own: Omit<T, "signal" | "progress"> }}
 */
export function split({ signal, progress, ...own }) {
  return { call: { ...(signal && { signal }), ...(progress && { progress }) }, own };
}

/** Fails for options that do not exist. @param {string} what @param {object} own @param {readonly string[]} known */
export function known(what, own, known) {
  for (const name of Object.keys(own)) {
    if (!known.includes(name)) throw invalid(`${what}: there is no option ${name}; there are ${known.join(", ")}`);
  }
}

/**
 * Options in camelCase as the fields of a struct of the C ABI.
 * @param {string} struct
 * @param {Record<string, number | boolean | undefined>} options
 */
export function fieldsOf(struct, options) {
  const { fields } = STRUCTS[struct];
  /** @type {Record<string, number>} */
  const out = {};
  for (const [name, value] of Object.entries(options)) {
    const field = name.replace(/[A-Z]/g, (it) => `_${it.toLowerCase()}`);
    if (!(field in fields) || ["struct_size", "progress", "progress_user"].includes(field)) throw invalid(`there is no option ${name}`);
    if (value === undefined) continue;
    if (typeof value !== "number" && typeof value !== "boolean") throw invalid(`${name}: a number or a boolean is needed`);
    const [, kind] = fields[field];
    if (/^[ui]/.test(kind) && !(Number.isSafeInteger(Number(value)) && Number(value) >= 0)) throw invalid(`${name}: ${value} is no such number`);
    out[field] = Number(value);
  }
  return out;
}

/** One of several words. @param {string} what @param {string} word @param {Record<string, number>} words */
export function choice(what, word, words) {
  if (!Object.hasOwn(words, word)) throw invalid(`${what}: ${word} is none of ${Object.keys(words).join(", ")}`);
  return words[word];
}

/** @param {string} what @param {unknown} value */
export function count(what, value) {
  if (!Number.isSafeInteger(value) || Number(value) < 0) throw invalid(`${what}: ${String(value)} is no number of that kind`);
  return Number(value);
}

/** @param {string} what @param {unknown} list @returns {string[]} */
export function strings(what, list) {
  if (!Array.isArray(list) || list.some((it) => typeof it !== "string")) throw invalid(`${what}: an array of strings is needed`);
  return list;
}

/** @param {import("./types.js").OutputOptions} options @returns {import("./types.js").MaskOutputs} */
export function outputs({ threshold = 0, data = true, rle = false, logits = false, lowRes = false }) {
  return { threshold, data, rle, logits, lowRes };
}

export const OUTPUTS = /** @type {const} */ (["threshold", "data", "rle", "logits", "lowRes"]);

/** @param {import("./types.js").Prompt} prompt @returns {WirePrompt} */
export function wirePrompt(prompt) {
  known("prompt", prompt, ["points", "box", "mask"]);
  const points = (prompt.points ?? []).map((point) => {
    const isPair = Array.isArray(point);
    const { x, y, label = C.LABEL_FOREGROUND } = isPair ? { x: point[0], y: point[1] }
      : /** @type {import("./types.js").Point} */ (point);
    if (typeof x !== "number" || typeof y !== "number") throw invalid("points: x and y are needed");
    return /** @type {[number, number, number]} */ ([x, y, label]);
  });
  const { box } = prompt;
  if (box !== undefined && box.length !== 4) throw invalid("box: left, top, right and bottom are needed");
  const mask = prompt.mask instanceof Float32Array ? prompt.mask : prompt.mask?.lowRes;
  if (prompt.mask && !mask) throw invalid("mask: ask for lowRes when it is predicted");
  return { points, ...(box && { box: [...box] }), ...(mask && { mask }) };
}
