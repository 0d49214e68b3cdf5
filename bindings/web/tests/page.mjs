// The built page in headless Chromium: everything it does, against the native command, with and without isolation from other
// origins. Run by bindings/web/check. Pictures of it go to the directory VITRUM_SCREENSHOTS.
import assert from "node:assert/strict";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PNG } from "pngjs";
import { chromium } from "playwright-core";
import { Sam, demo as demoFiles } from "vitrum";
import { demo, iou, json, picture, picturePath, pixelsOf, programsOf, vitrum } from "./native.mjs";
import { serve } from "./serve.mjs";

const screenshots = process.env.VITRUM_SCREENSHOTS ?? tmpdir();
const pageDirectory = process.env.VITRUM_PAGE ?? "";
const GARDEN = picturePath("garden-scene-3d.png");
const OCTOPUS = picturePath("octopus-3d.png");
const SIZE = { width: 512, height: 384 };
const file = join(tmpdir(), `vitrum-page-${process.pid}.embedding`);
/** What the page asks for, so that it is asked for here, too. */
const TIDY = { maxHoleArea: 24, maxSprinkleArea: 24 };

await mkdir(screenshots, { recursive: true });
const browser = await chromium.launch({
  executablePath: process.env.VITRUM_CHROMIUM ?? "/usr/bin/chromium",
  // As root, as in a container, Chromium has no sandbox.
  args: ["--no-sandbox"],
});
const sam = await Sam.load(demoFiles("sam"));
const encoded = await sam.encode(await picture("garden-scene-3d.png"));

/** One page and what is done with it. */
class Visit {
  /** @param {boolean} isolated @param {import("playwright-core").BrowserContextOptions} options */
  static async begin(isolated, options) {
    const self = new Visit();
    self.requests = /** @type {string[]} */ ([]);
    self.server = await serve(pageDirectory, { isolated, onRequest: (path) => self.requests.push(path) });
    self.context = await browser.newContext({ acceptDownloads: true, ...options });
    // Machines that build other things meanwhile are slow.
    self.context.setDefaultTimeout(90_000);
    self.page = await self.context.newPage();
    self.trouble = /** @type {string[]} */ ([]);
    self.foreign = /** @type {string[]} */ ([]);
    self.page.on("pageerror", (error) => self.trouble.push(String(error.stack ?? error)));
    self.page.on("console", (message) => ["error", "warning"].includes(message.type()) && self.trouble.push(message.text()));
    self.context.on("request", (request) => {
      const url = request.url();
      if (!url.startsWith(self.server.address) && !/^(blob|data):/.test(url)) self.foreign.push(url);
    });
    await self.open();
    return self;
  }

  async open() {
    await this.page.goto(this.server.address);
    await this.page.waitForSelector("html[data-ready=yes]");
    await this.until("#offline", /ready/);
  }

  /** Waits until the text of an element is as expected. @param {string} selector @param {RegExp} pattern */
  async until(selector, pattern) {
    await this.page.waitForFunction(([selector, source]) => new RegExp(source).test(document.querySelector(selector)?.textContent ?? ""),
      /** @type {const} */ ([selector, pattern.source]), { timeout: 90_000 });
  }

  /** Chooses a picture, and waits until it is shown. @param {string} path */
  async choose(path) {
    const before = await this.page.evaluate(() => document.documentElement.dataset.opened);
    await this.page.setInputFiles("#picture-file", path);
    await this.page.waitForFunction((before) => document.documentElement.dataset.opened !== before, before);
  }

  /** @param {string} selector */
  text(selector) {
    return this.page.locator(selector).innerText();
  }

  /** Where a pixel of the picture is on the screen. @param {number} x @param {number} y @param {{ width: number, height: number }} size */
  async place(x, y, { width, height } = SIZE) {
    await this.page.locator("#stage").scrollIntoViewIfNeeded();
    const box = await this.page.locator("#stage").boundingBox();
    assert(box);
    return /** @type {const} */ ([box.x + ((x + 0.5) / width) * box.width, box.y + ((y + 0.5) / height) * box.height]);
  }

  /** @param {number} x @param {number} y @param {{ width: number, height: number }} [size] */
  async click(x, y, size) {
    await this.page.mouse.click(...(await this.place(x, y, size)));
  }

