// The tab that follows: SAM 2 through a clip.
import { Rle, Tracker } from "./vitrum/src/index.js";
import { $ } from "./app.js";
import { COLORS, HINT } from "./cutout.js";
import { MOST_FRAMES, readClip } from "./frames.js";
import { contexts } from "./models.js";
import { save } from "./save.js";

/** @typedef {import("./stage.js").Dot} Dot */
/** @typedef {import("./stage.js").Box} Box */
/** What was said about a thing on a frame. @typedef {{ frame: number, object: number, dots: Dot[], box: Box | null }} Prompt */

export class Follow {
  /** @param {import("./app.js").AppType} app */
  constructor(app) {
    this.app = app;
    this.name = "";
    /** @type {import("./frames.js").Clip | null} */
    this.clip = null;
    /** @type {HTMLCanvasElement[]} */
    this.canvases = [];
    this.frame = 0;
    /** @type {Prompt[]} */
    this.prompts = [];
    this.object = 1;
    /** Masks by object, for each frame that was followed or prompted. @type {Map<number, Map<number, Uint8Array>>} */
    this.masks = new Map();
    this.isFollowed = false;
    /** What the frame that is prompted was encoded to. @type {{ frame: number, embedding: any } | null} */
    this.encoded = null;
    /** @type {{ clip: import("./frames.js").Clip, frame: number, work: Promise<any> } | null} */
    this.encoding = null;
    this.turn = 0;
    /** @type {ReturnType<typeof setTimeout> | null} */
    this.timer = null;
    $("panel-follow").addEventListener("change", (/** @type {any} */ { target }) => {
      if (target.name === "follow-mode") app.stage.mode = target.value;
    });
    $("follow").addEventListener("click", () => void this.follow());
    $("another").addEventListener("click", () => {
      this.object = Math.max(0, ...this.objects) + 1;
      this.tell("Click the other thing.");
      this.show();
    });
    $("follow-clear").addEventListener("click", () => this.clear());
    $("play").addEventListener("click", () => (this.timer ? this.pause() : this.play()));
    $("scrub").addEventListener("input", () => {
      this.pause();
      this.go(Number($("scrub").value));
    });
    $("save-masks").addEventListener("click", () => this.saveMasks());
  }

  /** Things that were pointed at. */
  get objects() {
    return [...new Set(this.prompts.map(({ object }) => object))];
  }

  /** What was said about the current thing on this frame. */
  get prompt() {
    return this.prompts.find(({ frame, object }) => frame === this.frame && object === this.object);
  }

  /** @param {number} object */
  color(object) {
    return COLORS[(object - 1) % COLORS.length];
  }

  async begin() {
    this.app.stage.mode = /** @type {any} */ (document.querySelector('input[name="follow-mode"]:checked')).value;
    if (!this.clip) await this.sample("tree.gif");
    else this.go(this.frame);
    if (!this.clip?.isCut) this.app.hint(HINT);
  }

  /** The model is another one. */
  forget() {
    this.encoded?.embedding.close();
    this.encoded = null;
    this.clear();
  }

  /** @param {string} file */
  async sample(file) {
    try {
      const response = await fetch(`samples/${file}`);
      if (!response.ok) throw new Error(`${file}: the server says ${response.status}`);
      await this.open(await response.blob(), file);
    } catch (error) {
      this.app.fail(error);
    }
  }

  /** @param {Blob} file @param {string} name */
  async open(file, name) {
    const { app } = this;
    this.pause();
    const clip = await app.work("Reading the clip", (_, progress) => readClip(file, (fraction) => progress({ fraction })));
    if (!clip) return;
    this.encoded?.embedding.close();
    Object.assign(this, { clip, name, frame: 0, encoded: null });
    this.canvases = clip.frames.map(({ image }) => {
      const canvas = Object.assign(document.createElement("canvas"), { width: clip.width, height: clip.height });
      canvas.getContext("2d")?.putImageData(image, 0, 0);
      return canvas;
    });
    $("scrub").max = clip.frames.length - 1;
    this.clear();
    app.showSamples();
    if (clip.isCut) app.hint(`Only the first ${MOST_FRAMES} frames are taken.`);
  }

