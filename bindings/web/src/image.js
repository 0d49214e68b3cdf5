// Pictures of every kind as pixels for the library.
import { C } from "./abi.js";
import { VitrumError, invalid } from "./errors.js";

/** @typedef {import("./types.js").ImageSource} ImageSource */
/** @typedef {import("./engine/engine.js").Pixels} Pixels */

/** Format and bytes of a pixel by name. @type {Record<string, readonly [number, number]>} */
const FORMATS = {
  rgb: [C.PIXEL_RGB8, 3], bgr: [C.PIXEL_BGR8, 3], rgba: [C.PIXEL_RGBA8, 4], bgra: [C.PIXEL_BGRA8, 4], gray: [C.PIXEL_GRAY8, 1],
};

/**
 * Pixels in memory of their own, which can be moved to the worker.
 * @param {ImageSource} image
 * @returns {Promise<Pixels>}
 */
export async function toPixels(image) {
  if (typeof image !== "object" || image === null) throw invalid("a picture is needed: pixels, or something that can be drawn");
  if ("data" in image) return raw(image);
  if (image instanceof Blob) {
    const bitmap = await decoded(image);
    try {
      return raw(drawn(bitmap, bitmap.width, bitmap.height));
    } finally {
      bitmap.close();
    }
  }
  const { width, height } = sizeOf(image);
  return raw(drawn(image, width, height));
}

/** @param {ImageData | import("./types.js").RawImage} image @returns {Pixels} */
function raw(image) {
  const { data, width, height } = image;
  if (!(data instanceof Uint8Array || data instanceof Uint8ClampedArray)) throw invalid("data: a Uint8Array is needed");
  if (!(Number.isInteger(width) && Number.isInteger(height) && width > 0 && height > 0)) {
    throw new VitrumError(C.E_IMAGE, `a picture of ${width} x ${height} pixels`);
  }
  const { stride, format } = /** @type {import("./types.js").RawImage} */ (image);
  const [code, bytes] = FORMATS[format ?? guessed(data.length, width * height)] ?? [];
  if (code === undefined || bytes === undefined) throw invalid(`format: ${format} is none of ${Object.keys(FORMATS).join(", ")}`);
  const row = stride ?? width * bytes;
  const needed = (height - 1) * row + width * bytes;
  if (!Number.isInteger(row) || row < width * bytes || data.length < needed) {
    throw new VitrumError(C.E_IMAGE, `data: ${data.length} bytes, ${needed} needed for ${width} x ${height} pixels`);
  }
  return { data: new Uint8Array(data.subarray(0, needed)), width, height, stride: row, format: code };
}

/** @param {number} length @param {number} pixels */
function guessed(length, pixels) {
  const found = { 1: "gray", 3: "rgb", 4: "rgba" }[length / pixels];
  if (!found) throw new VitrumError(C.E_IMAGE, `data: ${length} bytes are neither grey, RGB nor RGBA of ${pixels} pixels`);
  return found;
}

/** @param {Blob} blob */
async function decoded(blob) {
  if (typeof createImageBitmap !== "function") {
    throw new VitrumError(C.E_UNSUPPORTED, "there is no decoder for pictures here: decode it, and give { data, width, height }");
  }
  try {
    return await createImageBitmap(blob, { imageOrientation: "from-image", premultiplyAlpha: "none" });
  } catch (error) {
    throw new VitrumError(C.E_IMAGE, `the browser cannot decode this picture: ${/** @type {Error} */ (error).message}`);
  }
}

/** Size in the picture's own pixels. @param {any} image */
function sizeOf(image) {
  const width = image.naturalWidth ?? image.videoWidth ?? image.displayWidth ?? image.width;
  const height = image.naturalHeight ?? image.videoHeight ?? image.displayHeight ?? image.height;
  if (!width || !height) throw new VitrumError(C.E_IMAGE, "the picture has no pixels yet: wait until it is loaded");
  return { width, height };
}

/** @param {CanvasImageSource} image @param {number} width @param {number} height @returns {ImageData} */
function drawn(image, width, height) {
  const canvas = typeof OffscreenCanvas === "function" ? new OffscreenCanvas(width, height)
    : Object.assign(document.createElement("canvas"), { width, height });
  const context = /** @type {CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D | null} */ (
    canvas.getContext("2d", { willReadFrequently: true }));
  if (!context) throw new VitrumError(C.E_OUT_OF_MEMORY, `no canvas of ${width} x ${height} pixels`);
  context.drawImage(image, 0, 0, width, height);
  return context.getImageData(0, 0, width, height);
}