  /** What the canvas shows at a pixel of the picture. @param {number} x @param {number} y @returns {Promise<number[]>} */
  async shown(x, y) {
    await this.page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
    return this.page.evaluate(([x, y, width]) => {
      const canvas = /** @type {HTMLCanvasElement} */ (document.getElementById("stage"));
      const zoom = canvas.width / width;
      return [...(canvas.getContext("2d")?.getImageData(Math.round((x + 0.5) * zoom), Math.round((y + 0.5) * zoom), 1, 1).data ?? [])];
    }, /** @type {const} */ ([x, y, SIZE.width]));
  }

  /** @param {string} name */
  async shoot(name) {
    await this.page.screenshot({ path: join(screenshots, `${name}.png`) });
  }

  /** The file that a button saves. @param {string} selector */
  async saved(selector) {
    const [download] = await Promise.all([this.page.waitForEvent("download"), this.page.click(selector)]);
    return readFile(/** @type {string} */ (await download.path()));
  }

  /** The mask of the cut-out that is saved, in a box: what is not transparent. */
  async cutout() {
    const { data, width, height } = PNG.sync.read(await this.saved("#save-cutout"));
    return { width, height, mask: Uint8Array.from({ length: width * height }, (_, i) => (data[4 * i + 3] ? 1 : 0)), data };
  }

  /** Fails unless the cut-out is that of these pixels. @param {Uint8Array} pixels @param {number} [least] */
  async isCutOf(pixels, least = 0.99) {
    const { width, height, mask, data } = await this.cutout();
    const { left, top, right, bottom } = boxOf(pixels);
    assert(Math.abs(right - left - width) <= 2 && Math.abs(bottom - top - height) <= 2, `${width} x ${height}`);
    const own = new Uint8Array(width * height);
    const { data: original } = await picture("garden-scene-3d.png");
    for (let y = 0, i = 0; y < height; y++) {
      for (let x = 0; x < width; x++, i++) {
        const at = (y + top) * SIZE.width + x + left;
        own[i] = pixels[at];
        // What is cut out has the picture's colours.
        if (mask[i] && own[i]) assert.deepEqual([...data.subarray(4 * i, 4 * i + 3)], [...original.subarray(4 * at, 4 * at + 3)]);
      }
    }
    assert(iou(mask, own) >= least, `IoU ${iou(mask, own)}`);
  }

  async end() {
    assert.deepEqual(this.foreign, []);
    assert.deepEqual(this.trouble, []);
    await this.context.close();
    this.server.close();
  }
}

/** @param {Uint8Array} pixels */
function boxOf(pixels) {
  const box = { left: SIZE.width, top: SIZE.height, right: 0, bottom: 0 };
  pixels.forEach((value, i) => {
    const [x, y] = [i % SIZE.width, Math.floor(i / SIZE.width)];
    if (value) Object.assign(box, { left: Math.min(box.left, x), top: Math.min(box.top, y), right: Math.max(box.right, x + 1), bottom: Math.max(box.bottom, y + 1) });
  });
  return box;
}

/** The mask that the package gives under Node, which node.test.mjs compares with the command's. @param {any} prompt @param {boolean} multimask */
async function expected(prompt, multimask) {
  return (await sam.predict(encoded, prompt, { multimask, lowRes: true, ...TIDY })).best;
}

/** @param {Visit} visit */
async function words(visit) {
  const { page } = visit;
  await visit.choose(OCTOPUS);
  await visit.until("#answers li", /octopus/);
  const asked = (await page.inputValue("#words")).replaceAll(", ", ",");
  const [{ labels }] = json("classify", OCTOPUS, "--labels", asked);
  const shown = await page.locator("#answers li").evaluateAll((lines) => lines.map((line) => (
    { label: line.querySelector("span")?.textContent, probability: Number(line.dataset.probability) })));
  assert.equal(shown.length, 7);
  shown.forEach(({ label, probability }, i) => {
    assert.equal(label, labels[i].label);
    assert(Math.abs(probability - labels[i].probability) < 1e-4, `${label}: ${probability}, not ${labels[i].probability}`);
  });
  await page.fill("#words", "squid\noctopus, jellyfish");
  await page.click("#ask");
  await visit.until("#answers li:nth-child(3)", /squid|jellyfish/);
  assert.equal(await page.locator("#answers li").count(), 3);
  await page.click("#ask-all");
  await visit.until("#answers li:nth-child(7)", /%/);
  const [{ labels: all }] = json("classify", OCTOPUS, "--labels-file", join(demo, "labels.txt"), "--top", "7");
  assert.equal(await visit.text("#answers li:first-child span:first-child"), all[0].label);
  await page.fill("#words", " , ");
  await page.click("#ask");
  await visit.until("#error", /Write some words/);
}

