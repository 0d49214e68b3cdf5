// A worker with the library in it, and the calls that wait for it.
import { C } from "./abi.js";
import { VitrumError, invalid } from "./errors.js";

/** @typedef {import("./types.js").CallOptions} CallOptions */
/** @typedef {{ resolve: (result: any) => void, reject: (error: unknown) => void, message: { id: number, method: string, params: any }, transfer: Transferable[], options: CallOptions, isSettled: boolean, discard?: (result: any) => void, onAbort?: () => void }} Call */
/** @typedef {{ postMessage(message: unknown, transfer?: readonly any[]): void, terminate(): unknown, ref?(): void, unref?(): void }} AnyWorker */
/** What a context is about. @typedef {{ version: string, simd: boolean, threads: number, memoryBytes: number, warnings: readonly string[] }} About */

/** What a context may be asked for: fields of `vitrum_limits`. */
const LIMITS = /** @type {const} */ ({
  allowNonFinite: "allow_non_finite", pixels: "pixels", points: "points", objects: "objects", imageSize: "image_size",
  weightsBytes: "weights_bytes", scratchBytes: "scratch_bytes", idleScratchBytes: "idle_scratch_bytes",
});

/** Most threads of a context, as in `vitrum.h`. */
const MAX_THREADS = 1024;

/** Milliseconds after which a thread that has not started is a warning, and waited for no more. It may come later still. */
const START_WITHIN = 10_000;

/** Workers by the names of their files; bundlers look for exactly this. */
const WORKERS = {
  worker: () => new Worker(new URL("./worker.js", import.meta.url), { type: "module" }),
  thread: () => new Worker(new URL("./thread.js", import.meta.url), { type: "module" }),
};

/**
 * Opens a worker, in a browser or in Node.
 * @param {keyof typeof WORKERS} name
 * @param {(message: any) => void} receive
 * @param {(why: string) => void} fail
 * @returns {Promise<AnyWorker>}
 */
async function openWorker(name, receive, fail) {
  if (typeof Worker === "function") {
    const worker = WORKERS[name]();
    worker.addEventListener("message", (event) => receive(event.data));
    worker.addEventListener("error", (event) => fail(event.message || "the worker did not start"));
    return worker;
  }
  const threads = "node:worker_threads";
  const worker = new (await import(/* @vite-ignore */ threads)).Worker(new URL(`./${name}.js`, import.meta.url));
  worker.on("message", receive);
  worker.on("error", (/** @type {Error} */ error) => fail(error.message));
  worker.on("exit", () => fail("the worker ended"));
  return worker;
}

/**
 * A worker in which models live and compute, with further workers as threads where memory can be shared. Calls of one context run
 * one after the other; those of several run at the same time. Without a context of its own, a model goes to one that all share.
 */
export class Context {
  /**
   * @param {{
   *   wasm?: string | URL | WebAssembly.Module,
   *   limits?: Partial<Record<keyof typeof LIMITS, number>>,
   *   threads?: number,
   * }} [options] `wasm`: where `vitrum.wasm` is, if not beside the package's sources; a module that is compiled already has one
   * thread. `limits`: as in `vitrum_limits`. `threads`: how many work on a call, where memory can be shared; one for each core, and
   * at most 8, if it is not said.
   */
  constructor({ wasm, limits = {}, threads } = {}) {
    if (threads !== undefined && !(Number.isInteger(threads) && threads >= 1 && threads <= MAX_THREADS)) {
      throw invalid(`threads: ${threads} is not a number from 1 to ${MAX_THREADS}`);
    }
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
    /** Threads that work on a call: 1, and those that have come. */
    this.threads = 1;
    /** What was asked for and is not so, in words. @type {string[]} */
    this.warnings = [];
    /** @type {AnyWorker | null} */
    this.worker = null;
    /** The workers of further threads. @type {AnyWorker[]} */
    this.helpers = [];

    // Memory can be shared in Node, and in pages that are isolated from other origins.
    const isShared = typeof SharedArrayBuffer === "function" && (globalThis.crossOriginIsolated ?? true);
    const stop = isShared ? new SharedArrayBuffer(8) : null;
    /** The numbers of the call that is to stop, and of the one that runs. */
    this.stop = stop && new Int32Array(stop);

    const source = wasm instanceof WebAssembly.Module ? wasm : String(wasm ?? new URL("./vitrum.wasm", import.meta.url));
    const fields = Object.fromEntries(Object.entries(limits).map(([name, value]) => {
      const field = LIMITS[/** @type {keyof typeof LIMITS} */ (name)];
      if (!field) throw invalid(`limits: there is no ${name}`);
      return [field, value];
    }));
    /** @type {Promise<About>} Version of the library, whether it uses simd128, and its threads, when all have come. Calls need not wait for it. */
    this.ready = this.call("start", { source, limits: fields, stop, threads }).then((started) => this.gather(started));
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
      const worker = await openWorker("worker", (message) => this.receive(message), (why) => this.fail(why));
      if (this.ended) worker.terminate();
      else this.worker = worker;
      this.next();
    } catch (error) {
      this.fail(error instanceof Error ? error.message : String(error));
    }
  }

  /**
   * Starts the further threads.
   * @param {Omit<About, "threads"> & { team: import("./engine/engine.js").Team | null }} started
   * @returns {Promise<About>}
   */
  async gather({ team, warnings, ...about }) {
    this.warnings.push(...warnings);
    if (team) {
      const { stacks, ...place } = team;
      await Promise.all(stacks.map((stack) => this.startThread({ ...place, stack, stop: this.stop?.buffer })));
    }
    if (this.ended) throw this.ended;
    return { ...about, threads: this.threads, warnings: this.warnings };
  }

  /**
   * Starts a further thread. Calls do not wait for it; one that does not come is a warning, and one that ends later may have held
   * work, and so ends the context.
   * @param {Record<string, unknown>} place What `thread.js` needs.
   * @returns {Promise<void>}
   */
  startThread(place) {
    return new Promise((resolve) => {
      /** @type {AnyWorker | null} */
      let worker = null;
      let [isThere, isSettled] = [false, false];
      const settle = (/** @type {string | null} */ warning) => {
        if (isSettled) return;
        isSettled = true;
        clearTimeout(timer);
        if (warning && !this.ended) this.warnings.push(`a thread did not start: ${warning}`);
        worker?.unref?.(); // As an idle worker.
        resolve();
      };
      const fail = (/** @type {string} */ why) => {
        if (isThere) return this.fail(`a thread ended: ${why}`);
        settle(why);
        worker?.terminate();
      };
      const receive = (/** @type {{ error?: string }} */ { error }) => {
        if (error !== undefined) return fail(error);
        isThere = true;
        this.threads++;
        settle(null);
      };
      const timer = setTimeout(() => settle(`no answer within ${START_WITHIN / 1000} seconds`), START_WITHIN);
      openWorker("thread", receive, fail).then((opened) => {
        worker = opened;
        if (this.ended) return fail("the context ended");
        this.helpers.push(worker);
        worker.postMessage(place);
      }).catch((error) => fail(error instanceof Error ? error.message : String(error)));
    });
  }

  /** @param {string} message */
  fail(message) {
    this.end(new VitrumError(C.E_PANIC, `the worker ended: ${message}`));
  }

  /** @param {VitrumError} error */
  end(error) {
    if (this.ended) return;
    this.ended = error;
    for (const worker of [this.worker, ...this.helpers]) worker?.terminate();
    this.worker = null;
    this.helpers = [];
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
