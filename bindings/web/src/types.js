// Types without code: what the files of this package hand each other, and what callers give.

/** A file of a model in the module's memory. @typedef {{ name: string, start: number, size: number }} LoadedFile */

/** A prompt on its way to the worker: points are x, y and label. @typedef {{ points: [number, number, number][], box?: [number, number, number, number], mask?: Float32Array }} WirePrompt */

/** Left, top, width and height in pixels. @typedef {[number, number, number, number]} Rectangle */

/**
 * A mask on its way from the worker.
 * @typedef {{
 *   area: number, box: Rectangle, score: number, stability: number, data?: Uint8Array, counts?: Uint32Array,
 *   logits?: Float32Array, lowRes?: Float32Array,
 * }} WireMask
 */

/** A tracked one. @typedef {Omit<WireMask, "stability"> & { object: number, objectScore: number }} WireTrackedMask */

/** What is sent of a mask. @typedef {{ threshold: number, data: boolean, rle: boolean, logits: boolean, lowRes: boolean }} MaskOutputs */

/** Vectors on their way to the worker. @typedef {{ values?: Float32Array<ArrayBuffer>, codes?: Int8Array<ArrayBuffer>, scales?: Float32Array<ArrayBuffer>, count: number, dim: number }} WireVectors */

/** How much is done: bytes of files while they are read, then the fraction of the call. @typedef {{ stage: "download" | "compute", fraction: number, loadedBytes?: number, totalBytes?: number }} Progress */

/**
 * What every call takes.
 * @typedef {{
 *   signal?: AbortSignal,
 *   progress?: (progress: Progress) => void,
 * }} CallOptions
 */

/**
 * Pixels of 8 bits a channel. Without `format` it is RGBA, RGB or grey by the length of `data`; without `stride`, rows
 * follow each other without gaps.
 * @typedef {{
 *   data: Uint8Array | Uint8ClampedArray, width: number, height: number, stride?: number,
 *   format?: "rgb" | "bgr" | "rgba" | "bgra" | "gray",
 * }} RawImage
 */

/**
 * A picture: pixels, something that a browser can draw, or a file that it can decode. As everywhere in the library,
 * transparency is dropped; a browser has made what is fully transparent black before.
 * @typedef {ImageData | RawImage | Blob | ImageBitmap | HTMLImageElement | HTMLCanvasElement | OffscreenCanvas
 *   | HTMLVideoElement | VideoFrame} ImageSource
 */

/** A file of a model: its bytes, or where they are. @typedef {ArrayBuffer | Uint8Array | Blob | URL | string} FileSource */

/**
 * Where a model is: the address of a directory in Hugging Face's layout or of a `.safetensors` file (in Node also a path);
 * files with names, as an `<input type="file" multiple>` gives them; or contents or addresses by file name.
 * @typedef {string | URL | Iterable<File> | ArrayLike<File> | Record<string, FileSource>} ModelSource
 */

/**
 * @typedef {{
 *   weights?: "f32" | "f16" | "bf16" | "int8" | "q4",
 *   lenient?: boolean,
 *   cache?: boolean | string,
 *   context?: import("./context.js").Context,
 * }} LoadOptionsOnly
 * `weights`: the format that they are kept in. `lenient`: load a model even if parts of its files are not understood.
 * `cache`: whether files that are fetched are kept in the browser's Cache Storage and taken from there (by default they
 * are), or the name of the cache. `context`: where the model lives and computes.
 */
/** @typedef {CallOptions & LoadOptionsOnly} LoadOptions */

/** A click in pixels of the picture: on the object, unless `label` is 0. @typedef {{ x: number, y: number, label?: 0 | 1 | -1 }} Point */

/**
 * What is looked for: clicks, a box (left, top, right, bottom), the `lowRes` of an earlier mask, or several of these.
 * @typedef {{ points?: readonly (Point | readonly [number, number])[], box?: readonly [number, number, number, number],
 *   mask?: Float32Array | { lowRes?: Float32Array } }} Prompt
 */

/**
 * What is wanted of masks. `threshold`: the logit above which a pixel belongs to the mask, 0. `data`: the pixels, true.
 * `rle`: run lengths, `logits`: in the size of the picture, `lowRes`: in the model's own resolution, for a prompt; false.
 * @typedef {Partial<MaskOutputs>} OutputOptions
 */

/**
 * @typedef {CallOptions & OutputOptions & {
 *   multimask?: boolean, only?: "best" | "all", maxHoleArea?: number, maxSprinkleArea?: number,
 * }} PredictOptions
 * `multimask`: three masks for a prompt that may mean a part or the whole, the default. `only`: whether all of them are
 * sent, the default, or the one with the highest score. `maxHoleArea`, `maxSprinkleArea`: holes and islands up to this
 * area, in values of the low-resolution mask, are filled and removed.
 */

/**
 * How `everything` finds masks: the names and defaults are those of segment-anything's `SamAutomaticMaskGenerator`, or the
 * model's own.
 * @typedef {{
 *   pointsPerSide?: number, pointsPerBatch?: number, cropNLayers?: number, cropNPointsDownscaleFactor?: number,
 *   minMaskRegionArea?: number, predIouThresh?: number, stabilityScoreThresh?: number, stabilityScoreOffset?: number,
 *   boxNmsThresh?: number, cropNmsThresh?: number, cropOverlapRatio?: number, useM2m?: boolean, singleMask?: boolean,
 * }} EverythingOptions
 */

/**
 * How a tracker behaves; defaults are those of sam2's video predictor.
 * @typedef {{
 *   maxObjects?: number, maxPromptedFrames?: number, heldFrames?: number, numFrames?: number, fillHoleArea?: number,
 *   bothDirections?: boolean, nonOverlapOutput?: boolean, nonOverlapMemory?: boolean, binarizeClickedMasks?: boolean,
 *   correctionsAreConditioning?: boolean, clearMemoryAroundInput?: boolean, dynamicMultimaskViaStability?: boolean,
 * }} TrackerOptions
 */

/** Vectors to search: a list, an array with one after the other, or 8-bit integers with a scale for each vector. @typedef {readonly Float32Array[] | Float32Array | { codes: Int8Array, scales: Float32Array }} VectorSource */

/** A vector that was found: which one, counted from 0, and its dot product with the query. @typedef {{ index: number, score: number }} Hit */

export {};
