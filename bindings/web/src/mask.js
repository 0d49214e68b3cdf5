// Masks, as values: nothing of them lives in the worker.
import { invalid } from "./errors.js";

/** @typedef {import("./types.js").Rectangle} Rectangle */

/** A mask as run lengths: of 0, of 1, of 0 and so on, down the columns from left to right, as COCO stores masks. */
export class Rle {
  /** @param {Uint32Array} counts @param {number} width @param {number} height */
  constructor(counts, width, height) {
    this.counts = counts;
    this.width = width;
    this.height = height;
  }

  /** The pixels: 1 in the mask, row after row. */
  toData() {
    const { width, height } = this;
    const data = new Uint8Array(width * height);
    let at = 0;
    this.counts.forEach((count, i) => {
      if (i % 2 === 1) for (let k = at; k < at + count; k++) data[(k % height) * width + Math.floor(k / height)] = 1;
      at += count;
    });
    return data;
  }

  /** The mask of pixels that are not 0. @param {ArrayLike<number>} data @param {number} width @param {number} height */
  static fromData(data, width, height) {
    const counts = [];
    let [value, run] = [0, 0];
    for (let x = 0; x < width; x++) {
      for (let y = 0; y < height; y++) {
        const pixel = data[y * width + x] ? 1 : 0;
        if (pixel !== value) {
          counts.push(run);
          [value, run] = [pixel, 0];
        }
        run++;
      }
    }
    counts.push(run);
    return new Rle(Uint32Array.from(counts), width, height);
  }

  /** COCO's compressed counts, for `{ size: [height, width], counts }`. */
  toCoco() {
    let text = "";
    this.counts.forEach((count, i) => {
      // From the fourth on, the difference to the count before the last.
      let rest = i > 2 ? count - this.counts[i - 2] : count;
      for (let more = true; more; ) {
        let bits = rest & 31;
        rest >>= 5;
        more = bits & 16 ? rest !== -1 : rest !== 0;
        if (more) bits |= 32;
        text += String.fromCharCode(bits + 48);
      }
    });
    return text;
  }

  /** From COCO's compressed counts. @param {string} text @param {number} width @param {number} height */
  static fromCoco(text, width, height) {
    /** @type {number[]} */
    const counts = [];
    for (let at = 0; at < text.length; ) {
      let [value, shift, bits] = [0, 0, 32];
      while (bits & 32) {
        bits = text.charCodeAt(at++) - 48;
        if (!(bits >= 0 && bits < 64) || shift > 30) throw invalid("these are no counts of COCO");
        value |= (bits & 31) << shift;
        shift += 5;
        if (!(bits & 32) && bits & 16 && shift < 32) value |= -1 << shift;
      }
      counts.push(counts.length > 2 ? value + counts[counts.length - 2] : value);
    }
    const filled = counts.reduce((sum, it) => sum + it, 0);
    if (filled !== width * height || counts.some((it) => it < 0)) throw invalid("these counts are not of a mask of this size");
    return new Rle(Uint32Array.from(counts), width, height);
  }
}

/** What all masks have. */
export class Mask {
  /** @param {import("./types.js").WireMask | import("./types.js").WireTrackedMask} wire @param {number} width @param {number} height */
  constructor(wire, width, height) {
    this.width = width;
    this.height = height;
    /** Pixels of the mask. */
    this.area = wire.area;
    /** Left, top, width and height of its box, in pixels. @type {Rectangle} */
    this.box = wire.box;
    /** The IoU with the object that the model predicts. */
    this.score = wire.score;
    /** The stability score: pixels above a logit of 1 over those above -1. NaN for tracked masks. */
    this.stability = "stability" in wire ? wire.stability : NaN;
    /** 1 in the mask, row after row; if it was asked for. */
    this.data = wire.data;
    this.rle = wire.counts && new Rle(wire.counts, width, height);
    /** Logits in the size of the picture; if they were asked for. */
    this.logits = wire.logits;
    /** Logits in the model's own resolution, for a later prompt; if they were asked for. */
    this.lowRes = wire.lowRes;
  }

  /** The pixels of the mask. */
  get pixels() {
    const data = this.data ?? this.rle?.toData();
    if (!data) throw invalid("neither the pixels nor the run lengths of this mask were asked for");
    return data;
  }

  /** The mask in one colour, transparent elsewhere. @param {readonly [number, number, number, number?]} color */
  toImageData([red, green, blue, alpha = 255]) {
    const image = new ImageData(this.width, this.height);
    // The colour's bytes in memory, whatever the order of the machine.
    const [color] = new Uint32Array(Uint8Array.of(red, green, blue, alpha).buffer);
    const out = new Uint32Array(image.data.buffer);
    this.pixels.forEach((value, i) => {
      if (value) out[i] = color;
    });
    return image;
  }

  /** The picture where the mask is, transparent elsewhere. @param {ImageData} picture */
  cutOut(picture) {
    if (picture.width !== this.width || picture.height !== this.height) throw invalid("the picture has another size than the mask");
    const image = new ImageData(this.width, this.height);
    const [from, to] = [new Uint32Array(picture.data.slice().buffer), new Uint32Array(image.data.buffer)];
    this.pixels.forEach((value, i) => {
      if (value) to[i] = from[i];
    });
    return image;
  }
}

/** A mask of an object that is followed. */
export class TrackedMask extends Mask {
  /** @param {import("./types.js").WireTrackedMask} wire @param {number} width @param {number} height */
  constructor(wire, width, height) {
    super(wire, width, height);
    /** The object's number. */
    this.object = wire.object;
    /** The logit of the probability that the object is visible. */
    this.objectScore = wire.objectScore;
  }
}

/** A mask that `everything` or `ground` found. */
export class MaskRecord {
  /** @param {any} wire */
  constructor(wire) {
    this.rle = new Rle(wire.counts, wire.width, wire.height);
    /** @type {number} */
    this.area = wire.area;
    /** Left, top, width and height; as in segment-anything, 1 less than `Mask.box` counts. @type {Rectangle} */
    this.box = wire.box;
    /** @type {Rectangle} */
    this.cropBox = wire.cropBox;
    /** The click that gave the mask. @type {[number, number]} */
    this.point = wire.point;
    /** @type {number} */
    this.predictedIou = wire.predictedIou;
    /** @type {number} */
    this.stabilityScore = wire.stabilityScore;
  }

  get width() {
    return this.rle.width;
  }

  get height() {
    return this.rle.height;
  }

  /** The pixels of the mask. */
  get pixels() {
    return this.rle.toData();
  }
}
