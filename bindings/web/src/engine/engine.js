// What runs in the worker: a context of the library, and handles to what was made with it, told by numbers.
import { C } from "../abi.js";
import { invalid } from "../errors.js";
import { Arena, Module, using_ } from "./module.js";

/** @typedef {import("./module.js").Value} Value */
/** @typedef {"clip" | "sam" | "sam_embedding" | "tracker" | "vectors"} Kind */
/** Pixels on their way to the library. @typedef {{ data: Uint8Array, width: number, height: number, stride: number, format: number }} Pixels */

/** What another thread needs: its stack is one of these. @typedef {{ module: WebAssembly.Module, memory: WebAssembly.Memory, stacks: number[] }} Team */

/** Bytes of a thread's stack, as much as the first thread has. */
const STACK = 1 << 20;

export class Engine {
  /** @param {Module} module */
  constructor(module) {
    this.module = module;
    /** @type {Map<number, { kind: Kind, pointer: number, free: () => void }>} */
    this.handles = new Map();
    this.lastId = 0;
    this.context = 0;
    /** What the other threads need, if there are to be any. @type {Team | null} */
    this.team = null;
  }

  /**
   * @param {WebAssembly.Module | Uint8Array<ArrayBuffer>} source
   * @param {Record<string, number>} limits Fields of `vitrum_limits`.
   * @param {number} threads With this one; one alone where memory cannot be shared.
   */
  static async start(source, limits, threads) {
    const module = await Module.instantiate(source, threads > 1);
    const self = new Engine(module);
    if (module.isShared) {
      // Never freed: threads run until the worker ends.
      const stacks = Array.from({ length: threads - 1 }, () => new Arena(module).alloc(STACK) + STACK);
      self.team = { module: module.compiled, memory: module.memory, stacks };
    }
    const team = self.team ? { threads, parallel_for: module.run("web_parallel_for") } : {};
    using_(self.module, (arena) => {
      const options = arena.struct("context_options", { ...team, limits: arena.struct("limits", limits) });
      self.context = self.created(arena, (out) => self.module.call("context_new", options, out));
    });
    return self;
  }

  about() {
    return {
      version: this.module.text(this.module.run("version_string")),
      simd: this.module.run("context_isa", this.context) === C.ISA_SIMD128,
      memoryBytes: this.module.memoryBytes,
    };
  }

  /** The pointer that a function writes to its out-parameter. @param {Arena} arena @param {(out: number) => void} call */
  created(arena, call) {
    const out = arena.alloc(4);
    call(out);
    return this.module.read(out, "u32");
  }

  /**
   * Keeps a handle of the library, and returns its number.
   * @param {Kind} kind
   * @param {number} pointer
   * @param {() => void} [free] For what the library has no function to free.
   */
  keep(kind, pointer, free = () => this.module.run(`${kind}_free`, pointer)) {
    const id = ++this.lastId;
    this.handles.set(id, { kind, pointer, free });
    return id;
  }

  /** @param {number} id @param {Kind} kind */
  handle(id, kind) {
    const found = this.handles.get(id);
    if (!found || found.kind !== kind) throw invalid(`this ${kind.replace("sam_", "")} is closed`);
    return found.pointer;
  }

  /** @param {number} id */
  free(id) {
    const found = this.handles.get(id);
    if (!found) return;
    this.handles.delete(id);
    if (!this.module.broken) found.free();
  }

  /** Frees the scratch memory that is kept for the next calls. */
  trim() {
    this.module.run("context_trim", this.context);
  }

  /**
   * An array of values of any length: `call` gets the buffer, its capacity, and where the number needed goes.
   * @param {Arena} arena
   * @param {number} size Bytes of a value.
   * @param {(buffer: number, capacity: number, needed: number) => void} call
   * @returns {ArrayBuffer}
   */
  collect(arena, size, call) {
    const needed = arena.alloc(4);
    call(0, 0, needed);
    const count = this.module.read(needed, "u32");
    const buffer = arena.alloc(Math.max(1, count * size));
    call(buffer, count, needed);
    return this.copy(buffer, count * size);
  }

  /** @param {number} start @param {number} size @returns {ArrayBuffer} */
  copy(start, size) {
    // Not of the memory itself, which may be shared: such a copy would be, too.
    return this.module.u8.slice(start, start + size).buffer;
  }

  /** @param {Arena} arena @param {readonly Pixels[]} list */
  images(arena, list) {
    return arena.structs("image", list.map(({ data, width, height, stride, format }) => ({
      format, width, height, row_stride: stride, data: arena.bytes(data),
    })));
  }

  /** The files of a model as `vitrum_file`s. @param {Arena} arena @param {readonly { name: string, start: number, size: number }[]} files */
  files(arena, files) {
    return arena.structs("file", files.map(({ name, start, size }) => ({ name: arena.string(name), data: start, size })));
  }

  /** Options of a call that asks `progress`. */
  monitored() {
    return { progress: this.module.run("web_progress") };
  }

  /** @param {"clip" | "sam"} kind @param {number} pointer */
  warnings(kind, pointer) {
    return using_(this.module, (arena) => {
      const bytes = this.collect(arena, 1, (...out) => this.module.call(`${kind}_warnings`, pointer, ...out));
      const text = new TextDecoder().decode(new Uint8Array(bytes, 0, bytes.byteLength - 1));
      return text.split("\n").filter(Boolean);
    });
  }

  /** A model, loaded; if its description fails, it is freed. @param {"clip" | "sam"} kind @param {number} pointer @param {(pointer: number) => Record<string, unknown>} describe */
  model(kind, pointer, describe) {
    const id = this.keep(kind, pointer);
    try {
      return { id, warnings: this.warnings(kind, pointer), ...describe(pointer) };
    } catch (error) {
      this.free(id);
      throw error;
    }
  }
}


