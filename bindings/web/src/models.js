// Loading a model: its files, wherever they are.
import { C } from "./abi.js";
import { Context } from "./context.js";
import { invalid } from "./errors.js";
import { choice, known, split } from "./options.js";

/** @typedef {import("./types.js").ModelSource} ModelSource */
/** @typedef {import("./types.js").FileSource} FileSource */
/** @typedef {import("./types.js").LoadOptions} LoadOptions */

/** Where files that were fetched are kept. */
export const CACHE = "vitrum-models";

const WEIGHTS = {
  f32: C.WEIGHTS_F32, f16: C.WEIGHTS_F16, bf16: C.WEIGHTS_BF16, int8: C.WEIGHTS_INT8, q4: C.WEIGHTS_Q4,
};

/**
 * Loads a model in the worker.
 * @param {"clip" | "sam"} kind
 * @param {ModelSource} source
 * @param {LoadOptions & Record<string, any>} given
 * @param {Record<string, number>} [more] Further fields of the options struct.
 */
export async function loadModel(kind, source, given, more = {}) {
  const { call, own } = split(given);
  known(`${kind} options`, own, ["weights", "lenient", "cache", "context"]);
  const { weights, lenient = false, cache = true, context = Context.shared } = own;
  const options = { lenient: Number(lenient), ...(weights && { weights: choice("weights", weights, WEIGHTS) }), ...more };
  const where = await filesOf(source);
  const name = cache === true ? CACHE : cache === false ? null : cache;
  const model = await context.call(`${kind}.load`, { ...where, options, cache: name }, {
    ...call,
    discard: (/** @type {{ id: number }} */ { id }) => void context.call("free", { ids: [id] }).catch(() => {}),
  });
  return { context, model };
}

/** @param {ModelSource} source */
async function filesOf(source) {
  if (typeof source === "string" || source instanceof URL) return { address: await absolute(source) };
  if (typeof source !== "object" || source === null) throw invalid("a model is an address, files, or files by name");
  if (Symbol.iterator in source || typeof (/** @type {any} */ (source).length) === "number") {
    const files = Array.from(/** @type {ArrayLike<File>} */ (source));
    return { sources: files.map((file) => ({ name: file.name, from: file })) };
  }
  const files = Object.entries(/** @type {Record<string, FileSource>} */ (source));
  return {
    sources: await Promise.all(files.map(async ([name, from]) => ({
      name, from: typeof from === "string" || from instanceof URL ? await absolute(from) : from,
    }))),
  };
}

/** An address with its scheme; in Node, a path becomes one. @param {string | URL} address */
async function absolute(address) {
  const text = String(address);
  if (/^[a-z][a-z\d+.-]+:/i.test(text)) return text;
  if (typeof location === "object") return new URL(text, globalThis.document?.baseURI ?? location.href).href;
  const url = "node:url";
  const { pathToFileURL } = await import(/* @vite-ignore */ url);
  return pathToFileURL(text).href;
}

/** Removes fetched files from the browser's storage. @param {string} [cache] The cache's name. */
export async function clearCache(cache = CACHE) {
  if (typeof caches !== "undefined") await caches.delete(cache);
}

/**
 * The files of a model in this package, for `load`: small ones that know emoji and nothing else.
 * @param {"clip" | "sam" | "sam2"} name
 * @returns {Record<string, URL>}
 */
export function demo(name) {
  switch (name) {
    case "clip":
      return {
        "config.json": new URL("../demo/clip-nano/config.json", import.meta.url),
        "preprocessor_config.json": new URL("../demo/clip-nano/preprocessor_config.json", import.meta.url),
        "tokenizer.json": new URL("../demo/clip-nano/tokenizer.json", import.meta.url),
        "model.safetensors": new URL("../demo/clip-nano/model.safetensors", import.meta.url),
      };
    case "sam":
      return {
        "config.json": new URL("../demo/sam-nano/config.json", import.meta.url),
        "preprocessor_config.json": new URL("../demo/sam-nano/preprocessor_config.json", import.meta.url),
        "model.safetensors": new URL("../demo/sam-nano/model.safetensors", import.meta.url),
      };
    case "sam2":
      return {
        "config.json": new URL("../demo/sam2-nano/config.json", import.meta.url),
        "preprocessor_config.json": new URL("../demo/sam2-nano/preprocessor_config.json", import.meta.url),
        "model.safetensors": new URL("../demo/sam2-nano/model.safetensors", import.meta.url),
      };
    default:
      throw invalid(`demo: ${String(name)} is none of clip, sam, sam2`);
  }
}
