import { C } from "./abi.js";

/** Names of statuses by their numbers: `INVALID_ARGUMENT`, `FORMAT`, … @type {Map<number, string>} */
const NAMES = new Map(
  Object.entries(C).filter(([name]) => name.startsWith("E_")).map(([name, value]) => [value, name.slice(2)]),
);

/** A call of the library failed: its status, and its sentence as the message. */
export class VitrumError extends Error {
  /**
   * @param {number} status One of `VITRUM_E_*`.
   * @param {string} message
   */
  constructor(status, message) {
    super(message);
    this.name = "VitrumError";
    /** The number of the status, as in `vitrum.h`. */
    this.status = status;
    /** The name of the status without `VITRUM_E_`: `INVALID_ARGUMENT`, `MISSING_TENSOR`, … */
    this.code = NAMES.get(status) ?? `STATUS_${status}`;
  }
}

/**
 * What the library itself would say of a wrong argument, said before it is asked.
 * @param {string} message
 */
export function invalid(message) {
  return new VitrumError(C.E_INVALID_ARGUMENT, message);
}
