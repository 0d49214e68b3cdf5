// Lists all files of the built page in its offline.json, with a version that changes when any of them does, and puts the
// version into sw.js, so that browsers notice. `node tools/offline.mjs DIRECTORY`.
import { createHash } from "node:crypto";
import { readFile, readdir, writeFile } from "node:fs/promises";
import { join, relative, sep } from "node:path";

const directory = process.argv[2];
const entries = await readdir(directory, { recursive: true, withFileTypes: true });
const files = entries
  .filter((entry) => entry.isFile())
  .map((entry) => relative(directory, join(entry.parentPath ?? entry.path, entry.name)).split(sep).join("/"))
  .filter((file) => file !== "offline.json" && file !== "sw.js" && !/\.md$|^LICENSE|^NOTICE/.test(file))
  .sort();
const hash = createHash("sha256");
for (const file of [...files, "sw.js"]) hash.update(file).update("\0").update(await readFile(join(directory, file)));
const version = hash.digest("hex").slice(0, 16);
await writeFile(join(directory, "offline.json"), JSON.stringify(["./", ...files]));
const worker = await readFile(join(directory, "sw.js"), "utf8");
const built = worker.replace('const VERSION = "unbuilt";', `const VERSION = "${version}";`);
if (built === worker) throw new Error("sw.js has no place for the version");
await writeFile(join(directory, "sw.js"), built);
