/** Vitrum in browsers and in Node: CLIP, SAM and SAM 2 in a worker, by WebAssembly. */
export { Clip } from "./clip.js";
export { Context } from "./context.js";
export { VitrumError } from "./errors.js";
export { Mask, MaskRecord, Rle, TrackedMask } from "./mask.js";
export { CACHE, clearCache, demo } from "./models.js";
export { Embedding, Prediction, Sam } from "./sam.js";
export { Tracker } from "./tracker.js";
export { Vectors } from "./vectors.js";

/**
 * @typedef {import("./types.js").CallOptions} CallOptions
 * @typedef {import("./types.js").EverythingOptions} EverythingOptions
 * @typedef {import("./types.js").FileSource} FileSource
 * @typedef {import("./types.js").Hit} Hit
 * @typedef {import("./types.js").ImageSource} ImageSource
 * @typedef {import("./types.js").LoadOptions} LoadOptions
 * @typedef {import("./types.js").ModelSource} ModelSource
 * @typedef {import("./types.js").OutputOptions} OutputOptions
 * @typedef {import("./types.js").Point} Point
 * @typedef {import("./types.js").PredictOptions} PredictOptions
 * @typedef {import("./types.js").Progress} Progress
 * @typedef {import("./types.js").Prompt} Prompt
 * @typedef {import("./types.js").RawImage} RawImage
 * @typedef {import("./types.js").TrackerOptions} TrackerOptions
 * @typedef {import("./types.js").VectorSource} VectorSource
 */
