/// <reference lib="esnext.disposable" preserve="true" />
// What lives in the worker and is freed: models, embeddings, trackers.
import { invalid } from "./errors.js";

/** @typedef {import("./context.js").Context} Context */

/** Frees what was forgotten. @type {FinalizationRegistry<{ context: Context, id: number }>} */
const forgotten = new FinalizationRegistry(({ context, id }) => free(context, id));

/** @param {Context} context @param {number} id */
export function free(context, id) {
  if (!context.ended) context.call("free", { ids: [id] }).catch(() => {});
}

/** `Symbol.dispose`, also where the language does not have it yet. @type {typeof Symbol.dispose} */
const dispose = /** @type {any} */ (Symbol.dispose ?? Symbol.for("Symbol.dispose"));

/** Something in a context, which `close` frees. With `using` it is closed at the end of its block. */
export class Handle {
  /** @param {Context} context @param {number} id */
  constructor(context, id) {
    this.context = context;
    /** @private */
    this._id = id;
    forgotten.register(this, { context, id }, this);
  }

  /** The number in the worker. @returns {number} @internal */
  get id() {
    if (this._id === 0) throw invalid(`this ${this.constructor.name} is closed`);
    return this._id;
  }

  get isClosed() {
    return this._id === 0;
  }

  /** Frees it. Calls that were made before still get their results. To close it again does nothing. */
  close() {
    if (this._id === 0) return;
    forgotten.unregister(this);
    free(this.context, this._id);
    this._id = 0;
  }

  [dispose]() {
    this.close();
  }

  /** Fails unless `other` is in the same context. @param {Handle} other @internal */
  beside(other) {
    if (other.context !== this.context) throw invalid(`the ${other.constructor.name} is in another context`);
    return other.id;
  }
}
