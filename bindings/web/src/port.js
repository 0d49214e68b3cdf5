/** The way back from a worker. @typedef {{ postMessage(message: unknown, transfer?: Transferable[]): void }} Port */

/**
 * Calls `receive` for every message to this worker, of a browser or of Node.
 * @param {(message: any) => unknown} receive
 * @returns {Promise<Port>}
 */
export async function connect(receive) {
  if (typeof postMessage === "function") {
    addEventListener("message", (event) => void receive(event.data));
    return /** @type {any} */ (globalThis);
  }
  const threads = "node:worker_threads";
  const { parentPort } = await import(/* @vite-ignore */ threads);
  parentPort.on("message", receive);
  return parentPort;
}