/** @param {Visit} visit @param {string} name */
async function cutout(visit, name) {
  const { page } = visit;
  await page.click("#tab-cutout");
  await visit.choose(GARDEN);
  // Clicks that come while the picture is encoded wait for that; the last one is answered.
  await visit.click(300, 340);
  await visit.click(120, 126);
  await visit.until("#selection", /estimated quality/);
  await page.click("#clear");
  await page.mouse.move(5, 5);
  await page.waitForSelector("#save-embedding:enabled", { state: "attached" });

  // Hovering shows the mask of a click in white, within the time of some frames.
  const untouched = await visit.shown(120, 126);
  await page.mouse.move(...(await visit.place(118, 126)));
  await page.mouse.move(...(await visit.place(120, 126)));
  await page.waitForFunction(([x, y, red]) => {
    const canvas = /** @type {HTMLCanvasElement} */ (document.getElementById("stage"));
    const zoom = canvas.width / 512;
    const [now] = canvas.getContext("2d")?.getImageData(x * zoom, y * zoom, 1, 1).data ?? [0];
    return now > red + 20;
  }, /** @type {const} */ ([120, 126, untouched[0]]));
  await visit.shoot(`${name}-hover`);

  // A click: the mask is lit, the rest is dark.
  await visit.click(120, 126);
  await visit.until("#selection", /pixels/);
  const at = { x: 120.5, y: 126.5 };
  const tree = await expected({ points: [at] }, true);
  await visit.isCutOf(tree.pixels);
  const outside = [300, 340];
  assert.equal(tree.pixels[outside[1] * SIZE.width + outside[0]], 0);
  const { data } = await picture("garden-scene-3d.png");
  const light = (/** @type {number[]} */ [r, g, b]) => r + g + b;
  const original = (/** @type {number} */ x, /** @type {number} */ y) => light([...data.subarray(4 * (y * 512 + x), 4 * (y * 512 + x) + 3)]);
  assert(light(await visit.shown(outside[0], outside[1])) < 0.65 * original(outside[0], outside[1]));
  assert(tree.pixels[170 * 512 + 100]);
  assert(Math.abs(light(await visit.shown(100, 170)) - original(100, 170)) < 24);
  await visit.shoot(`${name}-click`);

  // A smaller meaning of it, and more clicks; undone, it is the first again.
  const sizes = [...(await sam.predict(encoded, { points: [at] }, { lowRes: true, ...TIDY })).masks].sort((a, b) => a.area - b.area);
  await page.locator('input[name="size"][value="1"]').check({ force: true });
  await visit.isCutOf(sizes[1].pixels);
  await page.locator('input[name="mode"][value="remove"]').check({ force: true });
  await visit.click(110, 225);
  await page.waitForSelector("#sizes:disabled");
  const second = await expected({ points: [at, { x: 110.5, y: 225.5, label: 0 }], mask: sizes[1].lowRes }, false);
  await visit.isCutOf(second.pixels, 0.98);
  await page.click("#undo");
  await page.waitForSelector("#sizes:enabled");
  await visit.isCutOf(tree.pixels);
  await page.locator('input[name="mode"][value="add"]').check({ force: true });
  await page.click("#clear");
  await visit.until("#selection", /Nothing is selected/);

  // A box, dragged.
  await page.mouse.move(...(await visit.place(30, 295)));
  await page.mouse.down();
  await page.mouse.move(...(await visit.place(60, 330)), { steps: 3 });
  await page.mouse.move(...(await visit.place(100, 365)), { steps: 3 });
  await visit.shoot(`${name}-dragging`);
  await page.mouse.up();
  await visit.until("#selection", /pixels/);
  const [apple] = json("segment", GARDEN, "--box", "30.5,295.5,100.5,365.5");
  await visit.isCutOf(pixelsOf(apple.segmentation), 0.97);

  // Everything, and one thing of it.
  await page.click("#everything");
  await visit.until("#selection", /things were found/);
  const { records, embedding } = await sam.everything(await picture("garden-scene-3d.png"), { minMaskRegionArea: 24 });
  embedding.close();
  assert.match(await visit.text("#selection"), new RegExp(`^${records.length} things`));
  await visit.shoot(`${name}-everything`);
  await visit.click(300, 330);
  await visit.until("#selection", /pixels/);
  const smallest = records.filter(({ pixels }) => pixels[330 * 512 + 300]).sort((a, b) => a.area - b.area)[0];
  await visit.isCutOf(smallest.pixels);

  // By its name.
  await page.fill("#find-text", "a teddy bear");
  await page.click("#find button");
  await visit.until("#selection", /teddy bear.*probability/);
  const [bear] = json("segment", GARDEN, "--text", "a teddy bear");
  await visit.isCutOf(pixelsOf(bear.segmentation));
}

