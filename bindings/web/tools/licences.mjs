// Prints a page with the crates that are linked into the WebAssembly module, and the licences that they carry.
// `node tools/licences.mjs CARGO`.
import { execFileSync } from "node:child_process";
import { readFile, readdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const manifest = fileURLToPath(new URL("../wasm/Cargo.toml", import.meta.url));
const args = ["metadata", "--format-version=1", "--locked", "--filter-platform", "wasm32-unknown-unknown", "--manifest-path", manifest];
const { packages, resolve } = JSON.parse(execFileSync(process.argv[2] ?? "cargo", args, { encoding: "utf8", maxBuffer: 1 << 28 }));

const nodes = new Map(resolve.nodes.map((node) => [node.id, node]));
const known = new Map(packages.map((it) => [it.id, it]));
const linked = new Set([resolve.root]);
for (const id of linked) {
  for (const { pkg, dep_kinds: kinds } of nodes.get(id).deps) {
    // Procedural macros run in the compiler, and nothing of them is linked, nor of what they need.
    const isMacro = known.get(pkg).targets.every(({ kind }) => !kind.includes("lib") && !kind.includes("rlib"));
    // `null` is a normal dependency; "dev" and "build" are not linked.
    if (!isMacro && kinds.some(({ kind }) => kind === null)) linked.add(pkg);
  }
}
const crates = [...linked].map((id) => known.get(id)).filter(({ source }) => source !== null)
  .sort((a, b) => (a.name < b.name ? -1 : 1));

const lines = [
  "# Third-party licences", "",
  "What `src/vitrum.wasm` is linked with, and under which licences; and with `core` and `alloc` of Rust's standard library, MIT OR Apache-2.0.", "",
  "| crate | version | licence |", "|---|---|---|",
];
/** @type {Map<string, string[]>} */
const texts = new Map();
for (const { name, version, license, manifest_path: path } of crates) {
  if (!license) throw new Error(`${name} declares no licence`);
  lines.push(`| ${name} | ${version} | ${license} |`);
  const directory = dirname(path);
  for (const file of (await readdir(directory)).sort()) {
    if (!/^(LICEN[SC]E|COPYING|NOTICE)/.test(file) || file.includes(".d")) continue;
    const text = await readFile(join(directory, file), "utf8").catch(() => null);
    if (text !== null) texts.set(text, [...(texts.get(text) ?? []), `${name} ${version}`]);
  }
}
for (const [text, names] of texts) lines.push("", `## ${names.join(", ")}`, "", "```text", text.trimEnd(), "```");
console.log(lines.join("\n"));
