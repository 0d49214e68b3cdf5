// Threads under Node: the same results, and what happens when they fail. Run by bindings/web/check.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { Clip, Context, Sam, Tracker, Vectors, VitrumError, demo as demoFiles } from "vitrum";
import { clip as frames, picture } from "./native.mjs";

const garden = await picture("garden-scene-3d.png");
const labels = ["strawberry", "octopus", "bicycle", "dog"];
const modulePath = fileURLToPath(import.meta.resolve("vitrum/vitrum.wasm"));

/** @param {Promise<unknown>} promise @param {string} code @param {RegExp} message */
const refuses = (promise, code, message) =>
  assert.rejects(promise, (/** @type {any} */ error) => {
    assert(error instanceof VitrumError, String(error?.stack));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    return true;
  });

/** What all kinds of models say, and the least milliseconds of an encoding. @param {Context} context */
async function results(context) {
  const sam = await Sam.load(demoFiles("sam"), { context });
  const embedding = await sam.encode(garden);
  let fastest = Infinity;
  for (let i = 0; i < 5; i++) {
    const begin = performance.now();
    (await sam.encode(garden)).close();
    fastest = Math.min(fastest, performance.now() - begin);
  }
  const { masks } = await sam.predict(embedding, { points: [[120, 126]] }, { logits: true });
  const { records } = await sam.everything(garden, { pointsPerSide: 8 });
  const clip = await Clip.load(demoFiles("clip"), { context, weights: "int8" });
  const probabilities = await clip.classify(garden, labels);
  const { width, height, frames: list } = await frames();
  const sam2 = await Sam.load(demoFiles("sam2"), { context });
  const tracker = await Tracker.create(sam2, { width, height });
  const images = list.slice(0, 3).map(({ data }) => ({ data, width, height }));
  await tracker.push(images[0]);
  await tracker.addPoints(1, { points: [[36, 150]] });
  const tracked = [];
  for await (const { masks } of tracker.track(images.slice(1))) tracked.push(masks[0].data);
  const vectors = await Vectors.create(Float32Array.from({ length: 64_000 }, (_, i) => Math.sin(i * i)), { dim: 64, context });
  const found = await vectors.topk(Float32Array.from({ length: 64 }, (_, i) => Math.cos(i)), 20);
  return {
    fastest,
    results: {
      values: await embedding.values(), found, probabilities, tracked,
      masks: masks.map(({ logits, score }) => [logits, score]),
      records: records.map(({ area, box, predictedIou, rle }) => [area, box, predictedIou, rle]),
    },
  };
}

test("threads give the bits of one thread", async (t) => {
  const times = [];
  const all = [];
  for (const threads of [1, 2, 5]) {
    const context = new Context({ threads });
    const ready = await context.ready;
    assert.deepEqual([ready.threads, context.threads, ready.warnings, context.helpers.length], [threads, threads, [], threads - 1]);
    const { fastest, results: found } = await results(context);
    all.push(found);
    times.push(fastest);
    context.close();
  }
  assert.deepEqual([all[0].records.length > 0, all[0].tracked.length], [true, 3]);
  assert.deepEqual(all[1], all[0]);
  assert.deepEqual(all[2], all[0]);
  t.diagnostic(`to encode a picture: ${times[0].toFixed(0)} ms, with two threads ${(times[1] / times[0]).toFixed(2)} times as long, of ${availableParallelism()} cores`);
});

test("without being asked, there is a thread for each core, at most 8", async () => {
  assert.equal((await Context.shared.ready).threads, Math.min(availableParallelism(), 8));
  for (const threads of [0, -1, 1.5, NaN, 1025, /** @type {any} */ ("2")]) {
    assert.throws(() => new Context({ threads }), /threads/);
  }
});

