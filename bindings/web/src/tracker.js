import { C } from "./abi.js";
import { invalid } from "./errors.js";
import { Handle } from "./handle.js";
import { toPixels } from "./image.js";
import { TrackedMask } from "./mask.js";
import { OUTPUTS, choice, count, fieldsOf, known, outputs, split, wirePrompt } from "./options.js";
import { bytesOf } from "./sam.js";

/** @typedef {import("./types.js").CallOptions} CallOptions */
/** @typedef {import("./types.js").ImageSource} ImageSource */
/** @typedef {import("./types.js").OutputOptions} OutputOptions */

const DIRECTIONS = { forward: C.DIRECTION_FORWARD, backward: C.DIRECTION_BACKWARD };

/**
 * Objects followed through one video with a SAM 2, in memory that does not grow with it. Frames are numbered from 0; the
 * caller chooses the numbers of objects. Where a `frame` is optional, it is the one pushed last.
 */
export class Tracker extends Handle {
  /** @param {import("./context.js").Context} context @param {any} tracker @internal */
  constructor(context, tracker) {
    super(context, tracker.id);
    /** Width of the frames. @type {number} */
    this.width = tracker.width;
    /** Height of the frames. @type {number} */
    this.height = tracker.height;
    /** The number of the frame pushed last; -1 before the first. @type {number} */
    this.frame = tracker.frame;
    /** Whether the current frame was pushed or prompted since it was tracked. @private */
    this._isPending = false;
  }

  /**
   * A tracker of a video whose frames have this size.
   * @param {import("./sam.js").Sam} sam
   * @param {{ width: number, height: number } & import("./types.js").TrackerOptions} options
   */
  static async create(sam, { width, height, ...options }) {
    const size = { width: count("width", width), height: count("height", height) };
    const params = { sam: sam.id, ...size, options: fieldsOf("tracker_options", options) };
    return new Tracker(sam.context, await sam.context.call("tracker.create", params));
  }

  /**
   * Restores what `save` wrote.
   * @param {import("./sam.js").Sam} sam
   * @param {Uint8Array | ArrayBuffer | Blob} bytes
   */
  static async load(sam, bytes) {
    const data = await bytesOf(bytes);
    return new Tracker(sam.context, await sam.context.call("tracker.load", { sam: sam.id, bytes: data }));
  }

  /** Bytes for a file; the restored tracker gives the same results. @returns {Promise<Uint8Array>} */
  async save() {
    return this.context.call("tracker.save", { tracker: this.id });
  }

  /**
   * Takes the next frame, or frame number `frame`, and returns its number; encodes it, once for all objects.
   * @param {ImageSource} image
   * @param {CallOptions & { frame?: number }} [options]
   * @returns {Promise<number>}
   */
  async push(image, options = {}) {
    const { call, own } = split(options);
    known("push", own, ["frame"]);
    const params = { tracker: this.id, ...frameOf(own) };
    const pixels = await toPixels(image);
    this.frame = await this.context.call("tracker.push", { ...params, image: pixels }, { ...call, transfer: [pixels.data.buffer] });
    this._isPending = true;
    return this.frame;
  }

  /**
   * Says by clicks, a box, or both where object number `object` is. The first prompt with a new number adds the object. Its
   * mask on this frame can be read at once; other frames change with the next step.
   * @param {number} object
   * @param {Pick<import("./types.js").Prompt, "points" | "box">} prompt
   * @param {CallOptions & { frame?: number, keepEarlier?: boolean }} [options] `keepEarlier`: clicks are added to earlier ones.
   */
  async addPoints(object, prompt, options = {}) {
    const { call, own } = split(options);
    known("addPoints", own, ["frame", "keepEarlier"]);
    const params = {
      tracker: this.id, object: count("object", object), prompt: wirePrompt(prompt), ...frameOf(own),
      keepEarlier: own.keepEarlier ?? false,
    };
    await this.context.call("tracker.addPoints", params, call);
    this._isPending = true;
  }