/** @param {Visit} visit */
async function embedding(visit) {
  const { page } = visit;
  await page.click("#panel-cutout summary");
  vitrum("segment", GARDEN, "--point", "1,1", "--save-embedding", file);
  await page.setInputFiles("#embedding-file", file);
  await visit.until("#selection", /embedding is of this picture/);
  await visit.click(120, 126);
  await visit.until("#selection", /estimated quality/);
  await visit.isCutOf((await expected({ points: [{ x: 120.5, y: 126.5 }] }, true)).pixels);
  // The page's own is read by the command.
  const bytes = await visit.saved("#save-embedding");
  await writeFile(file, bytes);
  const [tree] = json("segment", GARDEN, "--point", "120,126", "--embedding", file);
  assert(tree.area > 1000);
  // Of another picture, it is refused.
  vitrum("segment", OCTOPUS, "--point", "1,1", "--save-embedding", file);
  await page.setInputFiles("#embedding-file", file);
  await visit.until("#error", /another picture/);
  await rm(file);
}

/** @param {Visit} visit @param {boolean} isolated */
async function stopping(visit, isolated) {
  const { page } = visit;
  await page.click("#everything");
  await page.waitForSelector("#stop:visible");
  await page.click("#stop");
  const begin = performance.now();
  await page.waitForSelector("#busy", { state: "hidden" });
  await visit.click(120, 126);
  await visit.until("#selection", /estimated quality/);
  const waited = performance.now() - begin;
  console.log(`   after "Stop", the next click was answered in ${waited.toFixed(0)} ms${isolated ? "" : ", not isolated"}`);
  await page.click("#clear");
}

/** Threads where the page is isolated, with the bits of one; elsewhere one. @param {Visit} visit @param {boolean} isolated */
async function threads(visit, isolated) {
  const cores = await visit.page.evaluate(() => navigator.hardwareConcurrency);
  await visit.until("#simd", isolated && cores > 1 ? new RegExp(`SIMD, ${Math.min(cores, 8)} threads$`) : /SIMD$/);
  const context = await browser.newContext({ serviceWorkers: "block" });
  const page = await context.newPage();
  const headers = isolated ? { "cross-origin-opener-policy": "same-origin", "cross-origin-embedder-policy": "require-corp" } : {};
  await page.route("**/empty.html", (route) => route.fulfill({ body: "<!doctype html>", contentType: "text/html", headers }));
  await page.goto(`${visit.server.address}empty.html`);
  assert.equal(await page.evaluate(() => crossOriginIsolated), isolated);
  // The last one's thread is not found.
  await page.route("**/thread.js", (route) => route.fallback({ url: `${visit.server.address}${asked++ < 1 ? "vitrum/src/thread.js" : "nowhere.js"}` }));
  let asked = 0;
  visit.requests.length = 0;
  const found = await page.evaluate(async () => {
    const index = "./vitrum/src/index.js";
    const { Context, Sam, demo } = await import(index);
    const image = await (await fetch("samples/garden-scene-3d.png")).blob();
    const out = [];
    for (const threads of [1, 2, 2]) {
      const context = new Context({ threads });
      const ready = await context.ready;
      const sam = await Sam.load(demo("sam"), { context });
      const values = [...await (await sam.encode(image)).values()];
      let fastest = Infinity;
      for (let i = 0; i < 5; i++) {
        (await sam.encode(image)).close();
        fastest = Math.min(fastest, context.lastMilliseconds);
      }
      out.push({ threads: ready.threads, warnings: ready.warnings, fastest, values });
      context.close();
    }
    return out;
  });
  assert.deepEqual(found.map(({ threads }) => threads), isolated ? [1, 2, 1] : [1, 1, 1]);
  const patterns = isolated ? [/^$/, /^$/, /^a thread did not start/] : [/^$/, /one thread, not 2/, /one thread, not 2/];
  found.forEach(({ warnings, values }, i) => {
    assert.match(warnings.join(), patterns[i]);
    assert(values.length > 1000);
    assert.deepEqual(values, found[0].values);
  });
  // One module for all, and nothing of threads where there are none.
  const [one, two] = [/\.wasm$/, /thread\.js$/].map((it) => visit.requests.filter((path) => it.test(path)));
  assert.deepEqual([[...new Set(one)], two.length], [["/vitrum/src/vitrum.wasm"], isolated ? 1 : 0]);
  await context.close();
  if (isolated) console.log(`   two threads take ${(found[1].fastest / found[0].fastest).toFixed(2)} times as long as one, which takes ${found[0].fastest.toFixed(0)} ms, on ${cores} cores`);
}

