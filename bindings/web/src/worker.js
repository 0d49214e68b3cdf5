// The worker: receives calls one after the other, runs them with the library, and sends results back.
import { C } from "./abi.js";
import * as clip from "./engine/clip.js";
import { Engine } from "./engine/engine.js";
import { Arena } from "./engine/module.js";
import * as sam from "./engine/sam.js";
import { Reader, readAddress } from "./engine/sources.js";
import * as tracker from "./engine/tracker.js";
import * as vectors from "./engine/vectors.js";
import { VitrumError } from "./errors.js";
import { connect } from "./port.js";

/** @typedef {{ id: number, method: string, params: any }} Request */

/** Functions of the engine by name. @type {Record<string, Record<string, (engine: Engine, params: any) => unknown>>} */
const METHODS = { clip, sam, tracker, vectors };

/** Milliseconds between two reports of a call. */
const REPORT_EVERY = 40;

/** Threads that nobody has asked for, at most: cores beyond are mostly slow ones, or halves. */
const MOST_THREADS = 8;

/** @type {Engine | null} */
let engine = null;
/** Where memory can be shared: the numbers of the call that is to stop, and of the one that runs. @type {Int32Array | null} */
let stop = null;
/** For what can be stopped while it waits. @type {{ id: number, controller: AbortController } | null} */
let waiting = null;

/** @param {{ source: WebAssembly.Module | string, limits: Record<string, number>, stop: SharedArrayBuffer | null, threads?: number }} params */
async function start({ source, limits, stop: calls, threads }) {
  stop = calls && new Int32Array(calls);
  const warnings = [];
  // A module that is compiled already is one for memory that is not shared.
  const canShare = stop !== null && typeof source === "string";
  const wanted = threads ?? Math.min(await cores(), MOST_THREADS);
  if (threads !== undefined && threads > 1 && !canShare) {
    warnings.push(`one thread, not ${threads}: ${stop === null ? "memory cannot be shared here" : "the module is compiled already"}`);
  }
  const reader = new Reader({ cache: null, signal: new AbortController().signal, onBytes: () => {} });
  const module = typeof source === "string" ? await reader.read({ name: "wasm", from: source }) : source;
  engine = await Engine.start(module, limits, canShare ? wanted : 1);
  if (canShare && wanted > 1 && engine.team === null) warnings.push(`one thread, not ${wanted}: there is no memory that can be shared`);
  return { ...engine.about(), team: engine.team, warnings };
}

/** Cores that this program may use. @returns {Promise<number>} */
async function cores() {
  if (typeof navigator === "object") return navigator.hardwareConcurrency;
  const os = "node:os";
  return (await import(/* @vite-ignore */ os)).availableParallelism();
}

/** @param {Request} request */
async function load({ id, method, params }) {
  const running = /** @type {Engine} */ (engine);
  const controller = new AbortController();
  waiting = { id, controller };
  const report = (/** @type {number} */ loaded, /** @type {number} */ total) =>
    send({ id, progress: { stage: "download", fraction: total ? loaded / total : 0, loadedBytes: loaded, totalBytes: total } });
  const reader = new Reader({ cache: params.cache, signal: controller.signal, onBytes: throttled(report) });
  const isClip = method === "clip.load";
  const { module } = running;
  const arena = new Arena(module);
  try {
    /** @type {import("./types.js").LoadedFile[]} */
    const files = [];
    /** @param {string} name @param {Uint8Array} bytes */
    const keep = (name, bytes) => files.push({ name, start: arena.bytes(bytes), size: bytes.length });
    if (params.address !== undefined) {
      for (const { name, bytes } of await readAddress(params.address, reader, isClip)) keep(name, bytes);
    } else {
      // One after the other, so that only one of them is outside of the module's memory.
      for (const source of params.sources) keep(source.name, await reader.read(source));
    }
    report(reader.loaded, reader.loaded);
    const model = (isClip ? clip : sam).load(running, { files, options: params.options });
    return { ...model, warnings: [...model.warnings, ...reader.warnings] };
  } finally {
    waiting = null;
    arena.free();
  }
}

/** @param {Request} request */
async function run(request) {
  const { id, method, params } = request;
  if (method === "start") return start(params);
  if (!engine) throw new VitrumError(C.E_INVALID_ARGUMENT, "the context was not started");
  if (stop) Atomics.store(stop, 1, id);
  const report = throttled((/** @type {number} */ fraction) => send({ id, progress: { stage: "compute", fraction } }));
  engine.module.callbacks.progress = (fraction) => {
    if (params?.reports) report(fraction);
    return stop !== null && Atomics.load(stop, 0) === id;
  };
  switch (method) {
    case "free": return params.ids.forEach((/** @type {number} */ it) => engine?.free(it));
    case "trim": return engine.trim();
    case "about": return engine.about();
    case "clip.load":
    case "sam.load": return load(request);
  }
  const [group, name] = method.split(".");
  return METHODS[group][name](engine, params);
}

/** Calls `body` at most every `REPORT_EVERY` milliseconds. @template {unknown[]} A @param {(...args: A) => void} body */
function throttled(body) {
  let last = -Infinity;
  return (/** @type {A} */ ...args) => {
    const now = performance.now();
    if (now - last < REPORT_EVERY) return;
    last = now;
    body(...args);
  };
}

/** Sends a message; buffers in it are moved, not copied. @param {Record<string, unknown>} message */
function send(message) {
  port.postMessage(message, buffersIn(message.result, new Set()));
}

/** @param {unknown} value @param {Set<ArrayBuffer>} found @returns {ArrayBuffer[]} */
function buffersIn(value, found) {
  if (value instanceof ArrayBuffer) found.add(value);
  else if (ArrayBuffer.isView(value)) found.add(/** @type {ArrayBuffer} */ (value.buffer));
  else if (value && typeof value === "object") for (const it of Object.values(value)) buffersIn(it, found);
  return [...found];
}

/** @param {Request | { abort: number }} message */
async function receive(message) {
  if ("abort" in message) {
    if (waiting?.id === message.abort) waiting.controller.abort();
    return;
  }
  const { id } = message;
  try {
    const begin = performance.now();
    const result = await run(message);
    send({ id, result, milliseconds: performance.now() - begin, memoryBytes: engine?.module.memoryBytes ?? 0 });
  } catch (error) {
    const { name, message: text } = error instanceof Error ? error : { name: "Error", message: String(error) };
    const cancelled = name === "AbortError";
    const status = error instanceof VitrumError ? error.status : cancelled ? C.E_CANCELLED : null;
    send({ id, error: { status, message: text }, broken: engine?.module.broken !== null && engine !== null });
  }
}

const port = await connect(receive);
