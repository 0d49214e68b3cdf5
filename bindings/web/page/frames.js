// A clip as frames: of an animated GIF, or of a video that the browser plays.
import { decodeGif, isGif } from "./gif.js";

/** Most frames, and the longest side, so that a long video does not fill the memory. */
export const MOST_FRAMES = 120;
const LONGEST_SIDE = 640;
/** Frames a second that are taken of a video. */
const RATE = 10;

/** @typedef {{ width: number, height: number, frames: { image: ImageData, seconds: number }[], isCut: boolean }} Clip */

/** @param {Blob} file @param {(fraction: number) => void} progress @returns {Promise<Clip>} */
export async function readClip(file, progress) {
  const head = new Uint8Array(await file.slice(0, 6).arrayBuffer());
  if (!isGif(head)) return readVideo(file, progress);
  const gif = decodeGif(new Uint8Array(await file.arrayBuffer()), MOST_FRAMES + 1);
  const { width, height } = gif;
  const frames = gif.frames.slice(0, MOST_FRAMES).map(({ data, seconds }) => ({
    image: new ImageData(/** @type {Uint8ClampedArray<ArrayBuffer>} */ (data), width, height), seconds,
  }));
  return { width, height, frames, isCut: gif.frames.length > MOST_FRAMES };
}

/** @param {Blob} file @param {(fraction: number) => void} progress @returns {Promise<Clip>} */
async function readVideo(file, progress) {
  const video = Object.assign(document.createElement("video"), { muted: true, playsInline: true, preload: "auto" });
  const url = URL.createObjectURL(file);
  try {
    await event(video, "loadeddata", () => (video.src = url));
    // Of a film that was recorded in a browser, the length is known when its end was sought.
    if (!Number.isFinite(video.duration)) await event(video, "durationchange", () => (video.currentTime = 1e7));
    const scale = Math.min(1, LONGEST_SIDE / Math.max(video.videoWidth, video.videoHeight));
    const [width, height] = [video.videoWidth, video.videoHeight].map((it) => Math.max(1, Math.round(it * scale)));
    const canvas = Object.assign(document.createElement("canvas"), { width, height });
    const context = canvas.getContext("2d", { willReadFrequently: true });
    if (!context || !width) throw new Error("this file has no pictures");
    const total = Number.isFinite(video.duration) ? Math.max(1, Math.floor(video.duration * RATE)) : 1;
    const count = Math.min(total, MOST_FRAMES);
    const frames = [];
    for (let i = 0; i < count; i++) {
      // In the middle of its time, where no rounding leads to a neighbour.
      await event(video, "seeked", () => (video.currentTime = Math.min((i + 0.5) / RATE, video.duration)));
      context.drawImage(video, 0, 0, width, height);
      frames.push({ image: context.getImageData(0, 0, width, height), seconds: 1 / RATE });
      progress((i + 1) / count);
    }
    return { width, height, frames, isCut: total > count };
  } finally {
    video.removeAttribute("src");
    video.load();
    URL.revokeObjectURL(url);
  }
}

/** @param {HTMLVideoElement} video @param {string} name @param {() => void} start @returns {Promise<void>} */
function event(video, name, start) {
  return new Promise((resolve, reject) => {
    const off = new AbortController();
    const { signal } = off;
    video.addEventListener(name, () => (off.abort(), resolve()), { signal });
    video.addEventListener("error", () => (off.abort(), reject(new Error("the browser cannot play this file"))), { signal });
    start();
  });
}