  clear() {
    this.pause();
    Object.assign(this, { prompts: [], object: 1, masks: new Map(), isFollowed: false });
    this.turn++;
    this.tell("Click a thing on this frame.");
    this.go(0);
  }

  /** @param {number} frame */
  go(frame) {
    const { clip, app } = this;
    if (!clip) return;
    this.frame = frame;
    $("scrub").value = frame;
    $("frame-number").textContent = `${frame + 1} / ${clip.frames.length}`;
    $("scrub").setAttribute("aria-valuetext", `Frame ${frame + 1} of ${clip.frames.length}`);
    if (app.tab === "follow") app.stage.show(this.canvases[frame], clip.width, clip.height);
    this.show();
  }

  show() {
    const { stage, tab } = this.app;
    $("follow").disabled = this.prompts.length === 0;
    $("another").disabled = this.prompts.length === 0;
    $("follow-clear").disabled = this.prompts.length === 0;
    $("save-masks").disabled = !this.isFollowed;
    $("objects").replaceChildren(...this.objects.map((object) => {
      const [line, patch] = [document.createElement("li"), document.createElement("i")];
      patch.style.background = this.color(object);
      const frames = this.prompts.filter((it) => it.object === object).map(({ frame }) => frame + 1);
      line.append(patch, `Thing ${object}, pointed at on frame ${frames.join(", ")}`);
      return line;
    }));
    if (tab !== "follow" || !this.clip) return;
    const { width, height } = this.clip;
    stage.preview = null;
    stage.dots = this.timer ? [] : (this.prompt?.dots ?? []);
    stage.box = this.timer ? null : (this.prompt?.box ?? null);
    stage.layers = [...(this.masks.get(this.frame) ?? [])].map(([object, data]) =>
      ({ data, color: this.color(object), width, height }));
    stage.redraw();
  }

  /** @param {string} text */
  tell(text) {
    $("follow-say").textContent = text;
  }

  /** @param {Dot} dot */
  async dot(dot) {
    await this.say({ dots: [...(this.prompt?.dots ?? []), dot], box: this.prompt?.box ?? null });
  }

  /** @param {Box} box */
  async boxed(box) {
    await this.say({ dots: [], box });
  }

  undo() {
    const last = this.prompt;
    if (!last) return;
    void this.say({ dots: last.dots.slice(0, -1), box: last.dots.length > 0 ? last.box : null });
  }

  /** What is said about the current thing on this frame; its mask there comes at once. @param {{ dots: Dot[], box: Box | null }} said */
  async say({ dots, box }) {
    const { app, frame, object, clip } = this;
    if (!clip) return;
    this.pause();
    const turn = ++this.turn;
    this.prompts = this.prompts.filter((it) => it.frame !== frame || it.object !== object);
    const isEmpty = dots.length === 0 && !box;
    if (!isEmpty) this.prompts.push({ frame, object, dots, box });
    const here = this.masks.get(frame) ?? new Map();
    this.masks.set(frame, here);
    if (isEmpty) here.delete(object);
    this.show();
    if (isEmpty) return;
    const embedding = await this.encode(frame);
    if (!embedding || turn !== this.turn) return;
    const mask = await app.work("Asking", async (signal) => {
      const sam = await app.model("sam2");
      const prompt = { points: dots, ...(box && { box }) };
      const multimask = dots.length === 1 && !box;
      const { best } = await sam.predict(embedding, prompt, { signal, multimask, only: "best" });
      app.took("A click", contexts.clips.lastMilliseconds);
      return best;
    });
    if (!mask || turn !== this.turn) return;
    here.set(object, mask.pixels);
    this.tell(this.isFollowed ? "Follow again to take this into account." : "Now follow it, or click to put the mask right.");
    this.show();
  }

