// The WebAssembly module: its memory, arguments for its functions, and its errors. Runs in the worker.
import { C, STRUCTS } from "../abi.js";
import { VitrumError } from "../errors.js";
import { ownMemory, setShared, sharedMemory } from "./memory.js";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** @typedef {number | bigint | readonly number[]} Value */

/** Answers to the module's three callbacks while a call runs. */
export class Callbacks {
  /** Whether to stop. @param {number} fraction @returns {boolean} */
  progress(fraction) {
    return fraction !== fraction;
  }

  /** @param {number} record Where a `vitrum_sam_record` lies. */
  record(record) {
    void record;
  }

  /** @param {number} text @param {number} probability @param {number} record */
  match(text, probability, record) {
    void [text, probability, record];
  }
}

export class Module {
  /**
   * @param {WebAssembly.Module | Uint8Array<ArrayBuffer>} source
   * @param {boolean} forThreads Whether threads are to share the memory. Without such memory they do not.
   */
  static async instantiate(source, forThreads) {
    const self = new Module();
    const shared = forThreads ? sharedMemory() : null;
    self.isShared = shared !== null;
    self.memory = shared ?? ownMemory();
    // An exception must not cross the library: it ends the call, and is thrown when that has returned.
    const guarded = (/** @type {() => boolean | void} */ body) => {
      try {
        return body() === true ? 1 : 0;
      } catch (error) {
        self.thrown ??= error;
        return 1;
      }
    };
    const imports = {
      env: { memory: self.memory },
      vitrum: {
        progress: (/** @type {number} */ _, /** @type {number} */ fraction) =>
          guarded(() => self.callbacks.progress(fraction)),
        record: (/** @type {number} */ _, /** @type {number} */ record) => guarded(() => self.callbacks.record(record)),
        match: (/** @type {number} */ _, /** @type {number} */ text, /** @type {number} */ p, /** @type {number} */ record) =>
          guarded(() => self.callbacks.match(text, p, record)),
      },
    };
    if (source instanceof WebAssembly.Module) {
      self.compiled = source;
    } else {
      setShared(source, self.isShared);
      self.compiled = await WebAssembly.compile(source);
    }
    self.exports = /** @type {any} */ ((await WebAssembly.instantiate(self.compiled, imports)).exports);
    const status = self.exports.vitrum_web_start();
    if (status !== C.OK) throw new VitrumError(status, "the library got no memory");
    return self;
  }

  constructor() {
    /** @type {any} */
    this.exports = null;
    /** @type {WebAssembly.Memory} */
    this.memory = /** @type {any} */ (null);
    this.isShared = false;
    /** @type {WebAssembly.Module} */
    this.compiled = /** @type {any} */ (null);
    /** @type {unknown} */
    this.thrown = undefined;
    this.callbacks = new Callbacks();
    /** @type {VitrumError | null} What broke the module: then it answers no more. */
    this.broken = null;
  }

  get u8() {
    return new Uint8Array(this.memory.buffer);
  }

  get view() {
    return new DataView(this.memory.buffer);
  }

  /** Bytes of the module's memory, which never shrinks. */
  get memoryBytes() {
    return this.memory.buffer.byteLength;
  }

  /**
   * Calls a function that returns a status and takes an error last. Arguments are numbers; a bigint where C has 64 bits.
   * @param {string} name
   * @param {...(number | bigint)} args
   */
  call(name, ...args) {
    using_(this, (arena) => {
      const error = arena.struct("error");
      this.thrown = undefined;
      const status = this.run(name, ...args, error);
      if (this.thrown !== undefined) throw this.thrown;
      if (status !== C.OK) {
        const start = error + STRUCTS.error.fields.message[0];
        throw new VitrumError(status, this.text(start));
      }
    });
  }

  /**
   * Calls a function that cannot fail.
   * @param {string} name
   * @param {...(number | bigint)} args
   */
  run(name, ...args) {
    if (this.broken) throw this.broken;
    try {
      return this.exports[`vitrum_${name}`](...args);
    } catch (error) {
      // The module stopped in the middle of its work, and nothing is known of its state.
      const message = error instanceof Error ? error.message : String(error);
      this.broken = new VitrumError(C.E_PANIC, `the library stopped in vitrum_${name}: ${message}`);
      throw this.broken;
    }
  }

  /** The string at `start`. @param {number} start */
  text(start) {
    const bytes = this.u8;
    return decoder.decode(bytes.slice(start, bytes.indexOf(0, start)));
  }

  /**
   * A field of a struct at `start`.
   * @param {string} struct
   * @param {number} start
   * @param {string} field
   */
  get(struct, start, field) {
    const [offset, kind] = STRUCTS[struct].fields[field];
    return this.read(start + offset, kind);
  }

