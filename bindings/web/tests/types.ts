// Compiled, not run: the types say what the documentation says.
import { Clip, Context, Embedding, Rle, Sam, Tracker, Vectors, VitrumError, demo } from "vitrum";
import type { Hit, ImageSource, ModelSource, Progress, Prompt } from "vitrum";

export async function words(image: ImageSource, source: ModelSource): Promise<number> {
  using clip: Clip = await Clip.load(source, { progress: (it: Progress) => console.log(it.stage, it.fraction) });
  const probabilities: Float32Array = await clip.classify(image, ["cat", "dog"], { template: "a {}" });
  const [embedding]: Float32Array[] = await clip.embed({ texts: ["a cat"] });
  return probabilities[0]! + embedding!.length;
}

export async function search(pictures: Float32Array[], query: Float32Array): Promise<Hit | undefined> {
  using vectors: Vectors = await Vectors.create(pictures, { dim: query.length });
  using small = await vectors.quantize();
  const { codes, scales } = await small.quantized();
  const context = new Context();
  const [hits] = await (await Vectors.create({ codes, scales }, { dim: 512, context })).topkEach([query], 3);
  // @ts-expect-error: how long a vector is must be said.
  await Vectors.create(pictures);
  return hits?.[0];
}

export async function masks(file: File, signal: AbortSignal): Promise<Rle> {
  const context = new Context({ limits: { pixels: 1e7 }, threads: 2 });
  const { threads, warnings }: { threads: number; warnings: readonly string[] } = await context.ready;
  console.log(threads, warnings);
  const sam = await Sam.load(demo("sam"), { context, weights: "int8", imageSize: 512 });
  const embedding: Embedding = await sam.encode(file, { signal });
  const prompt: Prompt = { points: [[1, 2], { x: 3, y: 4, label: 0 }], box: [0, 0, 9, 9] };
  const { best } = await sam.predict(embedding, prompt, { rle: true, only: "best" });
  const tracker = await Tracker.create(sam, { width: 640, height: 480, maxObjects: 3 });
  for await (const { frame, masks } of tracker.track([file])) console.log(frame, masks[0]?.object);
  // @ts-expect-error: there is no such option.
  await sam.predict(embedding, prompt, { onlyy: "best" });
  // @ts-expect-error: a label is 0, 1 or -1.
  await sam.predict(embedding, { points: [{ x: 1, y: 2, label: 7 }] });
  if (!best.rle) throw new VitrumError(1, "none");
  return best.rle;
}
