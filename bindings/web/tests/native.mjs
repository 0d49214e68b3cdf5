// What the native command says of the same files, and readers for what tests compare.
import { execFileSync } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { PNG } from "pngjs";
import { Rle } from "vitrum";
import { decodeGif } from "./gif.js";

/** The command, and the directory `demo` of the repository. */
export const command = process.env.VITRUM_COMMAND ?? "";
export const demo = process.env.VITRUM_DEMO ?? "";
if (!command || !demo) throw new Error("VITRUM_COMMAND and VITRUM_DEMO are needed: run bindings/web/check");

export const picturePath = (/** @type {string} */ name) => join(demo, "images", name);

/** What the command prints. @param {...string} args */
export function vitrum(...args) {
  return execFileSync(command, args, { encoding: "utf8", maxBuffer: 1 << 26, stdio: ["ignore", "pipe", "pipe"] });
}

/** Its JSON objects, one a line. @param {...string} args @returns {any[]} */
export function json(...args) {
  return vitrum(...args, "--json").trim().split("\n").map((line) => JSON.parse(line));
}

/** RGBA of a PNG. @param {string} path */
export async function png(path) {
  const { data, width, height } = PNG.sync.read(await readFile(path));
  return { data: new Uint8Array(data), width, height };
}

/** @param {string} name */
export const picture = (name) => png(picturePath(name));

/** The frames of the demo's clip. */
export async function clip() {
  return decodeGif(await readFile(join(demo, "clips", "tree.gif")));
}

/** The pixels of COCO's `segmentation`. @param {{ size: [number, number], counts: string }} segmentation */
export function pixelsOf({ size: [height, width], counts }) {
  return Rle.fromCoco(counts, width, height).toData();
}

/** Intersection over union. @param {ArrayLike<number>} a @param {ArrayLike<number>} b */
export function iou(a, b) {
  if (a.length !== b.length) throw new Error(`${a.length} and ${b.length} pixels`);
  let [both, either] = [0, 0];
  for (let i = 0; i < a.length; i++) {
    if (a[i] && b[i]) both++;
    if (a[i] || b[i]) either++;
  }
  return either === 0 ? 1 : both / either;
}

/** The programs in a page of documentation. @param {string} text */
export function programsOf(text) {
  return [...text.matchAll(/^```js\n([\s\S]*?)^```$/gm)].map(([, program]) => program);
}

/** The floats of an array in NumPy's format. @param {Buffer} bytes */
export function npy(bytes) {
  const header = bytes.subarray(10, 10 + bytes.readUInt16LE(8)).toString("latin1");
  if (!header.includes("'<f4'")) throw new Error(`floats are needed: ${header}`);
  const body = bytes.subarray(10 + bytes.readUInt16LE(8));
  return new Float32Array(body.buffer.slice(body.byteOffset, body.byteOffset + body.length));
}
