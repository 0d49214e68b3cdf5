// The page: its picture, its tabs, and what they have in common.
import { VitrumError } from "./vitrum/src/index.js";
import { Cutout } from "./cutout.js";
import { Follow } from "./follow.js";
import { ABOUT, contexts, isOwn, model, modelIfLoaded, nameOf, useFiles } from "./models.js";
import { watchOffline } from "./offline.js";
import { Stage } from "./stage.js";
import { Words } from "./words.js";

/** Pictures with more pixels are made smaller: masks of their size would take longer than a click should. */
const MOST_PIXELS = 4e6;

/** @param {string} id @returns {any} */
export const $ = (id) => {
  const found = document.getElementById(id);
  if (!found) throw new Error(`there is no ${id}`);
  return found;
};

const SAMPLES = [
  { file: "octopus-3d.png", name: "an octopus" },
  { file: "garden-scene-3d.png", name: "a garden" },
  { file: "strawberry-3d.png", name: "a strawberry" },
  { file: "bicycle-3d.png", name: "a bicycle" },
];
const CLIPS = [{ file: "tree.gif", name: "a tree that moves" }];

/** @typedef {{ image: ImageData, width: number, height: number, name: string, canvas: HTMLCanvasElement }} Picture */

class App {
  constructor() {
    this.stage = new Stage($("stage"));
    /** @type {Picture | null} */
    this.picture = null;
    /** Whether the picture was chosen: until then, each tab shows the one that suits it. */
    this.isChosen = false;
    /** How many pictures were opened. */
    this.opened = 0;
    /** Which of several jobs is the newest. @type {AbortController | null} */
    this.job = null;
    this.kinds = /** @type {const} */ ({ words: "clip", cutout: "sam", follow: "sam2" });
    this.tabs = { words: new Words(this), cutout: new Cutout(this), follow: new Follow(this) };
    /** @type {keyof App["kinds"]} */
    this.tab = "words";
  }

  get current() {
    return this.tabs[this.tab];
  }

  get kind() {
    return this.kinds[this.tab];
  }

  async start() {
    this.listen();
    watchOffline($("offline"));
    void contexts.pictures.ready.then(({ version, simd, threads }) => {
      $("simd").textContent = ["WebAssembly", ...(simd ? ["SIMD"] : []), ...(threads > 1 ? [`${threads} threads`] : [])].join(", ");
      document.documentElement.dataset.version = version;
    }).catch((error) => this.fail(error));
    this.select(this.tabOfAddress(), false);
    if (this.tab === "follow") await this.tabs.follow.begin();
    else await this.enter();
    document.documentElement.dataset.ready = "yes";
  }

  tabOfAddress() {
    const name = location.hash.slice(1);
    return /** @type {keyof App["kinds"]} */ (name in this.kinds ? name : "words");
  }

  listen() {
    for (const tab of document.querySelectorAll('[role="tab"]')) {
      const name = /** @type {keyof App["kinds"]} */ (tab.id.slice(4));
      tab.addEventListener("click", () => void this.change(name));
    }
    document.querySelector('[role="tablist"]')?.addEventListener("keydown", (event) => {
      const { key } = /** @type {KeyboardEvent} */ (event);
      const names = /** @type {(keyof App["kinds"])[]} */ (Object.keys(this.kinds));
      const at = names.indexOf(this.tab);
      const to = { ArrowRight: at + 1, ArrowLeft: at + names.length - 1, Home: 0, End: names.length - 1 }[key];
      if (to === undefined) return;
      event.preventDefault();
      void this.change(names[to % names.length]);
      $(`tab-${this.tab}`).focus();
    });
    addEventListener("hashchange", () => void this.change(this.tabOfAddress()));
    $("picture-file").addEventListener("change", (/** @type {any} */ event) => this.chosen(event.target));
    $("photo-file").addEventListener("change", (/** @type {any} */ event) => this.chosen(event.target));
    $("stop").addEventListener("click", () => this.job?.abort());
    $("model-files").addEventListener("change", (/** @type {any} */ event) => {
      this.ownModel([...event.target.files]);
      event.target.value = "";
    });
    $("demo-model").addEventListener("click", () => this.ownModel(null));
    this.listenForDrops();
    for (const [name, method] of Object.entries({ dot: "dot", box: "boxed", hover: "hover", undo: "undo", clear: "clear" })) {
      this.stage.addEventListener(name, (event) =>
        /** @type {any} */ (this.current)[method]?.(/** @type {CustomEvent} */ (event).detail));
    }
  }

