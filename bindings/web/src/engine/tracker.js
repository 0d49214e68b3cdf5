// The tracker's functions, as the worker offers them.
import { C } from "../abi.js";
import { using_ } from "./module.js";
import { promptsOf } from "./prompts.js";

/** @typedef {import("./engine.js").Engine} Engine */
/** @typedef {import("./engine.js").Pixels} Pixels */
/** @typedef {import("../types.js").WirePrompt} WirePrompt */
/** @typedef {import("../types.js").WireTrackedMask} WireTrackedMask */
/** @typedef {import("../types.js").MaskOutputs} MaskOutputs */

/** `undefined` is the frame that was pushed last. @param {number | undefined} frame */
const frameOf = (frame) => BigInt(frame ?? C.FRAME_CURRENT);

/** @param {Engine} engine @param {number} pointer */
function tracker(engine, pointer) {
  const { module } = engine;
  return {
    id: engine.keep("tracker", pointer),
    width: module.run("tracker_width", pointer),
    height: module.run("tracker_height", pointer),
    frame: Number(module.run("tracker_frame", pointer)),
  };
}

/** @param {Engine} engine @param {{ sam: number, width: number, height: number, options: Record<string, number> }} params */
export function create(engine, { sam, width, height, options }) {
  const { module } = engine;
  return using_(module, (arena) => {
    const pointer = engine.handle(sam, "sam");
    const given = arena.struct("tracker_options", options);
    return tracker(engine, engine.created(arena, (out) =>
      module.call("tracker_new", pointer, width, height, given, out)));
  });
}

/** @param {Engine} engine @param {{ sam: number, bytes: Uint8Array }} params */
export function load(engine, { sam, bytes }) {
  const { module } = engine;
  return using_(module, (arena) => {
    const pointer = engine.handle(sam, "sam");
    const data = arena.bytes(bytes);
    return tracker(engine, engine.created(arena, (out) =>
      module.call("tracker_load", pointer, data, bytes.length, out)));
  });
}

/** @param {Engine} engine @param {{ tracker: number }} params */
export function save(engine, params) {
  const { module } = engine;
  return using_(module, (arena) => {
    const pointer = engine.handle(params.tracker, "tracker");
    return new Uint8Array(engine.collect(arena, 1, (...out) => module.call("tracker_save", pointer, ...out)));
  });
}

/** @param {Engine} engine @param {{ tracker: number, image: Pixels, frame?: number }} params */
export function push(engine, { tracker: id, image, frame }) {
  const { module } = engine;
  return using_(module, (arena) => {
    const pointer = engine.handle(id, "tracker");
    const pictures = engine.images(arena, [image]);
    const monitor = [module.run("web_progress"), 0];
    if (frame === undefined) module.call("tracker_push_frame", pointer, pictures, ...monitor, 0);
    else module.call("tracker_push_frame_at", pointer, BigInt(frame), pictures, ...monitor);
    return Number(module.run("tracker_frame", pointer));
  });
}

/**
 * @param {Engine} engine
 * @param {{ tracker: number, object: number, prompt: WirePrompt, frame?: number, keepEarlier: boolean }} params
 */
export function addPoints(engine, { tracker: id, object, prompt, frame, keepEarlier }) {
  const { module } = engine;
  using_(module, (arena) => {
    const pointer = engine.handle(id, "tracker");
    const options = arena.struct("tracker_prompt_options", { keep_earlier: Number(keepEarlier) });
    const prompts = promptsOf(arena, [prompt]);
    const monitor = [module.run("web_progress"), 0];
    module.call("tracker_add_points", pointer, frameOf(frame), object, prompts, options, ...monitor);
  });
}

/** @param {Engine} engine @param {{ tracker: number, object: number, mask: Uint8Array, width: number, height: number, frame?: number }} params */
export function addMask(engine, { tracker: id, object, mask, width, height, frame }) {
  const { module } = engine;
  using_(module, (arena) => {
    const pointer = engine.handle(id, "tracker");
    const monitor = [module.run("web_progress"), 0];
    module.call("tracker_add_mask", pointer, frameOf(frame), object, arena.bytes(mask), width, height, ...monitor);
  });
}