  /**
   * All values of an array in a struct at `start`.
   * @param {string} struct
   * @param {number} start
   * @param {string} field
   */
  list(struct, start, field) {
    const [offset, kind, count = 1] = STRUCTS[struct].fields[field];
    const size = kind === "f64" ? 8 : 4;
    return Array.from({ length: count }, (_, i) => this.read(start + offset + i * size, kind));
  }

  /** @param {number} at @param {import("../abi.js").Scalar} kind @returns {number} */
  read(at, kind) {
    const view = this.view;
    switch (kind) {
      case "u8": return view.getUint8(at);
      case "u32": return view.getUint32(at, true);
      case "i32": return view.getInt32(at, true);
      case "f32": return view.getFloat32(at, true);
      case "f64": return view.getFloat64(at, true);
      case "u64": return Number(view.getBigUint64(at, true));
      case "i64": return Number(view.getBigInt64(at, true));
    }
  }

  /**
   * @param {number} at
   * @param {import("../abi.js").Scalar} kind
   * @param {number | bigint} value
   */
  write(at, kind, value) {
    const view = this.view;
    switch (kind) {
      case "u8": return view.setUint8(at, Number(value));
      case "u32": return view.setUint32(at, Number(value), true);
      case "i32": return view.setInt32(at, Number(value), true);
      case "f32": return view.setFloat32(at, Number(value), true);
      case "f64": return view.setFloat64(at, Number(value), true);
      case "u64": return view.setBigUint64(at, BigInt(value), true);
      case "i64": return view.setBigInt64(at, BigInt(value), true);
    }
  }

  /**
   * Sets fields of a struct at `start`; `undefined` leaves a default.
   * @param {string} struct
   * @param {number} start
   * @param {Record<string, Value | undefined>} values
   */
  set(struct, start, values) {
    for (const [field, value] of Object.entries(values)) {
      if (value === undefined) continue;
      const [offset, kind] = STRUCTS[struct].fields[field];
      const size = kind === "f64" || kind === "u64" || kind === "i64" ? 8 : 4;
      if (typeof value === "object") value.forEach((it, i) => this.write(start + offset + i * size, kind, it));
      else this.write(start + offset, kind, value);
    }
  }
}

/** Memory for the arguments and results of a call. */
export class Arena {
  /** @param {Module} module */
  constructor(module) {
    this.module = module;
    /** @type {[number, number][]} */
    this.blocks = [];
  }

  /** `size` bytes, 0. @param {number} size */
  alloc(size) {
    const block = this.module.run("web_malloc", size);
    if (block === 0) throw new VitrumError(C.E_OUT_OF_MEMORY, `no memory for ${size} bytes`);
    // Addresses above 2 GiB come back as negative numbers.
    const start = block >>> 0;
    this.blocks.push([start, size]);
    this.module.u8.fill(0, start, start + size);
    return start;
  }

  /** A copy of `bytes`. @param {Uint8Array} bytes */
  bytes(bytes) {
    const start = this.alloc(bytes.length);
    this.module.u8.set(bytes, start);
    return start;
  }

  /** @param {ArrayLike<number>} values */
  f32(values) {
    const array = values instanceof Float32Array ? values : Float32Array.from(values);
    return this.bytes(new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
  }

  /** @param {string} text */
  string(text) {
    if (text.includes("\0")) throw new VitrumError(C.E_INVALID_ARGUMENT, `a text with a NUL: ${JSON.stringify(text)}`);
    return this.bytes(encoder.encode(`${text}\0`));
  }

  /** An array of pointers to strings. @param {readonly string[]} texts */
  strings(texts) {
    const pointers = texts.map((text) => this.string(text));
    const start = this.alloc(4 * pointers.length);
    pointers.forEach((pointer, i) => this.module.write(start + 4 * i, "u32", pointer));
    return start;
  }

  /**
   * A struct with the defaults that its `_init` function gives, and these values.
   * @param {string} name
   * @param {Record<string, Value | undefined>} [values]
   */
  struct(name, values = {}) {
    return this.structs(name, [values]);
  }

  /**
   * An array of structs.
   * @param {string} name
   * @param {readonly Record<string, Value | undefined>[]} list
   */
  structs(name, list) {
    const { size, fields } = STRUCTS[name];
    const start = this.alloc(size * list.length);
    list.forEach((values, i) => {
      const at = start + i * size;
      if ("struct_size" in fields) {
        const status = this.module.run(`${name}_init`, at, size);
        if (status !== C.OK) throw new VitrumError(status, `vitrum_${name}_init refuses ${size} bytes`);
      }
      this.module.set(name, at, values);
    });
    return start;
  }

  free() {
    for (const [start, size] of this.blocks) if (!this.module.broken) this.module.run("web_free", start, size);
    this.blocks = [];
  }
}

/**
 * Runs `body` with an arena that is freed afterwards.
 * @template T
 * @param {Module} module
 * @param {(arena: Arena) => T} body
 * @returns {T}
 */
export function using_(module, body) {
  const arena = new Arena(module);
  try {
    return body(arena);
  } finally {
    arena.free();
  }
}
