// The models of the page: the demo's, or those of the user's files, each loaded when it is first needed.
import { Clip, Context, Sam, demo } from "./vitrum/src/index.js";

/** @typedef {"clip" | "sam" | "sam2"} Kind */
/** @typedef {import("./vitrum/src/types.js").Progress} Progress */

export const ABOUT = {
  clip: {
    demo: "Demo CLIP", note: "knows emoji and nothing else; for photographs, use a published one.",
    help: "model.safetensors, config.json, preprocessor_config.json and tokenizer.json of a CLIP, as they are published. ViT-B/32 takes 1.2 GB of memory and about a second for a picture.",
  },
  sam: {
    demo: "Demo SAM", note: "was trained on emoji; for photographs, use a published one.",
    help: "model.safetensors, config.json and preprocessor_config.json of a SAM or SAM 2: SlimSAM, MobileSAM, SAM 2.1 tiny. The large ones take a minute for a picture here: encode it elsewhere, and load the embedding.",
  },
  sam2: {
    demo: "Demo SAM 2.1", note: "was trained on emoji clips; for films, use a published one.",
    help: "model.safetensors, config.json and preprocessor_config.json of a SAM 2 or 2.1 for videos, such as tiny.",
  },
};

/** Clicks and words wait for each other; a clip that is followed does not make them wait. */
export const contexts = { pictures: new Context(), clips: new Context() };

/** @type {Map<Kind, Promise<Clip | Sam>>} */
const loaded = new Map();
/** @type {Map<Kind, File[]>} */
const files = new Map();

/** @param {Kind} kind */
export const isOwn = (kind) => files.has(kind);

/** The name of the model in use. @param {Kind} kind */
export function nameOf(kind) {
  const own = files.get(kind)?.find(({ name }) => name.endsWith(".safetensors"));
  return own ? own.name : ABOUT[kind].demo;
}

/**
 * The model, loaded; the first time `progress` hears how far that is.
 * @param {Kind} kind
 * @param {(progress: Progress) => void} progress
 * @returns {Promise<any>}
 */
export function model(kind, progress) {
  const known = loaded.get(kind);
  if (known) return known;
  const context = kind === "sam2" ? contexts.clips : contexts.pictures;
  const source = files.get(kind) ?? demo(kind);
  // Of this page's own server: its files are kept by the service worker.
  const options = { context, progress, cache: false };
  const loading = kind === "clip" ? Clip.load(source, options) : Sam.load(source, options);
  loaded.set(kind, loading);
  loading.catch(() => loaded.delete(kind));
  return loading;
}

/** The model if it is loaded. @param {Kind} kind @returns {Promise<any> | null} */
export const modelIfLoaded = (kind) => loaded.get(kind) ?? null;

/** Uses other files from now on, or the demo's again. @param {Kind} kind @param {File[] | null} own */
export function useFiles(kind, own) {
  const before = loaded.get(kind);
  loaded.delete(kind);
  if (own) files.set(kind, own);
  else files.delete(kind);
  before?.then((it) => it.close()).catch(() => {});
}