/** @param {Engine} engine @param {{ tracker: number, frame?: number, direction: number }} params */
export function step(engine, { tracker: id, frame, direction }) {
  const { module } = engine;
  const pointer = engine.handle(id, "tracker");
  const monitor = [module.run("web_progress"), 0];
  if (frame === undefined && direction === C.DIRECTION_FORWARD) {
    module.call("tracker_step", pointer, ...monitor);
  } else {
    const at = frame === undefined ? module.run("tracker_frame", pointer) : BigInt(frame);
    module.call("tracker_step_at", pointer, at, direction, ...monitor);
  }
}

/** The numbers of the objects. @param {Engine} engine @param {{ tracker: number }} params */
export function objects(engine, params) {
  const { module } = engine;
  return using_(module, (arena) => {
    const pointer = engine.handle(params.tracker, "tracker");
    return Array.from(new Uint32Array(
      engine.collect(arena, 4, (...out) => module.call("tracker_objects", pointer, ...out))));
  });
}

/**
 * The masks of all objects that have one on a frame.
 * @param {Engine} engine
 * @param {{ tracker: number, frame?: number, outputs: MaskOutputs }} params
 * @returns {WireTrackedMask[]}
 */
export function masks(engine, { tracker: id, frame, outputs }) {
  const { module } = engine;
  const pointer = engine.handle(id, "tracker");
  const at = frameOf(frame);
  const present = objects(engine, { tracker: id }).filter((object) => module.run("tracker_has_mask", pointer, object, at) === 1);
  return present.map((object) => using_(module, (arena) => {
    const { threshold } = outputs;
    const stats = arena.struct("tracker_stats");
    module.call("tracker_mask_stats", pointer, object, at, threshold, stats);
    /** @param {string} name @param {number} size @param {...number} args */
    const collected = (name, size, ...args) =>
      engine.collect(arena, size, (...out) => module.call(name, pointer, object, at, ...args, ...out));
    return {
      object,
      area: module.get("tracker_stats", stats, "area"),
      box: /** @type {[number, number, number, number]} */ (module.list("tracker_stats", stats, "bounding_box")),
      score: module.get("tracker_stats", stats, "score"),
      objectScore: module.get("tracker_stats", stats, "object_score"),
      data: outputs.data ? new Uint8Array(collected("tracker_mask", 1, threshold)) : undefined,
      counts: outputs.rle ? new Uint32Array(collected("tracker_rle", 4, threshold)) : undefined,
      logits: outputs.logits ? new Float32Array(collected("tracker_logits", 4)) : undefined,
      lowRes: outputs.lowRes ? new Float32Array(collected("tracker_low_res", 4)) : undefined,
    };
  }));
}

/** @param {Engine} engine @param {{ tracker: number, object: number, frame?: number }} params */
export function clearPrompts(engine, { tracker: id, object, frame }) {
  const pointer = engine.handle(id, "tracker");
  const at = frame === undefined ? engine.module.run("tracker_frame", pointer) : BigInt(frame);
  engine.module.call("tracker_clear_prompts", pointer, at, object);
}

/** @param {Engine} engine @param {{ tracker: number, object: number }} params */
export function removeObject(engine, { tracker: id, object }) {
  engine.module.call("tracker_remove_object", engine.handle(id, "tracker"), object);
}

/** @param {Engine} engine @param {{ tracker: number }} params */
export function reset(engine, params) {
  engine.module.call("tracker_reset", engine.handle(params.tracker, "tracker"));
}

/** @param {Engine} engine @param {{ tracker: number }} params */
export function memoryBytes(engine, params) {
  return engine.module.run("tracker_memory_bytes", engine.handle(params.tracker, "tracker")) >>> 0;
}