test("one thread where memory cannot be shared, and where the module is compiled already", async () => {
  const { SharedArrayBuffer: before } = globalThis;
  Reflect.deleteProperty(globalThis, "SharedArrayBuffer");
  const [unasked, asked] = [new Context(), new Context({ threads: 3 })];
  globalThis.SharedArrayBuffer = before;
  const compiled = new Context({ wasm: await WebAssembly.compile(await readFile(modulePath)), threads: 2 });
  const cases = /** @type {const} */ ([[unasked, null], [asked, /one thread, not 3: memory cannot/], [compiled, /one thread, not 2: .* compiled/]]);
  for (const [context, warning] of cases) {
    const { threads, warnings } = await context.ready;
    assert.deepEqual([threads, context.helpers.length, warnings.length], [1, 0, warning ? 1 : 0]);
    if (warning) assert.match(warnings[0], warning);
    const clip = await Clip.load(demoFiles("clip"), { context });
    assert.equal((await clip.classify(garden, labels)).length, 4);
    context.close();
  }
});

/** A context whose threads begin with something else than they should. @param {Record<string, unknown>} wrong */
function misled(wrong) {
  const context = new Context({ threads: 3 });
  context.startThread = (place) => Context.prototype.startThread.call(context, { ...place, ...wrong });
  return context;
}

test("threads that do not start are warnings", async () => {
  const context = misled({ memory: new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true }) });
  const { threads, warnings } = await context.ready;
  assert.equal(threads, 1);
  assert.equal(warnings.length, 2);
  for (const warning of warnings) assert.match(warning, /a thread did not start: .*memory/);
  const sam = await Sam.load(demoFiles("sam"), { context });
  assert.equal((await sam.encode(garden)).width, 512);
  context.close();
});

test("a thread that stops in the middle of its work ends the call, and the context", async () => {
  // A stack that ends before the memory does.
  const context = misled({ stack: 16 });
  const loading = (async () => {
    const sam = await Sam.load(demoFiles("sam"), { context });
    for (;;) await sam.encode(garden);
  })();
  await refuses(loading, "PANIC", /ended|stopped/);
  await refuses(context.trim(), "PANIC", /ended|stopped/);
  assert.equal(context.helpers.length, 0);
});

test("a thread that is ended from outside ends the call, and the context", async () => {
  const context = new Context({ threads: 2 });
  await context.ready;
  const sam = await Sam.load(demoFiles("sam"), { context });
  const working = (async () => {
    for (;;) await sam.encode(garden);
  })();
  setTimeout(() => context.helpers[0].terminate(), 30);
  await refuses(working, "PANIC", /a thread ended/);
});

test("memory is what the system gives, and its end an error", async () => {
  const { Engine } = await import(new URL("engine/engine.js", import.meta.resolve("vitrum")).href);
  const { Arena } = await import(new URL("engine/module.js", import.meta.resolve("vitrum")).href);
  const { Memory } = WebAssembly;
  const asked = /** @type {number[]} */ ([]);
  /** @param {number} most */
  const start = async (most) => {
    WebAssembly.Memory = /** @type {any} */ (class extends Memory {
      constructor(/** @type {WebAssembly.MemoryDescriptor} */ options) {
        asked.push(options.maximum ?? NaN);
        if (options.shared && Number(options.maximum) > most) throw new RangeError("no addresses");
        super(options);
      }
    });
    try {
      return await Engine.start(new Uint8Array(await readFile(modulePath)), {}, 2);
    } finally {
      WebAssembly.Memory = Memory;
    }
  };
  const engine = await start(5000);
  assert.deepEqual(asked, [65536, 32768, 16384, 8192, 4096]);
  assert.equal(engine.team.stacks.length, 1);
  const arena = new Arena(engine.module);
  const fill = () => {
    for (;;) arena.alloc(1 << 22);
  };
  assert.throws(fill, { code: "OUT_OF_MEMORY" });
  assert.equal(Math.round(engine.module.memoryBytes / 2 ** 24), 16);
  arena.free();
  assert(arena.alloc(1 << 27) > 0);

  const none = await start(0);
  assert.equal(none.team, null);
  assert(!none.module.isShared);
});
