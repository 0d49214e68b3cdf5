// The tab that names things: CLIP.
import { $ } from "./app.js";
import { contexts } from "./models.js";

const SHOWN = 7;
const START = "strawberry, octopus, bicycle, house, tree, dog, crab, teddy bear, soccer ball, rocket, cake";

export class Words {
  /** @param {import("./app.js").AppType} app */
  constructor(app) {
    this.app = app;
    /** Embeddings of the long list, made once. @type {{ labels: string[], texts: Float32Array[] } | null} */
    this.list = null;
    this.hasAnswer = false;
    $("words").value = START;
    $("ask").addEventListener("click", () => void this.ask());
    $("ask-all").addEventListener("click", () => void this.askAll());
    $("words").addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) void this.ask();
    });
  }

  reset() {
    this.hasAnswer = false;
    $("answers").replaceChildren();
  }

  forget() {
    this.list = null;
    this.reset();
  }

  async enter() {
    this.app.hint(matchMedia("(pointer: coarse)").matches ? "Choose a picture, or take a photo." : "Drop a picture anywhere, or paste one.");
    if (!this.hasAnswer) await this.ask();
  }

  async ask() {
    const { app } = this;
    const { picture } = app;
    const labels = [...new Set($("words").value.split(/[,\n]/).map((/** @type {string} */ it) => it.trim()).filter(Boolean))];
    if (!picture) return;
    if (labels.length === 0) return app.fail(new Error("Write some words first."));
    const probabilities = await app.work("Comparing", async (signal, progress) => {
      const clip = await app.model("clip");
      const answer = await clip.classify(picture.image, labels, { signal, progress });
      app.took("Comparing", contexts.pictures.lastMilliseconds);
      return answer;
    });
    if (probabilities) this.show(/** @type {string[]} */ (labels), probabilities);
  }

  async askAll() {
    const { app } = this;
    const { picture } = app;
    if (!picture) return;
    const answer = await app.work("Reading all words, once", async (signal, progress) => {
      const clip = await app.model("clip");
      if (!this.list) {
        const labels = (await (await fetch("samples/labels.txt")).text()).trim().split("\n");
        const texts = await clip.embed({ texts: labels.map((it) => `a photo of a ${it}`) }, { signal, progress });
        this.list = { labels, texts };
      }
      const begin = performance.now();
      const images = await clip.embed({ images: [picture.image] }, { signal });
      const [logits] = await clip.similarity(images, this.list.texts, { signal });
      app.took("Comparing", performance.now() - begin);
      return softmax(logits);
    });
    if (answer && this.list) this.show(this.list.labels, answer);
  }

  /** @param {string[]} labels @param {ArrayLike<number>} probabilities */
  show(labels, probabilities) {
    this.hasAnswer = true;
    const order = labels.map((_, i) => i).sort((a, b) => probabilities[b] - probabilities[a]);
    const percent = (/** @type {number} */ it) => `${(100 * it).toFixed(it < 0.1 ? 2 : 1)} %`;
    $("answers").replaceChildren(...order.slice(0, SHOWN).map((i) => {
      const line = document.createElement("li");
      line.style.setProperty("--p", String(probabilities[i]));
      line.dataset.probability = String(probabilities[i]);
      line.append(...[labels[i], percent(probabilities[i])].map((text) =>
        Object.assign(document.createElement("span"), { textContent: text })));
      return line;
    }));
    this.app.say(`${labels[order[0]]}, ${percent(probabilities[order[0]])}`);
  }
}

/** @param {Float32Array} logits */
function softmax(logits) {
  const largest = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  const powers = logits.map((it) => Math.exp(it - largest));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((it) => it / sum);
}