  /**
   * Says by a mask in the size of the frames where an object is: not 0 there.
   * @param {number} object
   * @param {Uint8Array | import("./mask.js").Mask} mask
   * @param {CallOptions & { frame?: number }} [options]
   */
  async addMask(object, mask, options = {}) {
    const { call, own } = split(options);
    known("addMask", own, ["frame"]);
    const pixels = mask instanceof Uint8Array ? mask : mask.pixels;
    const { width, height } = this;
    if (pixels.length !== width * height) throw invalid(`mask: ${width} x ${height} pixels are needed, not ${pixels.length}`);
    const params = { tracker: this.id, object: count("object", object), mask: pixels, width, height, ...frameOf(own) };
    await this.context.call("tracker.addMask", params, call);
    this._isPending = true;
  }

  /**
   * Follows all objects to the current frame, or to a held one, coming from either side.
   * @param {CallOptions & { frame?: number, direction?: "forward" | "backward" }} [options]
   */
  async step(options = {}) {
    const { call, own } = split(options);
    known("step", own, ["frame", "direction"]);
    const direction = choice("direction", own.direction ?? "forward", DIRECTIONS);
    await this.context.call("tracker.step", { tracker: this.id, ...frameOf(own), direction }, call);
    this._isPending = false;
  }

  /**
   * The masks of all objects that have one on a frame.
   * @param {CallOptions & OutputOptions & { frame?: number }} [options]
   * @returns {Promise<TrackedMask[]>}
   */
  async masks(options = {}) {
    const { call, own } = split(options);
    known("masks", own, [...OUTPUTS, "frame"]);
    const params = { tracker: this.id, ...frameOf(own), outputs: outputs(own) };
    const found = await this.context.call("tracker.masks", params, call);
    return found.map((/** @type {any} */ mask) => new TrackedMask(mask, this.width, this.height));
  }

  /**
   * Follows all objects through the frames after the current one: the number of each and its masks. The current one is
   * tracked and comes first if it was pushed or prompted since the last step. Objects can be added and corrected between two
   * frames.
   * @param {Iterable<ImageSource> | AsyncIterable<ImageSource>} frames
   * @param {{ signal?: AbortSignal } & OutputOptions} [options]
   * @returns {AsyncGenerator<{ frame: number, masks: TrackedMask[] }, void, void>}
   */
  async *track(frames, options = {}) {
    const { signal, ...wanted } = options;
    const call = signal ? { signal } : {};
    if (this._isPending) {
      await this.step(call);
      yield { frame: this.frame, masks: await this.masks({ ...wanted, ...call }) };
    }
    for await (const image of frames) {
      await this.push(image, call);
      await this.step(call);
      yield { frame: this.frame, masks: await this.masks({ ...wanted, ...call }) };
    }
  }

  /** The numbers of the objects, in the order in which they were added. @returns {Promise<number[]>} */
  async objects() {
    return this.context.call("tracker.objects", { tracker: this.id });
  }

  /** Bytes of memory that the tracker occupies now. @returns {Promise<number>} */
  async memoryBytes() {
    return this.context.call("tracker.memoryBytes", { tracker: this.id });
  }

  /** Takes back what was said about an object on a frame. @param {number} object @param {{ frame?: number }} [options] */
  async clearPrompts(object, options = {}) {
    await this.context.call("tracker.clearPrompts", { tracker: this.id, object: count("object", object), ...frameOf(options) });
  }

  /** Forgets an object. @param {number} object */
  async removeObject(object) {
    await this.context.call("tracker.removeObject", { tracker: this.id, object: count("object", object) });
  }

  /** Forgets all objects and their prompts. Frames stay held. */
  async reset() {
    await this.context.call("tracker.reset", { tracker: this.id });
  }
}

/** @param {{ frame?: number }} own */
function frameOf({ frame }) {
  return frame === undefined ? {} : { frame: count("frame", frame) };
}
