// Reads the files of a model, wherever they are. Runs in the worker, so that a page does not wait.
import { C } from "../abi.js";
import { VitrumError } from "../errors.js";

/** @typedef {{ name: string, from: Uint8Array | ArrayBuffer | Blob | string }} NamedSource */
/** @typedef {(loaded: number, total: number) => void} OnBytes */

/** What a directory may hold beside the weights. */
const SMALL = ["config.json", "preprocessor_config.json", "open_clip_config.json", "processor_config.json"];

/**
 * The files of a directory: what is there of a model's usual files. An address that ends in `.safetensors` is one file.
 * @param {string} address
 * @param {Reader} reader
 * @param {boolean} isClip
 * @returns {Promise<{ name: string, bytes: Uint8Array }[]>}
 */
export async function readAddress(address, reader, isClip) {
  const url = new URL(address);
  if (/\.safetensors$/.test(url.pathname)) {
    const name = decodeURIComponent(url.pathname.split("/").at(-1) ?? "model.safetensors");
    return [{ name, bytes: await reader.read({ name, from: address }) }];
  }
  if (!url.pathname.endsWith("/")) url.pathname += "/";
  /** @param {string} name */
  const at = (name) => ({ name, from: new URL(name, url).href });
  /** @type {{ name: string, bytes: Uint8Array }[]} */
  const found = [];
  /** @param {string} name */
  const optional = async (name) => {
    const bytes = await reader.find(at(name));
    if (bytes) found.push({ name, bytes });
    return bytes;
  };
  for (const name of SMALL.slice(0, 2)) await optional(name);
  if (found.length === 0) for (const name of SMALL.slice(2)) await optional(name);
  if (isClip) {
    const json = await optional("tokenizer.json");
    if (!json) for (const name of ["vocab.json", "merges.txt"]) await optional(name);
    await optional("tokenizer_config.json");
  }
  if (await optional("model.safetensors")) return found;
  const index = await reader.find(at("model.safetensors.index.json"));
  if (index) {
    /** @type {{ weight_map?: Record<string, string> }} */
    const { weight_map: map = {} } = JSON.parse(new TextDecoder().decode(index));
    for (const name of new Set(Object.values(map))) found.push({ name, bytes: await reader.read(at(name)) });
    return found;
  }
  if (await optional("open_clip_model.safetensors")) return found;
  throw new VitrumError(C.E_NOT_FOUND, `${url.href}: no model.safetensors there`);
}

export class Reader {
  /** @param {{ cache: string | null, signal: AbortSignal, onBytes: OnBytes }} options */
  constructor({ cache, signal, onBytes }) {
    this.cache = cache;
    this.signal = signal;
    this.onBytes = onBytes;
    this.loaded = 0;
    this.total = 0;
    /** @type {string[]} */
    this.warnings = [];
  }

  /** @param {number} more */
  advance(more) {
    this.loaded += more;
    this.onBytes(this.loaded, Math.max(this.total, this.loaded));
  }

  /** @param {NamedSource} source @returns {Promise<Uint8Array>} */
  async read(source) {
    const bytes = await this.find(source);
    if (!bytes) throw new VitrumError(C.E_NOT_FOUND, `${String(source.from)}: not found`);
    return bytes;
  }

  /** `null` if there is no such file. @param {NamedSource} source @returns {Promise<Uint8Array | null>} */
  async find({ from }) {
    this.signal.throwIfAborted();
    if (typeof from === "string") return from.startsWith("file:") ? this.fromDisk(from) : this.fetched(from);
    const bytes = from instanceof Uint8Array ? from : new Uint8Array(from instanceof Blob ? await from.arrayBuffer() : from);
    this.total += bytes.length;
    this.advance(bytes.length);
    return bytes;
  }

  /** @param {string} address */
  async fromDisk(address) {
    const [fs, url] = ["node:fs/promises", "node:url"];
    const { readFile } = await import(/* @vite-ignore */ fs);
    const { fileURLToPath } = await import(/* @vite-ignore */ url);
    try {
      const bytes = await readFile(fileURLToPath(address), { signal: this.signal });
      this.total += bytes.length;
      this.advance(bytes.length);
      return bytes;
    } catch (error) {
      const code = /** @type {NodeJS.ErrnoException} */ (error).code;
      if (code === "ENOENT" || code === "ENOTDIR") return null;
      this.signal.throwIfAborted();
      throw new VitrumError(C.E_IO, `${address}: ${/** @type {Error} */ (error).message}`);
    }
  }

  /** @param {string} address */
  async fetched(address) {
    const cache = this.cache !== null && /^https?:/.test(address) ? await this.opened(this.cache) : null;
    const known = await cache?.match(address);
    const response = known ?? (await this.response(address));
    if (response.status === 404 || response.status === 410) return null;
    if (!response.ok) throw new VitrumError(C.E_IO, `${address}: the server says ${response.status} ${response.statusText}`.trim());
    const bytes = await this.body(address, response);
    if (cache && !known) {
      try {
        const headers = { "content-type": "application/octet-stream", "content-length": String(bytes.length) };
        await cache.put(address, new Response(/** @type {BlobPart & Uint8Array<ArrayBuffer>} */ (bytes), { headers }));
      } catch (error) {
        this.warnings.push(`${address} was not kept for the next time: ${/** @type {Error} */ (error).message}`);
      }
    }
    return bytes;
  }

  /** `null` where there is no Cache Storage: in Node, and in pages that are not secure. @param {string} name */
  async opened(name) {
    if (typeof caches === "undefined") return null;
    try {
      return await caches.open(name);
    } catch (error) {
      this.warnings.push(`files are not kept for the next time: ${/** @type {Error} */ (error).message}`);
      return null;
    }
  }

  /** @param {string} address */
  async response(address) {
    try {
      return await fetch(address, { signal: this.signal });
    } catch (error) {
      this.signal.throwIfAborted();
      throw new VitrumError(C.E_IO, `${address}: ${/** @type {Error} */ (error).message}`);
    }
  }

  /** @param {string} address @param {Response} response */
  async body(address, response) {
    // Of a compressed body, the length is that of what travels.
    const told = response.headers.get("content-encoding") ? 0 : Number(response.headers.get("content-length") ?? 0);
    this.total += told;
    if (!response.body) return new Uint8Array(await response.arrayBuffer());
    // With its length known, the file is in memory once.
    let bytes = new Uint8Array(told || 1 << 16);
    let size = 0;
    const reader = response.body.getReader();
    for (;;) {
      this.signal.throwIfAborted();
      const { done, value } = await reader.read();
      if (done) break;
      if (size + value.length > bytes.length) {
        const larger = new Uint8Array(Math.max(2 * bytes.length, size + value.length));
        larger.set(bytes.subarray(0, size));
        bytes = larger;
      }
      bytes.set(value, size);
      size += value.length;
      this.advance(value.length);
    }
    if (told !== 0 && size !== told) throw new VitrumError(C.E_IO, `${address}: ${size} bytes came of ${told}`);
    return bytes.subarray(0, size);
  }
}
