// Prompts as the structs of the C ABI.

/** @typedef {import("./module.js").Arena} Arena */
/** @typedef {import("../types.js").WirePrompt} WirePrompt */

/** @param {Arena} arena @param {readonly WirePrompt[]} prompts */
export function promptsOf(arena, prompts) {
  return arena.structs("sam_prompt", prompts.map(({ points, box, mask }) => ({
    points: points.length === 0 ? 0 : arena.structs("point", points.map(([x, y, label]) => ({ x, y, label }))),
    point_count: points.length,
    has_box: Number(box !== undefined),
    bounding_box: box,
    mask: mask === undefined ? 0 : arena.f32(mask),
    mask_size: mask?.length ?? 0,
  })));
}
