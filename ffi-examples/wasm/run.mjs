// Runs the example under Node: `rustup target add wasm32-unknown-unknown`, then in this directory
// `cargo build --release && node run.mjs`. Exit status 1 if a bound is exceeded.
import { readFile } from "node:fs/promises";

const path = "../../target/wasm/wasm32-unknown-unknown/release/vitrum_wasm_example.wasm";
const module = await readFile(new URL(path, import.meta.url));
const { instance } = await WebAssembly.instantiate(module);
const { lanes, gemm_error, int8_has_expected_bits, clip_error } = instance.exports;

let failed = false;
function check(what, error, bound) {
  const ok = error <= bound;
  console.log(`${ok ? "ok  " : "FAIL"} ${what}: error ${error.toExponential(1)}, bound ${bound}`);
  failed ||= !ok;
}

console.log(`${module.length} bytes, vectors of ${lanes()} f32`);
check("this is the simd128 level", Math.abs(lanes() - 4), 0);
for (const [m, n, k] of [[1, 1, 1], [1, 40, 64], [7, 19, 33], [50, 128, 96]]) {
  check(`gemm ${m}x${n}x${k}`, gemm_error(m, n, k), 2e-6);
}
check("int8 product, the same bits as elsewhere", int8_has_expected_bits() ? 0 : 1, 0);
const start = performance.now();
check("CLIP image tower", clip_error(), 1e-4);
console.log(`loaded and encoded in ${(performance.now() - start).toFixed(0)} ms`);
process.exitCode = failed ? 1 : 0;
