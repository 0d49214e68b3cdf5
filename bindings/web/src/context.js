// A worker with the library in it, and the calls that wait for it.
import { C } from "./abi.js";
import { VitrumError, invalid } from "./errors.js";

/** @typedef {import("./types.js").CallOptions} CallOptions */
/** @typedef {{ resolve: (result: any) => void, reject: (error: unknown) => void, message: { id: number, method: string, params: any }, transfer: Transferable[], options: CallOptions, isSettled: boolean, discard?: (result: any) => void, onAbort?: () => void }} Call */
/** @typedef {{ postMessage(message: unknown, transfer?: readonly any[]): void, terminate(): unknown, ref?(): void, unref?(): void }} AnyWorker */

/** What a context may be asked for: fields of `vitrum_limits`. */
const LIMITS = /** @type {const} */ ({
  allowNonFinite: "allow_non_finite", pixels: "pixels", points: "points", objects: "objects", imageSize: "image_size",
  weightsBytes: "weights_bytes", scratchBytes: "scratch_bytes", idleScratchBytes: "idle_scratch_bytes",
});

/**
 * A worker in which models live and compute. Calls of one context run one after the other; those of several run at the same
 * time, on as many cores. Without a context of its own, a model goes to one that all share.
 */
export class Context {
  /**
   * @param {{
   *   wasm?: string | URL | WebAssembly.Module,
   *   limits?: Partial<Record<keyof typeof LIMITS, number>>,
   * }} [options] `wasm`: where `vitrum.wasm` is, if not beside the package's sources. `limits`: as in `vitrum_limits`.
   */
  constructor({ wasm, limits = {} } = {}) {
    /** @type {Call[]} */
    this.queue = [];
    /** @type {Call | null} */
    this.running = null;
    this.lastId = 0;
    /** Why there are no more calls. @type {VitrumError | null} */
    this.ended = null;
    /** Bytes of the module's memory after the last call. */
    this.memoryBytes = 0;
    /** Milliseconds that the last call took in the worker. */
    this.lastMilliseconds = 0;
    /** @type {AnyWorker | null} */
    this.worker = null;

    // Memory can be shared in Node, and in pages that are isolated from other origins.
    const isShared = typeof SharedArrayBuffer === "function" && (globalThis.crossOriginIsolated ?? true);
    const stop = isShared ? new SharedArrayBuffer(4) : null;
    /** The number of the call that is to stop. */
    this.stop = stop && new Int32Array(stop);

    const source = wasm instanceof WebAssembly.Module ? wasm : String(wasm ?? new URL("./vitrum.wasm", import.meta.url));
    const fields = Object.fromEntries(Object.entries(limits).map(([name, value]) => {
      const field = LIMITS[/** @type {keyof typeof LIMITS} */ (name)];
      if (!field) throw invalid(`limits: there is no ${name}`);
      return [field, value];
    }));
    /** @type {Promise<{ version: string, simd: boolean, memoryBytes: number }>} Version of the library, and whether it uses simd128. */
    this.ready = this.call("start", { source, limits: fields, stop });
    // Whoever calls gets the error, too.
    this.ready.catch((error) => this.end(error));
    void this.open();
  }

  /** Whether a call that runs can be stopped at once; otherwise it ends in its own time, and its result is dropped. */
  get stopsAtOnce() {
    return this.stop !== null;
  }

  /** The context of models that got none. */
  static get shared() {
    if (!shared || shared.ended) shared = new Context();
    return shared;
  }

  /** Ends the worker and everything in it. Calls that wait or run reject. */
  close() {
    this.end(new VitrumError(C.E_CANCELLED, "the context was closed"));
  }

  /** Frees scratch memory that is kept for the next call. WebAssembly's memory does not shrink: it is used again. */
  async trim() {
    await this.call("trim", {});
  }

