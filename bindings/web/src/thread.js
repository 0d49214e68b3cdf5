// A further thread of the library: a worker with an instance of the module on the engine's memory. It takes part in the engine's
// work until it is ended from outside.
import { connect } from "./port.js";

/** @typedef {{ module: WebAssembly.Module, memory: WebAssembly.Memory, stack: number, stop: SharedArrayBuffer }} Place */

const port = await connect((/** @type {Place} */ place) => void follow(place));

/** @param {Place} place */
async function follow({ module, memory, stack, stop }) {
  const calls = new Int32Array(stop);
  const isStopped = () => Number(Atomics.load(calls, 0) === Atomics.load(calls, 1));
  // The other callbacks are called on the engine's thread only.
  const never = () => 1;
  try {
    const imports = { env: { memory }, vitrum: { progress: isStopped, record: never, match: never } };
    const exports = /** @type {any} */ ((await WebAssembly.instantiate(module, imports)).exports);
    exports.__stack_pointer.value = stack;
    port.postMessage({});
    try {
      exports.vitrum_web_follow();
    } catch (error) {
      // The engine may wait for what was being done here.
      exports.__stack_pointer.value = stack;
      exports.vitrum_web_lost();
      throw error;
    }
  } catch (error) {
    port.postMessage({ error: error instanceof Error ? error.message : String(error) });
  }
}