/** Everything by keyboard. @param {Visit} visit */
async function keyboard(visit) {
  const { page } = visit;
  await page.locator("#tab-follow").focus();
  await page.keyboard.press("ArrowLeft");
  assert.equal(await page.getAttribute("#tab-cutout", "aria-selected"), "true");
  await page.waitForSelector("#save-embedding:enabled", { state: "attached" });
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement?.id), "stage");
  // From the middle, in steps of a hundredth of the width, with shift of a tenth.
  for (let i = 0; i < 3; i++) await page.keyboard.press("Shift+ArrowLeft");
  await page.keyboard.press("Shift+ArrowUp");
  await page.keyboard.press("ArrowUp");
  await page.keyboard.press("Enter");
  await visit.until("#selection", /estimated quality/);
  await page.keyboard.press("Backspace");
  await visit.until("#selection", /Nothing is selected/);
}

/** @param {Visit} visit @param {string} name */
async function follow(visit, name) {
  const { page } = visit;
  const size = { width: 256, height: 256 };
  await page.click("#tab-follow");
  await visit.until("#frame-number", /1 \/ 28/);
  await page.setInputFiles("#picture-file", join(demo, "clips/tree.gif"));
  await visit.until("#frame-number", /1 \/ 28/);
  await visit.click(36, 150, size);
  await visit.until("#follow-say", /Now follow it/);
  await visit.shoot(`${name}-follow-click`);
  await page.click("#follow");
  await visit.until("#follow-say", /Followed through 28 frames/);
  const records = JSON.parse(String(await visit.saved("#save-masks")));
  const lines = json("track", join(demo, "clips/tree.gif"), "--point", "36.5,150.5");
  assert.equal(records.length, lines.length);
  records.forEach((/** @type {any} */ record, /** @type {number} */ i) => {
    assert.equal(record.frame, i);
    assert(iou(pixelsOf(record.segmentation), pixelsOf(lines[i].segmentation)) >= 0.99, `frame ${i}`);
  });
  await page.click("#play");
  await visit.shoot(`${name}-follow`);
  console.log(`   a frame: ${await visit.text("#time")}, memory: ${await visit.text("#memory")}`);
}

/** A film, as the browser itself records one: a square that moves. @param {Visit} visit */
async function film(visit) {
  const { page } = visit;
  await page.evaluate(async () => {
    const canvas = Object.assign(document.createElement("canvas"), { width: 320, height: 240 });
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    const recorder = new MediaRecorder(canvas.captureStream(30), { mimeType: "video/webm" });
    /** @type {Blob[]} */
    const parts = [];
    recorder.addEventListener("dataavailable", ({ data }) => parts.push(data));
    const stopped = new Promise((resolve) => recorder.addEventListener("stop", resolve));
    recorder.start();
    for (let i = 0; i < 40; i++) {
      context.fillStyle = "#88bbee";
      context.fillRect(0, 0, 320, 240);
      context.fillStyle = "#d02030";
      context.fillRect(40 + 3 * i, 80, 70, 70);
      await new Promise((resolve) => setTimeout(resolve, 40));
    }
    recorder.stop();
    await stopped;
    const files = new DataTransfer();
    files.items.add(new File(parts, "square.webm", { type: "video/webm" }));
    const input = /** @type {HTMLInputElement} */ (document.getElementById("picture-file"));
    input.files = files.files;
    input.dispatchEvent(new Event("change"));
  });
  // It is none of the samples.
  await page.waitForSelector('#samples [aria-pressed="true"]', { state: "detached" });
  await visit.until("#frame-number", /^1 \/ \d+$/);
  await visit.click(70, 110, { width: 320, height: 240 });
  await visit.until("#follow-say", /Now follow it/);
  await page.click("#follow");
  await visit.until("#follow-say", /Followed through/);
  const records = JSON.parse(String(await visit.saved("#save-masks")));
  // The square goes to the right.
  const middles = records.map((/** @type {any} */ { segmentation }) => {
    const pixels = pixelsOf(segmentation);
    let [sum, area] = [0, 0];
    pixels.forEach((value, i) => value && ((sum += i % 320), area++));
    return sum / area;
  });
  assert(middles.length >= 8 && middles.at(-1) > middles[0] + 40, String(middles));
}

