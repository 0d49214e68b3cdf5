// The tab that cuts out: SAM. The picture is encoded once; then every click, box or hovering asks for masks.
import { Embedding } from "./vitrum/src/index.js";
import { $ } from "./app.js";
import { contexts } from "./models.js";
import { save } from "./save.js";

/** @typedef {import("./stage.js").Dot} Dot */
/** @typedef {import("./stage.js").Box} Box */

export const COLORS = ["#2fd6a8", "#ffb02e", "#6aa5ff", "#ff6f91", "#b98cff", "#d7e34a", "#3fd0e6", "#ff8a4c"];
/** Holes and islands up to this area, in values of a low-resolution mask, are none that anyone wants to cut out. */
const SPECK = 24;

const TIDY = { maxHoleArea: SPECK, maxSprinkleArea: SPECK };

/** How to point, with what there is to point with. */
export const HINT = matchMedia("(pointer: coarse)").matches ? "Tap a thing. For a box, tap or drag its corners."
  : "Click a thing, or drag a box around it. By keyboard: arrows, Enter, Backspace.";

export class Cutout {
  /** @param {import("./app.js").AppType} app */
  constructor(app) {
    this.app = app;
    /** @type {Embedding | null} */
    this.embedding = null;
    /** The masks of the last prompt, from the smallest to the largest. @type {import("./vitrum/src/mask.js").Mask[]} */
    this.masks = [];
    this.chosen = 0;
    /** What was found without clicking. @type {import("./stage.js").Layer[]} */
    this.found = [];
    /** Dots and boxes in their order, each with the mask that was shown before it. @type {{ dots: Dot[], box: Box | null, lowRes?: Float32Array }[]} */
    this.steps = [];
    /** @type {{ picture: import("./app.js").Picture, work: Promise<void> } | null} */
    this.encoding = null;
    /** Which answer is the newest. */
    this.turn = 0;
    /** @type {{ x: number, y: number } | null} */
    this.wanted = null;
    this.isHovering = false;
    $("panel-cutout").addEventListener("change", (/** @type {any} */ { target }) => {
      if (target.name === "mode") app.stage.mode = target.value;
      if (target.name === "size") this.choose(Number(target.value));
    });
    $("undo").addEventListener("click", () => this.undo());
    $("clear").addEventListener("click", () => this.clear());
    $("everything").addEventListener("click", () => void this.everything());
    $("find").addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      void this.find($("find-text").value.trim());
    });
    $("save-cutout").addEventListener("click", () => void this.saveCutout());
    $("save-embedding").addEventListener("click", () => void this.saveEmbedding());
    $("embedding-file").addEventListener("change", (/** @type {any} */ { target }) => {
      const [file] = target.files;
      target.value = "";
      if (file) void this.loadEmbedding(file);
    });
  }

  get dots() {
    return this.steps.at(-1)?.dots ?? [];
  }

  get box() {
    return this.steps.at(-1)?.box ?? null;
  }

  /** The picture is another one. */
  reset() {
    this.embedding?.close();
    this.embedding = null;
    Object.assign(this, { masks: [], found: [], steps: [], wanted: null });
    this.turn++;
    this.buttons();
  }

  /** The model is another one. */
  forget() {
    this.reset();
  }

  async enter() {
    const { app } = this;
    app.stage.mode = /** @type {any} */ (document.querySelector('input[name="mode"]:checked')).value;
    this.show();
    if (!this.embedding) await this.encode();
    this.hint();
  }

  hint() {
    if (this.app.tab === "cutout") this.app.hint(this.embedding ? HINT : "The picture must be encoded first.");
  }

  /** Encodes the picture; who asks meanwhile waits for the same. */
  async encode() {
    const { picture } = this.app;
    if (!picture) return;
    if (this.encoding?.picture !== picture) {
      const work = this.encodeNow(picture).finally(() => {
        if (this.encoding?.work === work) this.encoding = null;
      });
      this.encoding = { picture, work };
    }
    await this.encoding.work;
  }

  /** @param {import("./app.js").Picture} picture */
  async encodeNow(picture) {
    const { app } = this;
    app.hint("The picture is encoded, once. Then clicks are fast.");
    const embedding = await app.work("Encoding the picture", async (signal, progress) => {
      const sam = await app.model("sam");
      const it = await sam.encode(picture.image, { signal, progress });
      app.took("Encoding", contexts.pictures.lastMilliseconds);
      return it;
    });
    if (embedding) this.keep(embedding, picture);
  }

  /** @param {Embedding} embedding @param {import("./app.js").Picture} picture */
  keep(embedding, picture) {
    if (picture !== this.app.picture) return embedding.close();
    this.embedding?.close();
    this.embedding = embedding;
    this.buttons();
    this.hint();
  }

  /** The embedding, made if there is none. */
  async ready() {
    if (!this.embedding) await this.encode();
    return this.embedding;
  }

  /** @param {Dot} dot */
  async dot(dot) {
    // Of the things that were found, one is taken as it is.
    if (this.found.length > 1 && dot.label === 1) {
      const at = Math.floor(dot.y) * (this.app.picture?.width ?? 0) + Math.floor(dot.x);
      const one = this.found.findLast(({ data }) => data[at]);
      if (one) return this.take(one);
    }
    const before = this.masks[this.chosen];
    await this.step({ dots: [...this.dots, dot], box: this.box, lowRes: before?.lowRes });
  }

  /** @param {import("./stage.js").Layer} layer */
  take({ data, width, height }) {
    this.found = [{ data, width, height, color: COLORS[0] }];
    this.show();
    this.tell(`${area(data)} pixels.`);
  }

  /** @param {Box} box */
  async boxed(box) {
    await this.step({ dots: [], box });
  }

  /** @param {{ dots: Dot[], box: Box | null, lowRes?: Float32Array }} step */
  async step(step) {
    this.found = [];
    this.steps.push(step);
    this.show();
    await this.predict();
  }

  async predict() {
    const { app, turn } = { app: this.app, turn: ++this.turn };
    const step = this.steps.at(-1);
    this.app.stage.preview = null;
    if (!step) {
      this.masks = [];
      return this.show();
    }
    const embedding = await this.ready();
    if (!embedding || turn !== this.turn) return;
    // One click may mean a part or the whole; more of it means one thing.
    const multimask = step.dots.length === 1 && !step.box;
    const prompt = {
      points: step.dots, ...(step.box && { box: step.box }), ...(!multimask && step.lowRes && { mask: step.lowRes }),
    };
    const prediction = await app.work("Asking", async (signal) => {
      const sam = await app.model("sam");
      const answer = await sam.predict(embedding, prompt, { signal, multimask, lowRes: true, ...TIDY });
      app.took("A click", contexts.pictures.lastMilliseconds);
      return answer;
    });
    if (!prediction || turn !== this.turn) return;
    const { best } = prediction;
    this.masks = [...prediction.masks].sort((a, b) => a.area - b.area);
    this.choose(this.masks.indexOf(best));
  }

  /** @param {number} index */
  choose(index) {
    this.chosen = index;
    const radio = document.querySelector(`input[name="size"][value="${index}"]`);
    if (radio && this.masks.length > 1) /** @type {HTMLInputElement} */ (radio).checked = true;
    this.show();
    const mask = this.masks[index];
    if (mask) this.tell(`${area(mask.pixels)} pixels, estimated quality ${(100 * Math.min(1, mask.score)).toFixed(0)} %.`);
  }

  /** What is selected, in words. @param {string} text */
  tell(text) {
    $("selection").textContent = text;
  }

  show() {
    const { stage, tab, picture } = this.app;
    if (tab !== "cutout" || !picture) return this.buttons();
    const mask = this.masks[this.chosen];
    stage.dots = this.dots;
    stage.box = this.box;
    stage.dims = mask !== undefined || this.found.length === 1;
    stage.layers = mask ? [{ data: mask.pixels, color: COLORS[0], width: mask.width, height: mask.height }] : this.found;
    if (!mask && this.found.length === 0) this.tell("Nothing is selected.");
    stage.redraw();
    this.buttons();
  }

  buttons() {
    const hasMask = this.masks.length > 0 || this.found.length === 1;
    $("save-cutout").disabled = !hasMask;
    $("undo").disabled = this.steps.length === 0;
    $("clear").disabled = this.steps.length === 0 && this.found.length === 0;
    $("sizes").disabled = this.masks.length !== 3;
    $("save-embedding").disabled = this.embedding === null;
  }

  undo() {
    this.steps.pop();
    this.masks = [];
    void this.predict();
  }

  clear() {
    Object.assign(this, { steps: [], masks: [], found: [] });
    this.turn++;
    this.app.stage.corner = null;
    this.app.stage.preview = null;
    this.show();
  }

  /** Shows what a click would select, as long as nothing is. @param {{ x: number, y: number } | null} at */
  async hover(at) {
    const { stage } = this.app;
    this.wanted = at;
    if (!at || this.steps.length > 0 || this.found.length > 0) {
      if (stage.preview) {
        stage.preview = null;
        stage.redraw();
      }
      return;
    }
    // One question at a time; the newest place is asked next.
    if (this.isHovering || this.app.job || !this.embedding || stage.mode === "box") return;
    this.isHovering = true;
    try {
      while (this.wanted && this.steps.length === 0 && this.embedding && !this.app.job) {
        const { x, y } = this.wanted;
        const { embedding, turn } = this;
        const sam = await this.app.model("sam");
        const { best } = await sam.predict(embedding, { points: [[x, y]] }, { only: "best", ...TIDY });
        if (turn !== this.turn || embedding !== this.embedding || !this.wanted || this.app.tab !== "cutout") break;
        if (this.steps.length > 0 || this.found.length > 0) break;
        stage.preview = { data: best.pixels, color: "#ffffff", width: best.width, height: best.height };
        stage.redraw();
        this.app.took("A click", contexts.pictures.lastMilliseconds);
        if (this.wanted.x === x && this.wanted.y === y) break;
      }
    } catch (error) {
      this.app.fail(error);
    } finally {
      this.isHovering = false;
    }
  }

  async everything() {
    const { app } = this;
    const { picture } = app;
    if (!picture) return;
    this.clear();
    const result = await app.work("Looking everywhere", async (signal, progress) => {
      const sam = await app.model("sam");
      const answer = await sam.everything(picture.image, { signal, progress, minMaskRegionArea: SPECK });
      app.took("Everything", contexts.pictures.lastMilliseconds);
      return answer;
    });
    if (!result) return;
    this.keep(result.embedding, picture);
    if (picture !== app.picture) return;
    // Large ones below, so that small ones stay in sight; a pixel has the colour of the smallest that it is in.
    this.found = [...result.records].sort((a, b) => b.area - a.area).map((record, i) => (
      { data: record.pixels, color: COLORS[i % COLORS.length], width: record.width, height: record.height }));
    const taken = new Uint8Array(picture.width * picture.height);
    for (const layer of this.found.toReversed()) {
      layer.own = layer.data.map((value, i) => (value && !taken[i] ? 1 : 0));
      layer.data.forEach((value, i) => (taken[i] |= value));
    }
    this.show();
    this.tell(`${this.found.length} things were found. Click one to cut it out.`);
  }

  /** @param {string} text */
  async find(text) {
    const { app } = this;
    const { picture } = app;
    if (!picture || !text) return;
    this.clear();
    const result = await app.work(`Looking for ${text}`, async (signal, progress) => {
      const [clip, sam] = [await app.model("clip"), await app.model("sam")];
      const answer = await sam.ground(clip, picture.image, [text], { signal, progress });
      app.took("Finding", contexts.pictures.lastMilliseconds);
      return answer;
    });
    if (!result) return;
    this.keep(result.embedding, picture);
    if (picture !== app.picture) return;
    const [match] = result.matches;
    if (!match) {
      this.show();
      return this.tell(`Nothing was found for “${text}”.`);
    }
    this.found = [{ data: match.record.pixels, color: COLORS[0], width: picture.width, height: picture.height }];
    this.show();
    this.tell(`“${text}” with a probability of ${(100 * match.probability).toFixed(0)} %.`);
  }

  async saveCutout() {
    const { picture } = this.app;
    const data = this.masks[this.chosen]?.pixels ?? this.found[0]?.data;
    if (!picture || !data) return;
    // As large as the thing.
    let [left, top, right, bottom] = [picture.width, picture.height, 0, 0];
    const image = new ImageData(picture.image.data.slice(), picture.width, picture.height);
    for (let y = 0, i = 0; y < picture.height; y++) {
      for (let x = 0; x < picture.width; x++, i++) {
        if (data[i]) [left, top, right, bottom] = [Math.min(left, x), Math.min(top, y), Math.max(right, x + 1), Math.max(bottom, y + 1)];
        else image.data.fill(0, 4 * i, 4 * i + 4);
      }
    }
    if (right <= left) return this.app.fail(new Error("The mask is empty."));
    const canvas = Object.assign(document.createElement("canvas"), { width: right - left, height: bottom - top });
    canvas.getContext("2d")?.putImageData(image, -left, -top);
    const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
    if (blob) save(/** @type {Blob} */ (blob), `${picture.name.replace(/\.\w+$/, "")}-cutout.png`);
  }

  async saveEmbedding() {
    const { picture } = this.app;
    if (!this.embedding || !picture) return;
    const bytes = await this.embedding.save();
    save(new Blob([/** @type {Uint8Array<ArrayBuffer>} */ (bytes)]), `${picture.name.replace(/\.\w+$/, "")}.embedding`);
  }

  /** An embedding that was made elsewhere takes the place of this one. @param {Blob} file */
  async loadEmbedding(file) {
    const { app } = this;
    const { picture } = app;
    if (!picture) return;
    const embedding = await app.work("Reading the embedding", async (signal) => {
      const sam = await app.model("sam");
      const it = await Embedding.load(sam, file, { signal });
      if ((await it.isOf(picture.image)) === false) {
        it.close();
        throw new Error("This embedding is of another picture than the one that is shown: choose that first.");
      }
      return it;
    });
    if (!embedding) return;
    this.clear();
    this.keep(embedding, picture);
    this.tell("The embedding is of this picture: click a thing.");
  }
}

/** @param {Uint8Array} data */
function area(data) {
  return data.reduce((sum, it) => sum + it, 0).toLocaleString("en");
}