  listenForDrops() {
    const drop = $("drop");
    addEventListener("dragover", (event) => {
      event.preventDefault();
      drop.classList.add("over");
    });
    addEventListener("dragleave", (event) => !event.relatedTarget && drop.classList.remove("over"));
    addEventListener("drop", (event) => {
      event.preventDefault();
      drop.classList.remove("over");
      void this.take([...(event.dataTransfer?.files ?? [])]);
    });
    addEventListener("paste", (event) => {
      const given = [...(event.clipboardData?.files ?? [])];
      if (given.length > 0) void this.take(given);
    });
  }

  /** @param {HTMLInputElement} input */
  chosen(input) {
    const given = [...(input.files ?? [])];
    input.value = "";
    void this.take(given);
  }

  /** Files from anywhere: a model, a clip, a picture, or an embedding. @param {File[]} given */
  async take(given) {
    const [file] = given;
    if (!file) return;
    if (given.some(({ name }) => name.endsWith(".safetensors"))) return this.ownModel(given);
    const isClip = file.type.startsWith("video/") || (file.type === "image/gif" && this.tab === "follow");
    if (isClip) {
      if (this.tab !== "follow") this.select("follow");
      return this.tabs.follow.open(file, file.name);
    }
    if (!file.type.startsWith("image/")) {
      if (this.tab === "cutout") return this.tabs.cutout.loadEmbedding(file);
      return this.fail(new Error(`${file.name} is neither a picture, a clip nor a model`));
    }
    if (this.tab === "follow") this.select("cutout");
    this.isChosen = true;
    await this.open(file, file.name);
  }

  /** @param {string} file */
  async sample(file) {
    try {
      const response = await fetch(`samples/${file}`);
      if (!response.ok) throw new Error(`${file}: the server says ${response.status}`);
      await this.open(await response.blob(), file);
    } catch (error) {
      this.fail(error);
    }
  }

  /** Shows a picture. @param {Blob} blob @param {string} name */
  async open(blob, name) {
    this.quiet();
    try {
      const bitmap = await createImageBitmap(blob, { imageOrientation: "from-image", premultiplyAlpha: "none" }).catch(() => {
        throw new Error(`The browser cannot decode ${name}.`);
      });
      const scale = Math.min(1, Math.sqrt(MOST_PIXELS / (bitmap.width * bitmap.height)));
      const [width, height] = [bitmap.width, bitmap.height].map((it) => Math.max(1, Math.round(it * scale)));
      const canvas = Object.assign(document.createElement("canvas"), { width, height });
      const context = canvas.getContext("2d", { willReadFrequently: true });
      if (!context) throw new Error(`There is no memory for ${name}.`);
      context.imageSmoothingQuality = "high";
      context.drawImage(bitmap, 0, 0, width, height);
      bitmap.close();
      this.picture = { image: context.getImageData(0, 0, width, height), width, height, name, canvas };
      if (scale < 1) this.say(`The picture was made smaller: ${width} × ${height} pixels.`);
      this.tabs.words.reset();
      this.tabs.cutout.reset();
      this.showSamples();
      document.documentElement.dataset.opened = String(++this.opened);
      if (this.tab !== "follow") await this.showPicture();
    } catch (error) {
      this.fail(error);
    }
  }

  showSamples() {
    const isFollow = this.tab === "follow";
    const shown = isFollow ? this.tabs.follow.name : this.picture?.name;
    $("samples").replaceChildren(...(isFollow ? CLIPS : SAMPLES).map(({ file, name }) => {
      const button = document.createElement("button");
      button.type = "button";
      button.setAttribute("aria-pressed", String(file === shown));
      const image = Object.assign(document.createElement("img"), { src: `samples/${file}`, alt: `Sample: ${name}` });
      button.append(image);
      button.addEventListener("click", () => {
        if (isFollow) return void this.tabs.follow.sample(file);
        this.isChosen = true;
        void this.sample(file);
      });
      return button;
    }));
    $("choose-text").textContent = isFollow ? " a clip" : " a picture";
    $("picture-file").accept = isFollow ? "image/gif,video/*" : "image/*";
    $("photo-file").accept = isFollow ? "video/*" : "image/*";
    $("photo-text").textContent = isFollow ? "Film" : "Photo";
  }

  /** @param {keyof App["kinds"]} name */
  async change(name) {
    if (name === this.tab) return;
    this.select(name);
    if (name === "follow") await this.tabs.follow.begin();
    else await this.enter();
  }

  /** @param {keyof App["kinds"]} name @param {boolean} [remember] */
  select(name, remember = true) {
    this.job?.abort();
    this.quiet();
    this.tab = name;
    for (const it of Object.keys(this.kinds)) {
      const isThis = it === name;
      $(`tab-${it}`).setAttribute("aria-selected", String(isThis));
      $(`tab-${it}`).tabIndex = isThis ? 0 : -1;
      $(`panel-${it}`).hidden = !isThis;
      document.body.classList.toggle(it, isThis);
    }
    if (remember) history.replaceState(null, "", `#${name}`);
    this.stage.clear();
    $("player").hidden = name !== "follow";
    this.showSamples();
    this.showModel();
  }

