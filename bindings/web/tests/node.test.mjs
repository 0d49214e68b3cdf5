// The installed package under Node against the native command, on the demo's pictures. Run by bindings/web/check.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { copyFile, readFile, rm, writeFile } from "node:fs/promises";
import { getEventListeners } from "node:events";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { Clip, Context, Embedding, Rle, Sam, Tracker, Vectors, VitrumError, demo as demoFiles } from "vitrum";
import { decodeGif } from "./gif.js";
import * as native from "./native.mjs";

const { demo, iou, json, pixelsOf, picture, picturePath } = native;
const GARDEN = "garden-scene-3d.png";
const labels = ["strawberry", "octopus", "bicycle", "dog"];
const scratch = join(tmpdir(), `vitrum-web-${process.pid}`);

after(() => Promise.all([rm(`${scratch}.npy`, { force: true }), rm(`${scratch}.embedding`, { force: true })]));

/** Fails unless it fails with this status. @param {Promise<unknown>} promise @param {string} code @param {RegExp} message */
const refuses = (promise, code, message = /./) =>
  assert.rejects(promise, (/** @type {any} */ error) => {
    assert(error instanceof VitrumError, String(error?.stack));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    return true;
  });

/** @param {ArrayLike<number>} got @param {ArrayLike<number>} expected @param {number} bound */
function near(got, expected, bound) {
  assert.equal(got.length, expected.length);
  for (let i = 0; i < got.length; i++) assert(Math.abs(got[i] - expected[i]) <= bound, `${i}: ${got[i]}, not ${expected[i]}`);
}

const clip = await Clip.load(demoFiles("clip"));
const sam = await Sam.load(demoFiles("sam"));
const garden = await picture(GARDEN);