/** @param {Visit} visit */
async function ownModel(visit) {
  const { page } = visit;
  await page.click("#tab-words");
  await page.fill("#words", "octopus, house");
  await page.click("#own summary");
  const names = ["config.json", "preprocessor_config.json", "tokenizer.json", "model.safetensors"];
  await page.setInputFiles("#model-files", names.map((it) => join(demo, "clip-nano", it)));
  await visit.until("#model-note", /from your files, \d+ MB/);
  await page.setInputFiles("#model-files", join(demo, "sam-nano/model.safetensors"));
  await visit.until("#error", /./);
  await page.click("#demo-model");
  await visit.until("#model-name", /Demo CLIP/);
}

/** Names for what can be used, contrast, and no scrolling sideways. @param {Visit} visit */
async function accessible(visit) {
  const problems = await visit.page.evaluate((width) => {
    /** @type {string[]} */
    const found = [];
    for (const it of document.querySelectorAll("button, input, textarea, canvas, [role]")) {
      const element = /** @type {any} */ (it);
      const name = element.getAttribute("aria-label") ?? element.labels?.[0]?.textContent ?? element.textContent
        ?? element.querySelector("img")?.alt;
      const named = element.getAttribute("aria-labelledby") || (name ?? "").trim() || element.querySelector?.("img")?.alt;
      if (!named && !["status", "alert"].includes(element.getAttribute("role"))) found.push(`no name: ${element.outerHTML.slice(0, 90)}`);
    }
    for (const image of document.images) if (!image.hasAttribute("alt")) found.push(`no alt: ${image.src}`);
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const luminance = (/** @type {string[]} */ colors) => {
      for (const color of colors) {
        if (!canvas) return 0;
        canvas.fillStyle = color;
        canvas.fillRect(0, 0, 1, 1);
      }
      const [r, g, b] = [...(canvas?.getImageData(0, 0, 1, 1).data ?? [])].map((it) => it / 255)
        .map((it) => (it <= 0.04045 ? it / 12.92 : ((it + 0.055) / 1.055) ** 2.4));
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    for (const it of document.querySelectorAll("h1, h2, h3, p, label, legend, button, dt, dd, summary, li span")) {
      const element = /** @type {HTMLElement} */ (it);
      if (!element.offsetParent || !element.textContent?.trim() || element.matches(":disabled, fieldset:disabled *, .say")) continue;
      /** @type {string[]} */
      const backs = [];
      for (let up = /** @type {HTMLElement | null} */ (element); up; up = up.parentElement) backs.unshift(getComputedStyle(up).backgroundColor);
      const [back, ink] = [luminance(["white", ...backs]), luminance([getComputedStyle(element).color])];
      const contrast = (Math.max(back, ink) + 0.05) / (Math.min(back, ink) + 0.05);
      if (contrast < 4.5) found.push(`contrast ${contrast.toFixed(2)}: ${element.textContent.trim().slice(0, 40)}`);
    }
    // Not `innerWidth`: a phone shows more of a page that is too wide.
    if (document.documentElement.scrollWidth > width) found.push(`${document.documentElement.scrollWidth} pixels wide`);
    return found;
  }, visit.page.viewportSize()?.width ?? 0);
  assert.deepEqual(problems, []);
}

/** The programs of the documentation, each in a page with a picture. @param {Visit} visit */
async function documentation(visit) {
  const programs = programsOf(await readFile(process.env.VITRUM_DOCS ?? "", "utf8")).filter((it) => !it.includes("node:"));
  assert(programs.length >= 4);
  // A service worker would ask the server itself for the page that is made here.
  const context = await browser.newContext({ serviceWorkers: "block" });
  visit.requests.length = 0;
  for (const program of programs) {
    const page = await context.newPage();
    /** @type {string[]} */
    const said = [];
    page.on("console", (message) => said.push(`${message.type()}: ${message.text()}`));
    page.on("pageerror", (error) => said.push(`error: ${error.message}`));
    const html = `<!doctype html><meta charset="utf-8">
      <script type="importmap">{ "imports": { "vitrum": "./vitrum/src/index.js" } }</script>
      <img src="samples/octopus-3d.png"><script type="module">${program}\ndocument.title = "done";</script>`;
    await page.route("**/program.html", (route) => route.fulfill({ body: html, contentType: "text/html" }));
    await page.goto(`${visit.server.address}program.html`);
    await page.waitForFunction(() => document.title === "done").catch((error) => assert.fail(`${program}\n${said.join("\n")}\n${error}`));
    assert(said.length > 0 && !said.some((it) => it.startsWith("error")), said.join("\n"));
    await page.close();
  }
  await context.close();
  // Two programs load the CLIP, and the second takes it from the cache.
  const fetched = visit.requests.filter((path) => path.endsWith(".safetensors"));
  assert.equal(fetched.length, 3);
  assert.equal(new Set(fetched).size, 3);
  console.log(`   ${programs.length} programs of the documentation run`);
}

const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 };
const DESKTOP = { viewport: { width: 1440, height: 900 } };
try {
  for (const isolated of [false, true]) {
    const name = isolated ? "isolated" : "plain";
    console.log(`-- ${name}`);
    const visit = await Visit.begin(isolated, { ...DESKTOP, colorScheme: isolated ? "dark" : "light" });
    assert.equal(await visit.page.evaluate(() => crossOriginIsolated), isolated);
    await visit.shoot(`${name}-words`);
    if (isolated) await documentation(visit);
    await threads(visit, isolated);
    // Everything is there now: from here on, the server is asked for nothing, and there is no network.
    await visit.open();
    visit.requests.length = 0;
    await visit.context.setOffline(true);
    await visit.open();
    await words(visit);
    await cutout(visit, name);
    await embedding(visit);
    await stopping(visit, isolated);
    await follow(visit, name);
    await film(visit);
    await keyboard(visit);
    await ownModel(visit);
    await accessible(visit);
    // Browsers look for a newer service worker when they like to.
    assert.deepEqual(visit.requests.filter((path) => path !== "/sw.js"), []);
    // That, and that these tests read the canvas.
    visit.trouble = visit.trouble.filter((text) => !/sw\.js|ERR_INTERNET_DISCONNECTED|willReadFrequently/.test(text));
    await visit.end();
  }

  console.log("-- phone and desktop, light and dark");
  for (const colorScheme of /** @type {const} */ (["light", "dark"])) {
    for (const [device, options] of /** @type {const} */ ([["phone", PHONE], ["desktop", DESKTOP]])) {
      const visit = await Visit.begin(false, { ...options, colorScheme, reducedMotion: "reduce" });
      for (const tab of ["words", "cutout", "follow"]) {
        await visit.page.click(`#tab-${tab}`);
        await visit.page.waitForSelector("#busy", { state: "hidden" });
        if (tab === "words") await visit.until("#answers li", /octopus/);
        if (tab === "cutout") await visit.page.waitForSelector("#save-embedding:enabled", { state: "attached" });
        if (tab === "follow") await visit.until("#frame-number", /1 \/ 28/);
        await accessible(visit);
        await visit.shoot(`${device}-${colorScheme}-${tab}`);
      }
      if (device === "phone") {
        await visit.page.click("#tab-cutout");
        await visit.page.waitForSelector("#save-embedding:enabled", { state: "attached" });
        await visit.page.touchscreen.tap(...(await visit.place(120, 126)));
        await visit.until("#selection", /estimated quality/);
        await visit.shoot(`${device}-${colorScheme}-tap`);
      }
      await visit.end();
    }
  }
  console.log("page: ok");
} finally {
  await browser.close();
}