  /** Shows the current tab's state of the picture. */
  async enter() {
    const suits = SAMPLES[this.tab === "words" ? 0 : 1].file;
    if (!this.isChosen && this.picture?.name !== suits) await this.sample(suits);
    else await this.showPicture();
  }

  async showPicture() {
    if (!this.picture) return;
    const { canvas, width, height } = this.picture;
    this.stage.clear();
    this.stage.show(canvas, width, height);
    await this.tabs[/** @type {"words" | "cutout"} */ (this.tab)].enter();
  }

  /** @param {File[] | null} own */
  ownModel(own) {
    useFiles(this.kind, own);
    if (this.kind === "clip") this.tabs.words.forget();
    if (this.kind === "sam") this.tabs.cutout.forget();
    if (this.kind === "sam2") this.tabs.follow.forget();
    this.showModel();
    void (this.tab === "follow" ? this.tabs.follow.begin() : this.showPicture());
  }

  showModel() {
    const { kind } = this;
    $("model-name").textContent = nameOf(kind);
    $("model-note").textContent = isOwn(kind) ? "from your files." : ABOUT[kind].note;
    $("own-help").textContent = ABOUT[kind].help;
    $("demo-model").hidden = !isOwn(kind);
    $("warnings").hidden = true;
    void modelIfLoaded(kind)?.then(({ warnings, memoryBytes }) => {
      if (this.kind !== kind) return;
      const size = `${(memoryBytes / 1e6).toFixed(0)} MB`;
      if (isOwn(kind)) $("model-note").textContent = `from your files, ${size}.`;
      $("warnings").replaceChildren(...warnings.map((/** @type {string} */ text) =>
        Object.assign(document.createElement("li"), { textContent: text })));
      $("warnings").hidden = warnings.length === 0;
    }).catch(() => {});
  }

  /** A model of the current tab, or another one's, with its loading shown. @param {"clip" | "sam" | "sam2"} kind */
  async model(kind) {
    const it = await model(kind, ({ stage, fraction }) =>
      this.progress(stage === "download" ? `Fetching the model` : `Loading the model`, fraction));
    this.showModel();
    return it;
  }

  /**
   * Runs a job in sight: what ran before is stopped. Returns undefined if it was stopped itself, or failed.
   * @template T
   * @param {string} text
   * @param {(signal: AbortSignal, progress: (progress: { fraction: number }) => void) => Promise<T>} body
   * @returns {Promise<T | undefined>}
   */
  async work(text, body) {
    this.job?.abort();
    const job = new AbortController();
    this.job = job;
    this.quiet();
    // What takes no time is not announced.
    const timer = setTimeout(() => this.job === job && this.progress(text, null), 150);
    try {
      const result = await body(job.signal, ({ fraction }) => this.job === job && this.progress(text, fraction));
      return job.signal.aborted ? undefined : result;
    } catch (error) {
      if (!job.signal.aborted) this.fail(error);
      return undefined;
    } finally {
      clearTimeout(timer);
      if (this.job === job) {
        this.job = null;
        $("busy").hidden = true;
      }
      this.numbers();
    }
  }

  /** @param {string} text @param {number | null} fraction */
  progress(text, fraction) {
    if (!this.job) return;
    $("busy").hidden = false;
    $("busy-text").textContent = `${text}…`;
    if (fraction === null) $("busy-bar").removeAttribute("value");
    else $("busy-bar").value = fraction;
  }

  /** How long something took. @param {string} label @param {number} milliseconds */
  took(label, milliseconds) {
    $("time-label").textContent = label;
    $("time").textContent = milliseconds < 1000 ? `${milliseconds.toFixed(0)} ms` : `${(milliseconds / 1000).toFixed(1)} s`;
  }

  numbers() {
    const bytes = contexts.pictures.memoryBytes + contexts.clips.memoryBytes;
    $("memory").textContent = `${(bytes / 1e6).toFixed(0)} MB`;
  }

  /** @param {string} text */
  hint(text) {
    $("hint").textContent = text;
  }

  /** For those who do not see the picture. @param {string} text */
  say(text) {
    $("say").textContent = text;
  }

  quiet() {
    $("error").hidden = true;
  }

  /** @param {unknown} error */
  fail(error) {
    const { message } = error instanceof Error ? error : { message: String(error) };
    const code = error instanceof VitrumError ? ` (${error.code.toLowerCase().replaceAll("_", " ")})` : "";
    $("error").textContent = `${message}${code}`;
    $("error").hidden = false;
    this.numbers();
  }
}

/** @typedef {App} AppType */

void new App().start();