test("the module exports the header's functions, and imports memory and three callbacks", async () => {
  const module = await WebAssembly.compile(await readFile(fileURLToPath(import.meta.resolve("vitrum/vitrum.wasm"))));
  const imports = WebAssembly.Module.imports(module).map(({ module, name }) => `${module}.${name}`).sort();
  assert.deepEqual(imports, ["env.memory", "vitrum.match", "vitrum.progress", "vitrum.record"]);
  const header = await readFile(join(demo, "../include/vitrum.h"), "utf8");
  // Declarations begin in the first column; typedefs of function pointers are no functions.
  const declared = header.split("\n").filter((line) => /^[a-z]/.test(line) && !line.startsWith("typedef"))
    .flatMap((line) => line.match(/vitrum_[a-z0-9_]+(?=\()/) ?? []);
  assert(declared.length > 80);
  const exported = new Set(WebAssembly.Module.exports(module).map(({ name }) => name));
  assert.deepEqual(declared.filter((name) => !exported.has(name)), []);
});

test("it computes with simd128", async () => {
  const { version, simd } = await Context.shared.ready;
  assert(simd);
  assert.equal(version, JSON.parse(await readFile(fileURLToPath(import.meta.resolve("vitrum/package.json")), "utf8")).version);
});

test("classify gives the command's probabilities", async () => {
  for (const name of ["strawberry-3d.png", "octopus-3d.png", "bicycle-3d.png"]) {
    const [{ labels: sorted }] = json("classify", picturePath(name), "--labels", labels.join(","));
    const expected = labels.map((label) => sorted.find((/** @type {any} */ it) => it.label === label).probability);
    near(await clip.classify(await picture(name), labels), expected, 1e-5);
  }
});

test("embeddings of pictures and texts are the command's, and compare to its probabilities", async () => {
  native.vitrum("embed", "--image", picturePath("octopus-3d.png"), "--output", `${scratch}.npy`);
  const [image] = await clip.embed({ images: [await picture("octopus-3d.png")] });
  near(image, native.npy(await readFile(`${scratch}.npy`)), 1e-5);
  native.vitrum("embed", "--text", "an octopus", "--output", `${scratch}.npy`);
  const texts = await clip.embed({ texts: ["an octopus", "a house"] });
  near(texts[0], native.npy(await readFile(`${scratch}.npy`)), 1e-5);
  const [logits] = await clip.similarity([image], texts);
  assert(logits[0] > logits[1]);
  const longer = await clip.embed({ texts: ["an octopus"] }, { normalize: false });
  assert(Math.hypot(...longer[0]) > 1.001);
  assert((await clip.tokenize("an octopus")).length >= 4);
});

/** Numbers from 0 to 1, the same each time. @param {number} seed */
const chance = (seed) => () => (seed = (seed * 16807) % 2147483647) / 2147483647;

/** All rows with their products, the best first, of equal ones the earlier first. @param {Float32Array} query @param {Float32Array} values */
function sorted(query, values) {
  const dim = query.length;
  const scores = Array.from({ length: values.length / dim }, (_, row) => query.reduce((sum, it, i) => sum + it * values[row * dim + i], 0));
  return scores.map((score, index) => ({ index, score })).sort((a, b) => b.score - a.score || a.index - b.index);
}

test("the best vectors are found", async () => {
  const [dim, count, random] = [37, 500, chance(7)];
  // Whole numbers: their products are exact in f32, and many are equal.
  const whole = (/** @type {number} */ rows) => Float32Array.from({ length: rows * dim }, () => Math.floor(7 * random()) - 3);
  const [values, list] = [whole(count), Array.from({ length: 20 }, () => whole(1))];
  const expected = list.map((query) => sorted(query, values));
  assert(expected[0].slice(0, 50).some(({ score }, i) => i > 0 && score === expected[0][i - 1].score));
  const rows = Array.from({ length: count }, (_, row) => values.subarray(row * dim, (row + 1) * dim));
  for (const source of [values, rows]) {
    const vectors = await Vectors.create(source, { dim });
    assert.deepEqual([vectors.count, vectors.dim, values.length], [count, dim, count * dim]);
    assert.deepEqual(await vectors.topk(list[0], 50), expected[0].slice(0, 50));
    assert.deepEqual(await vectors.topk(list[0], 600), expected[0]);
    for (const queries of [5, 20]) {
      assert.deepEqual(await vectors.topkEach(list.slice(0, queries), 9), expected.slice(0, queries).map((it) => it.slice(0, 9)));
    }
    vectors.close();
    await refuses(vectors.topk(list[0], 1), "INVALID_ARGUMENT", /closed/);
  }
});

test("the best vectors of 8-bit integers are found", async () => {
  const [dim, count, random] = [37, 500, chance(3)];
  const half = Float32Array.from({ length: (count * dim) / 2 }, () => 2 * random() - 1);
  const values = new Float32Array([...half, ...half]); // Every vector is there twice.
  const query = Float32Array.from({ length: dim }, () => 2 * random() - 1);
  const floats = await Vectors.create(values, { dim });
  const made = await floats.quantize();
  const { codes, scales } = await made.quantized();
  const rounded = Float32Array.from(values, (_, i) => scales[Math.floor(i / dim)] * codes[i]);
  for (let row = 0; row < count; row++) {
    const of = values.subarray(row * dim, (row + 1) * dim);
    near([scales[row]], [Math.max(...of.map(Math.abs)) / 127], 1e-6);
    near(rounded.subarray(row * dim, (row + 1) * dim), of, 0.501 * scales[row]);
  }
  const expected = sorted(query, rounded);
  for (const vectors of [made, await Vectors.create({ codes, scales }, { dim })]) {
    const found = await vectors.topk(query, 600);
    assert.equal(found.length, count);
    found.forEach(({ index, score }, i) => {
      // The query has 16 bits.
      near([score, score], [expected[i].score, sorted(query, rounded.subarray(index * dim, (index + 1) * dim))[0].score], 1e-3);
      if (i % 2) assert.deepEqual({ index, score }, { index: found[i - 1].index + count / 2, score: found[i - 1].score });
    });
  }
  await refuses(floats.quantized(), "INVALID_ARGUMENT", /floats/);
  await refuses(made.quantize(), "INVALID_ARGUMENT", /integers/);
  const none = await Vectors.create([], { dim });
  assert.deepEqual([await none.topk(query, 3), await (await none.quantize()).topk(query, 3)], [[], []]);
});

test("searches that cannot be are refused", async () => {
  const vectors = await Vectors.create([new Float32Array([1, 2]), new Float32Array([3, 4])], { dim: 2 });
  await refuses(vectors.topk(new Float32Array([1, 2]), 0), "INVALID_ARGUMENT", /k is 0/);
  await refuses(vectors.topk(new Float32Array([1, 2]), -1), "INVALID_ARGUMENT", /k/);
  await refuses(vectors.topk(new Float32Array(3), 1), "INVALID_ARGUMENT", /2 numbers/);
  await refuses(vectors.topkEach([], 1), "INVALID_ARGUMENT", /quer/);
  await refuses(vectors.topk(new Float32Array(2), 1, /** @type {any} */ ({ threshold: 1 })), "INVALID_ARGUMENT", /threshold/);
  await refuses(Vectors.create(new Float32Array(3), { dim: 2 }), "INVALID_ARGUMENT", /whole rows/);
  await refuses(Vectors.create([new Float32Array(3)], { dim: 2 }), "INVALID_ARGUMENT", /vectors 0/);
  await refuses(Vectors.create([], { dim: 0 }), "INVALID_ARGUMENT", /dim/);
  await refuses(Vectors.create({ codes: new Int8Array(4), scales: new Float32Array(1) }, { dim: 2 }), "INVALID_ARGUMENT", /scales/);
  await refuses(Vectors.create(/** @type {any} */ (null), { dim: 2 }), "INVALID_ARGUMENT", /Float32Array/);
  const broken = await Vectors.create(new Float32Array([1, 2, 3, NaN]), { dim: 2 });
  await refuses(broken.topk(new Float32Array([1, 1]), 1), "NON_FINITE", /vector 1/);
  await refuses(broken.quantize(), "NON_FINITE", /vector 1/);
});

test("pixels of every layout give the same", async () => {
  const { data, width, height } = await picture("octopus-3d.png");
  const expected = await clip.classify({ data, width, height }, labels);
  const pick = (/** @type {number[]} */ order, gap = 0) => {
    const stride = width * order.length + gap;
    const out = new Uint8Array(stride * height);
    for (let i = 0; i < width * height; i++) {
      order.forEach((c, k) => (out[Math.floor(i / width) * stride + (i % width) * order.length + k] = data[4 * i + c]));
    }
    return { data: out, width, height, stride };
  };
  assert.deepEqual(await clip.classify({ ...pick([0, 1, 2]) }, labels), expected);
  assert.deepEqual(await clip.classify({ ...pick([2, 1, 0]), format: "bgr" }, labels), expected);
  assert.deepEqual(await clip.classify({ ...pick([2, 1, 0, 3]), format: "bgra" }, labels), expected);
  assert.deepEqual(await clip.classify({ ...pick([0, 1, 2], 5), format: "rgb" }, labels), expected);
  // A view into more memory.
  const more = new Uint8ClampedArray(data.length + 64);
  more.set(data, 32);
  assert.deepEqual(await clip.classify({ data: more.subarray(32, -32), width, height }, labels), expected);
});

test("clicks, boxes and earlier masks give the command's masks", async () => {
  const embedding = await sam.encode(garden);
  assert.deepEqual([embedding.width, embedding.height], [512, 384]);
  const cases = [
    { args: ["--point", "120,126", "--multimask"], prompt: { points: [[120, 126]] }, options: {} },
    { args: ["--point", "120,126"], prompt: { points: [{ x: 120, y: 126 }] }, options: { multimask: false } },
    { args: ["--point", "416,320", "--neg", "300,340"], prompt: { points: [{ x: 416, y: 320 }, { x: 300, y: 340, label: 0 }] }, options: { multimask: false } },
    { args: ["--box", "30,295,100,365"], prompt: { box: [30, 295, 100, 365] }, options: { multimask: false } },
  ];
  for (const { args, prompt, options } of cases) {
    const expected = json("segment", picturePath(GARDEN), ...args);
    const { masks } = await sam.predict(embedding, /** @type {any} */ (prompt), options);
    assert.equal(masks.length, expected.length);
    masks.forEach((mask, i) => {
      assert(iou(mask.pixels, pixelsOf(expected[i].segmentation)) >= 0.999, `${args}: mask ${i}`);
      assert(Math.abs(mask.score - expected[i].predicted_iou) < 1e-4);
      assert.deepEqual(mask.box, expected[i].bbox);
    });
  }
  embedding.close();
});

test("what is asked of a mask comes, and agrees", async () => {
  const embedding = await sam.encode(garden);
  const asked = { rle: true, logits: true, lowRes: true };
  const { masks, best } = await sam.predict(embedding, { points: [[120, 126]] }, asked);
  assert.equal(masks.length, 3);
  assert.equal(best.score, Math.max(...masks.map(({ score }) => score)));
  for (const mask of masks) {
    assert.equal(mask.area, mask.pixels.reduce((sum, it) => sum + it, 0));
    assert.deepEqual(mask.rle?.toData(), mask.data);
    assert.deepEqual(Rle.fromData(mask.pixels, mask.width, mask.height), mask.rle);
    assert.deepEqual(Rle.fromCoco(/** @type {Rle} */ (mask.rle).toCoco(), 512, 384), mask.rle);
    assert.deepEqual(mask.logits?.length, 512 * 384);
    assert(mask.logits?.every((logit, i) => (logit > 0) === (mask.pixels[i] === 1)));
    assert.equal(mask.lowRes?.length, sam.maskSide ** 2);
    assert(mask.stability > 0 && mask.stability <= 1);
  }
  const one = await sam.predict(embedding, { points: [[120, 126]] }, { only: "best", data: false, rle: true });
  assert.equal(one.masks.length, 1);
  assert.deepEqual(one.best.pixels, best.pixels);
  assert.equal(one.best.data, undefined);
  // Areas of outlines less those of holes are the mask's.
  const polygons = await sam.polygons(/** @type {Rle} */ (best.rle));
  const area = polygons.reduce((sum, { corners, isHole }) => {
    let twice = 0;
    for (let i = 0; i < corners.length; i += 2) {
      const [x, y, nextX, nextY] = [corners[i], corners[i + 1], corners[(i + 2) % corners.length], corners[(i + 3) % corners.length]];
      twice += x * nextY - nextX * y;
    }
    return sum + (isHole ? -1 : 1) * Math.abs(twice / 2);
  }, 0);
  assert.equal(area, best.area);
  // Refined by a mask, and of several prompts at once.
  const both = await sam.predictAll(embedding, [{ points: [[120, 126]] }, { box: [30, 295, 100, 365], mask: best }], { multimask: false });
  assert.equal(both.length, 2);
  assert(both[1].best.area > 1000 && both[1].best.area < 5000);
  embedding.close();
});

test("everything, and what words name, are the command's", async () => {
  const seen = /** @type {number[]} */ ([]);
  const { records, embedding } = await sam.everything(garden, { progress: ({ fraction }) => seen.push(fraction) });
  const expected = json("everything", picturePath(GARDEN));
  assert.equal(records.length, expected.length);
  records.forEach((record, i) => {
    assert(iou(record.pixels, pixelsOf(expected[i].segmentation)) >= 0.999);
    assert(Math.abs(record.predictedIou - expected[i].predicted_iou) < 1e-4);
    assert.deepEqual(record.box, expected[i].bbox);
    assert.deepEqual(record.point, expected[i].point_coords[0]);
  });
  assert(seen.length > 5 && seen.every((it, i) => i === 0 || it >= seen[i - 1]), String(seen));
  // The embedding that came along is that of `encode`.
  assert.deepEqual(await embedding.values(), await (await sam.encode(garden)).values());

  const { matches } = await sam.ground(clip, garden, ["a red apple", "a dog"]);
  assert.deepEqual(matches.map(({ text }) => text), [0, 1]);
  const named = json("segment", picturePath(GARDEN), "--text", "a red apple", "--text", "a dog");
  assert.equal(named.length, 2);
  named.forEach((it, i) => {
    assert(iou(matches[i].record.pixels, pixelsOf(it.segmentation)) >= 0.999);
    assert(Math.abs(matches[i].probability - it.probability) < 1e-4);
  });
});

test("an embedding made by the command is clicked here, and one made here there", async () => {
  const file = `${scratch}.embedding`;
  const [there] = json("segment", picturePath(GARDEN), "--point", "120,126", "--save-embedding", file);
  const embedding = await Embedding.load(sam, await readFile(file));
  assert.equal(await embedding.isOf(garden), true);
  assert.equal(await embedding.isOf(await picture("octopus-3d.png")), false);
  const { best } = await sam.predict(embedding, { points: [[120, 126]] }, { multimask: false });
  const own = await sam.predict(await sam.encode(garden), { points: [[120, 126]] }, { multimask: false });
  assert(iou(best.pixels, own.best.pixels) >= 0.999);
  assert(iou(best.pixels, pixelsOf(there.segmentation)) >= 0.999);
  await writeFile(file, await (await sam.encode(garden)).save());
  const [restored] = json("segment", picturePath(GARDEN), "--point", "120,126", "--embedding", file);
  assert(iou(pixelsOf(restored.segmentation), pixelsOf(there.segmentation)) >= 0.999);
  // Damaged and foreign ones are refused.
  const bytes = new Uint8Array(await readFile(file));
  bytes[bytes.length >> 1] ^= 1;
  await refuses(sam.loadEmbedding(bytes), "FORMAT");
  const sam2 = await Sam.load(demoFiles("sam2"));
  await refuses(sam2.loadEmbedding(new Uint8Array(await readFile(file))), "INVALID_ARGUMENT", /model/);
  sam2.close();
});

test("track follows as the command does, also when it is saved and restored on the way", async () => {
  const { width, height, frames } = await native.clip();
  const images = frames.map(({ data }) => ({ data, width, height }));
  const lines = json("track", join(demo, "clips/tree.gif"), "--point", "36,150");
  assert.equal(lines.length, images.length);
  const sam2 = await Sam.load(demoFiles("sam2"));
  const tracker = await Tracker.create(sam2, { width, height });
  await tracker.push(images[0]);
  await tracker.addPoints(1, { points: [[36, 150]] });
  const seen = [];
  for await (const { frame, masks } of tracker.track(images.slice(1, 12))) {
    seen.push(frame);
    assert.deepEqual(masks.map(({ object }) => object), [1]);
    assert(iou(masks[0].pixels, pixelsOf(lines[frame].segmentation)) >= 0.999, `frame ${frame}`);
  }
  const restored = await Tracker.load(sam2, await tracker.save());
  tracker.close();
  for await (const { frame, masks } of restored.track(images.slice(12))) {
    seen.push(frame);
    assert(iou(masks[0].pixels, pixelsOf(lines[frame].segmentation)) >= 0.999, `frame ${frame}`);
  }
  assert.deepEqual(seen, images.map((_, i) => i));
  assert.deepEqual(await restored.objects(), [1]);
  assert((await restored.memoryBytes()) > 1000);
  await restored.addMask(2, new Uint8Array(width * height).fill(1, 0, 5000));
  assert.deepEqual(await restored.objects(), [1, 2]);
  await restored.removeObject(1);
  await restored.reset();
  assert.deepEqual(await restored.objects(), []);
  restored.close();
  sam2.close();
});

test("damaged GIFs are errors, and end", async () => {
  const bytes = new Uint8Array(await readFile(join(demo, "clips/tree.gif")));
  const { frames } = decodeGif(bytes, 4);
  assert.deepEqual(frames.map(({ seconds }) => seconds > 0), [true, true, true, true]);
  for (let end = 0; end < 3000; end += 7) assert.throws(() => decodeGif(bytes.subarray(0, end)), Error);
  let seed = 1;
  const random = (/** @type {number} */ below) => (seed = (seed * 48271) % 0x7fffffff) % below;
  for (let i = 0; i < 200; i++) {
    const damaged = bytes.slice(0, 20_000);
    for (let k = 0; k < 4; k++) damaged[13 + random(5000)] = random(256);
    try {
      assert(decodeGif(damaged, 2).frames.length <= 2);
    } catch (error) {
      assert.match(/** @type {Error} */ (error).message, /GIF/);
    }
  }
});

test("calls stop at once where memory is shared, and are dropped where it is not", async () => {
  const begin = performance.now();
  await sam.everything(garden);
  const whole = performance.now() - begin;

  assert(Context.shared.stopsAtOnce);
  const stopped = performance.now();
  const abort = new AbortController();
  setTimeout(() => abort.abort(), 50);
  await assert.rejects(sam.everything(garden, { signal: abort.signal }), { name: "AbortError" });
  await clip.tokenize("the worker is free again");
  assert(performance.now() - stopped < whole / 2, `${performance.now() - stopped} of ${whole} ms`);

  // One signal serves any number of calls.
  const many = new AbortController();
  for (let i = 0; i < 30; i++) await clip.classify(await picture("octopus-3d.png"), labels, { signal: many.signal });
  assert.equal(getEventListeners(many.signal, "abort").length, 0);

  // One that waits is not begun; one that is aborted before is not sent.
  const waits = new AbortController();
  const first = sam.encode(garden);
  const second = sam.everything(garden, { signal: waits.signal });
  waits.abort(new Error("no longer wanted"));
  await assert.rejects(second, /no longer wanted/);
  (await first).close();
  await assert.rejects(sam.encode(garden, { signal: AbortSignal.abort() }), { name: "AbortError" });

  const { SharedArrayBuffer: before } = globalThis;
  Reflect.deleteProperty(globalThis, "SharedArrayBuffer");
  const context = new Context();
  globalThis.SharedArrayBuffer = before;
  assert(!context.stopsAtOnce);
  const alone = await Sam.load(demoFiles("sam"), { context });
  const late = new AbortController();
  const dropped = alone.everything(garden, { signal: late.signal });
  setTimeout(() => late.abort(), 20);
  await assert.rejects(dropped, { name: "AbortError" });
  assert.equal((await alone.encode(garden)).width, 512);
  context.close();
  await refuses(alone.encode(garden), "CANCELLED", /closed/);
});

test("what is wrong is told by the library's status and sentence", async () => {
  const embedding = await sam.encode(garden);
  await refuses(sam.predict(embedding, { points: [[NaN, 1]] }), "INVALID_ARGUMENT", /point 0/);
  await refuses(sam.predict(embedding, { box: [9, 9, 1, 1] }), "INVALID_ARGUMENT");
  await refuses(clip.classify(garden, []), "INVALID_ARGUMENT");
  await refuses(clip.classify(garden, ["a"], { template: "no place" }), "INVALID_ARGUMENT", /\{\}/);
  await refuses(clip.classify({ data: new Uint8Array(7), width: 2, height: 2 }, ["a"]), "IMAGE");
  await refuses(clip.classify(/** @type {any} */ ("a picture"), ["a"]), "INVALID_ARGUMENT");
  await refuses(clip.classify(new Blob([]), ["a"]), "UNSUPPORTED", /decoder/);
  await refuses(clip.classify(garden, ["a"], /** @type {any} */ ({ templat: "{}" })), "INVALID_ARGUMENT", /templat/);
  await refuses(sam.everything(garden, /** @type {any} */ ({ pointsPerSid: 4 })), "INVALID_ARGUMENT", /pointsPerSid/);
  await refuses(Tracker.create(sam, { width: 64, height: 64 }), "UNSUPPORTED");
  await refuses(Clip.load(join(demo, "nowhere")), "NOT_FOUND", /nowhere/);
  await refuses(Clip.load(demoFiles("sam")), "UNSUPPORTED");
  await refuses(Sam.load(demoFiles("sam"), { imageSize: 7 }), "INVALID_ARGUMENT");
  const weights = await readFile(join(demo, "sam-nano/model.safetensors"));
  await refuses(Sam.load({ "model.safetensors": weights.subarray(0, 5000) }), "FORMAT");
  embedding.close();
  embedding.close();
  assert(embedding.isClosed);
  await refuses(sam.predict(embedding, { points: [[1, 1]] }), "INVALID_ARGUMENT", /closed/);
  const limited = new Context({ limits: { pixels: 1000 } });
  const small = await Clip.load(demoFiles("clip"), { context: limited });
  await refuses(small.classify(garden, ["a"]), "LIMIT");
  await refuses(sam.ground(small, garden, ["a"]), "INVALID_ARGUMENT", /context/);
  limited.close();
  const missing = new Context({ wasm: pathToFileURL(join(demo, "nowhere.wasm")) });
  await refuses(missing.ready, "NOT_FOUND", /nowhere/);
  await refuses(Clip.load(demoFiles("clip"), { context: missing }), "NOT_FOUND");
});

test("models come from directories, files, bytes and servers", async () => {
  const image = await picture("octopus-3d.png");
  const expected = await clip.classify(image, labels);
  const directory = join(demo, "clip-nano");
  const names = ["config.json", "preprocessor_config.json", "tokenizer.json", "model.safetensors"];
  const bytes = await Promise.all(names.map(async (name) => [name, new Uint8Array(await readFile(join(directory, name)))]));
  const asked = /** @type {string[]} */ ([]);
  const server = createServer(async (request, response) => {
    const name = new URL(request.url ?? "/", "http://localhost").pathname.slice(1);
    asked.push(name);
    const body = await readFile(join(directory, name)).catch(() => null);
    if (body) response.writeHead(200, { "content-length": body.length }).end(body);
    else response.writeHead(404).end();
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  const { port } = /** @type {any} */ (server.address());
  const progress = /** @type {any[]} */ ([]);
  const sources = [
    directory,
    pathToFileURL(directory),
    `http://127.0.0.1:${port}/`,
    Object.fromEntries(bytes),
    bytes.map(([name, it]) => new File([/** @type {any} */ (it)], /** @type {string} */ (name))),
    { ...Object.fromEntries(bytes), "model.safetensors": new Blob([/** @type {any} */ (bytes[3][1])]) },
  ];
  for (const source of sources) {
    const it = await Clip.load(/** @type {any} */ (source), { progress: (at) => progress.push(at) });
    assert.deepEqual(await it.classify(image, labels), expected);
    it.close();
  }
  // What the caller gave is still the caller's.
  assert.equal(bytes[3][1].length, (await readFile(join(directory, "model.safetensors"))).length);
  assert(asked.includes("model.safetensors"));
  assert(progress.some(({ stage, totalBytes }) => stage === "download" && totalBytes > 1e6));
  assert(progress.some(({ stage }) => stage === "compute"));
  await refuses(Clip.load(`http://127.0.0.1:${port}/none/`), "NOT_FOUND");
  const abort = new AbortController();
  const loading = Clip.load(`http://127.0.0.1:${port}/`, { signal: abort.signal });
  abort.abort();
  await assert.rejects(loading, { name: "AbortError" });
  server.close();
});

test("the program of the documentation runs", async () => {
  const [program] = native.programsOf(await readFile(process.env.VITRUM_DOCS ?? "", "utf8")).filter((it) => it.includes("node:"));
  await writeFile("program.mjs", program);
  await copyFile(picturePath("octopus-3d.png"), "picture.png");
  const printed = execFileSync(process.execPath, ["program.mjs"], { encoding: "utf8", timeout: 60_000 });
  const [octopus, house] = printed.match(/0\.\d+/g)?.map(Number) ?? [];
  assert(octopus > 0.9 && house < 0.1, printed);
});

test("what is closed is freed: memory does not grow", async () => {
  const context = new Context();
  const once = async () => {
    const it = await Clip.load(demoFiles("clip"), { context, weights: "int8" });
    await it.classify(await picture("octopus-3d.png"), labels);
    it[Symbol.dispose]();
    const vectors = await Vectors.create(new Float32Array(2e6), { dim: 100, context });
    (await vectors.quantize()).close();
    vectors.close();
  };
  for (let i = 0; i < 3; i++) await once();
  const before = context.memoryBytes;
  for (let i = 0; i < 12; i++) await once();
  await context.trim();
  assert.equal(context.memoryBytes, before);
  context.close();
});
