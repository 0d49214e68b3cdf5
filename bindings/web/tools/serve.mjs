// Serves a directory on this machine alone: `node tools/serve.mjs [DIRECTORY] [--port N] [--isolated]`. With `--isolated` pages
// are isolated from other origins, so that calls of the library can be stopped at once. Any other server of files will do.
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const TYPES = {
  ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
  ".json": "application/json", ".webmanifest": "application/manifest+json", ".svg": "image/svg+xml", ".png": "image/png",
  ".gif": "image/gif", ".jpg": "image/jpeg", ".txt": "text/plain; charset=utf-8", ".wasm": "application/wasm",
};

/**
 * @param {string} directory
 * @param {{ port?: number, isolated?: boolean, onRequest?: (path: string) => void }} [options]
 */
export async function serve(directory, { port = 0, isolated = false, onRequest = () => {} } = {}) {
  const server = createServer(async (request, response) => {
    const path = decodeURIComponent(new URL(request.url ?? "/", "http://localhost").pathname);
    onRequest(path);
    const file = normalize(join(directory, path.endsWith("/") ? `${path}index.html` : path));
    const found = file.startsWith(normalize(directory) + sep) ? await stat(file).catch(() => null) : null;
    if (!found?.isFile()) return response.writeHead(404).end("not found");
    response.writeHead(200, {
      "content-type": TYPES[extname(file)] ?? "application/octet-stream",
      "content-length": found.size,
      ...(isolated && {
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-embedder-policy": "require-corp",
      }),
    });
    createReadStream(file).pipe(response);
  });
  await new Promise((resolve) => server.listen(port, "127.0.0.1", () => resolve(undefined)));
  const { port: actual } = /** @type {import("node:net").AddressInfo} */ (server.address());
  return { address: `http://127.0.0.1:${actual}/`, close: () => server.close() };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { port: { type: "string", default: "8080" }, isolated: { type: "boolean", default: false } },
  });
  const page = fileURLToPath(new URL("../../../target/web/page", import.meta.url));
  const { address } = await serve(positionals[0] ?? page, { port: Number(values.port), isolated: values.isolated });
  console.log(address);
}
