// Copies the compiled module as one for memory that is not shared: the file that works everywhere.
// `node tools/alone.mjs FROM TO`.
import { readFile, writeFile } from "node:fs/promises";
import { setShared } from "../src/engine/memory.js";

const [from, to] = process.argv.slice(2);
const module = await readFile(from);
setShared(module, false);
await WebAssembly.compile(module);
await writeFile(to, module);