  async open() {
    try {
      const url = new URL("./worker.js", import.meta.url);
      /** @type {AnyWorker} */
      let worker;
      if (typeof Worker === "function") {
        const web = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
        web.addEventListener("message", (event) => this.receive(event.data));
        web.addEventListener("error", (event) => this.fail(event.message || "the worker did not start"));
        worker = web;
      } else {
        const threads = "node:worker_threads";
        const node = new (await import(/* @vite-ignore */ threads)).Worker(url);
        node.on("message", (/** @type {any} */ message) => this.receive(message));
        node.on("error", (/** @type {Error} */ error) => this.fail(error.message));
        worker = node;
      }
      if (this.ended) worker.terminate();
      else this.worker = worker;
      this.next();
    } catch (error) {
      this.fail(error instanceof Error ? error.message : String(error));
    }
  }

  /** @param {string} message */
  fail(message) {
    this.end(new VitrumError(C.E_PANIC, `the worker ended: ${message}`));
  }

  /** @param {VitrumError} error */
  end(error) {
    if (this.ended) return;
    this.ended = error;
    this.worker?.terminate();
    this.worker = null;
    const calls = this.running ? [this.running, ...this.queue] : this.queue;
    this.running = null;
    this.queue = [];
    for (const call of calls) this.settle(call, () => call.reject(error));
  }

  /**
   * Runs a method in the worker.
   * @param {string} method
   * @param {Record<string, unknown>} params
   * @param {CallOptions & { transfer?: Transferable[], discard?: (result: any) => void }} [options] `discard` frees a result
   * that nobody waits for any more.
   * @returns {Promise<any>}
   */
  call(method, params, { transfer = [], discard, ...options } = {}) {
    return new Promise((resolve, reject) => {
      if (this.ended) return reject(this.ended);
      const { signal } = options;
      if (signal?.aborted) return reject(signal.reason);
      const message = { id: ++this.lastId, method, params: { ...params, reports: options.progress !== undefined } };
      /** @type {Call} */
      const call = { resolve, reject, message, transfer, options, isSettled: false, discard };
      call.onAbort = () => this.abort(call);
      signal?.addEventListener("abort", call.onAbort, { once: true });
      this.queue.push(call);
      this.next();
    });
  }

  /** @param {Call} call */
  abort(call) {
    if (call.isSettled) return;
    const reason = call.options.signal?.reason;
    const at = this.queue.indexOf(call);
    if (at >= 0) {
      this.queue.splice(at, 1);
    } else if (this.running === call) {
      if (this.stop) Atomics.store(this.stop, 0, call.message.id);
      this.worker?.postMessage({ abort: call.message.id });
    }
    this.settle(call, () => call.reject(reason));
  }

  /** @param {Call} call @param {() => void} tell */
  settle(call, tell) {
    if (call.isSettled) return;
    call.isSettled = true;
    // A signal may serve many calls.
    if (call.onAbort) call.options.signal?.removeEventListener("abort", call.onAbort);
    tell();
  }

  /** Sends the next call, if the worker is idle. */
  next() {
    if (this.running || !this.worker) return;
    const call = this.queue.shift();
    if (!call) {
      // An idle worker does not keep a program of Node alive.
      this.worker.unref?.();
      return;
    }
    this.worker.ref?.();
    this.running = call;
    try {
      this.worker.postMessage(call.message, call.transfer);
    } catch (error) {
      this.running = null;
      this.settle(call, () => call.reject(error));
      this.next();
    }
  }

  /** @param {any} message */
  receive(message) {
    const call = this.running;
    if (!call || call.message.id !== message.id) return;
    if (message.progress) {
      if (!call.isSettled) call.options.progress?.(message.progress);
      return;
    }
    this.running = null;
    if (message.error) {
      const { status, message: text } = message.error;
      const error = status === null ? new Error(text) : new VitrumError(status, text);
      this.settle(call, () => call.reject(error));
      if (message.broken) return this.end(/** @type {VitrumError} */ (error));
    } else {
      this.memoryBytes = message.memoryBytes;
      this.lastMilliseconds = message.milliseconds;
      if (call.isSettled) call.discard?.(message.result);
      else this.settle(call, () => call.resolve(message.result));
    }
    this.next();
  }
}

/** @type {Context | null} */
let shared = null;