  /** The frame, encoded; who asks meanwhile waits for the same. @param {number} frame @returns {Promise<any>} */
  async encode(frame) {
    const { app, clip } = this;
    if (!clip || this.encoded?.frame === frame) return this.encoded?.embedding;
    if (this.encoding?.clip !== clip || this.encoding.frame !== frame) {
      const work = app.work("Encoding the frame", async (signal, progress) => {
        const sam = await app.model("sam2");
        return sam.encode(clip.frames[frame].image, { signal, progress });
      }).then((embedding) => {
        if (this.encoding?.work === work) this.encoding = null;
        if (!embedding || clip !== this.clip) return embedding?.close();
        this.encoded?.embedding.close();
        this.encoded = { frame, embedding };
        return embedding;
      });
      this.encoding = { clip, frame, work };
    }
    return this.encoding.work;
  }

  async follow() {
    const { app, clip } = this;
    if (!clip || this.prompts.length === 0) return;
    this.pause();
    this.turn++;
    const first = Math.min(...this.prompts.map(({ frame }) => frame));
    const total = clip.frames.length - first;
    this.masks = new Map();
    const milliseconds = await app.work("Following", async (signal, progress) => {
      const sam = await app.model("sam2");
      const begin = performance.now();
      const tracker = await Tracker.create(sam, { width: clip.width, height: clip.height });
      try {
        for (let frame = first; frame < clip.frames.length; frame++) {
          await tracker.push(clip.frames[frame].image, { signal });
          for (const { object, dots, box } of this.prompts.filter((it) => it.frame === frame)) {
            await tracker.addPoints(object, { points: dots, ...(box && { box }) }, { signal });
          }
          await tracker.step({ signal });
          const masks = await tracker.masks({ signal });
          this.masks.set(frame, new Map(masks.map(({ object, pixels }) => [object, pixels])));
          this.go(frame);
          progress({ fraction: (frame - first + 1) / total });
        }
      } finally {
        tracker.close();
      }
      return performance.now() - begin;
    });
    this.isFollowed = this.masks.size > 0;
    if (milliseconds !== undefined) {
      app.took("A frame", milliseconds / total);
      this.tell(`Followed through ${total} frames. Where it went wrong, click it and follow again.`);
      app.say("Followed to the end.");
      if (!matchMedia("(prefers-reduced-motion: reduce)").matches) this.play();
    }
    this.show();
  }

  play() {
    if (!this.clip) return;
    const next = () => {
      const { clip } = this;
      if (!clip || this.app.tab !== "follow") return this.pause();
      this.go((this.frame + 1) % clip.frames.length);
      this.timer = setTimeout(next, 1000 * clip.frames[this.frame].seconds);
    };
    this.timer = setTimeout(next, 0);
    this.button(true);
    this.app.stage.cursor = null;
  }

  pause() {
    if (this.timer) clearTimeout(this.timer);
    this.timer = null;
    this.button(false);
    this.show();
  }

  /** @param {boolean} plays */
  button(plays) {
    $("play").setAttribute("aria-label", plays ? "Pause" : "Play");
    $("play-shape").setAttribute("d", plays ? "M6 4h4v16H6zM14 4h4v16h-4z" : "M7 4v16l13-8z");
  }

  saveMasks() {
    const { clip } = this;
    if (!clip) return;
    const size = [clip.height, clip.width];
    const records = [...this.masks].sort(([a], [b]) => a - b).flatMap(([frame, masks]) => [...masks].map(([object, data]) => (
      { frame, object, segmentation: { size, counts: Rle.fromData(data, clip.width, clip.height).toCoco() } })));
    save(new Blob([JSON.stringify(records)], { type: "application/json" }), `${this.name.replace(/\.\w+$/, "")}-masks.json`);
  }
}
