// The module's memory, which it imports, and whether threads share it. The module itself says so, in one byte: the same file
// serves both, and a page loads one. `wasm/.cargo/config.toml` has the same numbers.
import { C } from "../abi.js";
import { VitrumError } from "../errors.js";

/** Pages of 64 KiB with which it begins. */
const INITIAL = 64;
/** Pages of 4 GiB. */
const MAXIMUM = 65536;
/** What the module says of the import before its flags: its two names, and that it is a memory. */
const IMPORT = "\x03env\x06memory\x02";
/** Flags: there is a maximum; threads share it. */
const [ALONE, SHARED] = [1, 3];

/**
 * Makes a module that is not compiled yet one for memory that is shared, or not.
 * @param {Uint8Array} module
 * @param {boolean} isShared
 */
export function setShared(module, isShared) {
  // Imports come early. This decoder makes a character of every byte.
  const at = new TextDecoder("latin1").decode(module.subarray(0, 0x10000)).indexOf(IMPORT);
  if (at < 0) throw new VitrumError(C.E_FORMAT, "the module imports no memory: it is not one of this package");
  module[at + IMPORT.length] = isShared ? SHARED : ALONE;
}

/** Memory of a module's own. */
export function ownMemory() {
  return new WebAssembly.Memory({ initial: INITIAL, maximum: MAXIMUM });
}

/** Memory for threads, or `null`. Addresses are set aside for all of it, which systems with few of them refuse: then there is less. */
export function sharedMemory() {
  for (let maximum = MAXIMUM; maximum >= MAXIMUM / 16; maximum /= 2) {
    try {
      return new WebAssembly.Memory({ initial: INITIAL, maximum, shared: true });
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
    }
  }
  return null;
}
