// Animated GIFs, decoded here: browsers differ in whether they give a page the frames of one.

/** Where interlaced rows begin, and how far they are apart. */
const PASSES = [[0, 8], [4, 8], [2, 4], [1, 2]];

/** Whether these bytes begin as a GIF. @param {Uint8Array} bytes */
export function isGif(bytes) {
  return /^GIF8[79]a/.test(String.fromCharCode(...bytes.subarray(0, 6)));
}

/**
 * The frames as they are shown, one drawn over the other: RGBA, and how long each stays.
 * @param {Uint8Array} bytes
 * @param {number} most Frames after these are left out.
 * @returns {{ width: number, height: number, frames: { data: Uint8ClampedArray, seconds: number }[] }}
 */
export function decodeGif(bytes, most = Infinity) {
  if (!isGif(bytes)) throw new Error("this is not a GIF");
  let at = 6;
  const u8 = () => {
    if (at >= bytes.length) throw new Error("the GIF ends too early");
    return bytes[at++];
  };
  const u16 = () => u8() | (u8() << 8);
  const palette = (/** @type {number} */ bits) => {
    const colors = bytes.subarray(at, (at += 3 << (bits + 1)));
    if (at > bytes.length) throw new Error("the GIF ends too early");
    return colors;
  };
  const blocks = () => {
    const parts = [];
    for (let size = u8(); size !== 0; size = u8()) parts.push(bytes.subarray(at, (at += size)));
    const out = new Uint8Array(parts.reduce((sum, it) => sum + it.length, 0));
    let end = 0;
    for (const part of parts) {
      out.set(part, end);
      end += part.length;
    }
    return out;
  };

  const [width, height, packed] = [u16(), u16(), u8()];
  if (width === 0 || height === 0) throw new Error("the GIF has no pixels");
  at += 2;
  const global = packed & 0x80 ? palette(packed & 7) : null;
  let screen = new Uint8ClampedArray(width * height * 4);
  /** @type {{ data: Uint8ClampedArray, seconds: number }[]} */
  const frames = [];
  let control = { disposal: 0, transparent: -1, seconds: 0.1 };
  while (frames.length < most) {
    const kind = u8();
    if (kind === 0x3b) break;
    if (kind === 0x21) {
      const label = u8();
      const body = blocks();
      if (label === 0xf9 && body.length >= 4) {
        const hundredths = body[1] | (body[2] << 8);
        // Browsers show frames that ask for less than 0.02 s for 0.1 s.
        const seconds = hundredths < 2 ? 0.1 : hundredths / 100;
        control = { disposal: (body[0] >> 2) & 7, transparent: body[0] & 1 ? body[3] : -1, seconds };
      }
      continue;
    }
    if (kind !== 0x2c) throw new Error("the GIF has a block of an unknown kind");
    const [left, top, w, h, flags] = [u16(), u16(), u16(), u16(), u8()];
    const colors = flags & 0x80 ? palette(flags & 7) : global;
    if (!colors) throw new Error("a frame of the GIF has no colours");
    const indices = inflate(u8(), blocks(), w * h);
    const before = control.disposal === 3 ? screen.slice() : null;
    const rows = flags & 0x40 ? PASSES.flatMap(([first, step]) => range(first, h, step)) : range(0, h, 1);
    rows.forEach((y, row) => {
      for (let x = 0; x < w; x++) {
        const index = indices[row * w + x];
        if (index === control.transparent || left + x >= width || top + y >= height) continue;
        const to = ((top + y) * width + left + x) * 4;
        for (let c = 0; c < 3; c++) screen[to + c] = colors[index * 3 + c];
        screen[to + 3] = 255;
      }
    });
    frames.push({ data: screen.slice(), seconds: control.seconds });
    if (before) screen = before;
    if (control.disposal === 2) {
      for (let y = top; y < Math.min(top + h, height); y++) {
        screen.fill(0, (y * width + left) * 4, (y * width + Math.min(left + w, width)) * 4);
      }
    }
    control = { disposal: 0, transparent: -1, seconds: 0.1 };
  }
  if (frames.length === 0) throw new Error("the GIF has no frames");
  return { width, height, frames };
}

/** @param {number} first @param {number} end @param {number} step */
function range(first, end, step) {
  const out = [];
  for (let it = first; it < end; it += step) out.push(it);
  return out;
}

/** LZW with codes of a growing number of bits. @param {number} bits @param {Uint8Array} bytes @param {number} count */
function inflate(bits, bytes, count) {
  if (bits < 1 || bits > 11) throw new Error("the GIF's pixels are damaged");
  const [clear, end] = [1 << bits, (1 << bits) + 1];
  const [prefix, suffix, length] = [new Int16Array(4096), new Uint8Array(4096), new Uint16Array(4096)];
  for (let i = 0; i < clear; i++) {
    suffix[i] = i;
    length[i] = 1;
    prefix[i] = -1;
  }
  const out = new Uint8Array(count);
  let [next, width, previous, size] = [end + 1, bits + 1, -1, 0];
  let [buffer, held, at] = [0, 0, 0];
  while (size < count) {
    while (held < width) {
      if (at >= bytes.length) throw new Error("the GIF's pixels end too early");
      buffer |= bytes[at++] << held;
      held += 8;
    }
    const code = buffer & ((1 << width) - 1);
    buffer >>>= width;
    held -= width;
    if (code === clear) {
      [next, width, previous] = [end + 1, bits + 1, -1];
      continue;
    }
    if (code === end) break;
    if (code > next || (code === next && previous < 0)) throw new Error("the GIF's pixels are damaged");
    // A code that is not yet in the table is the last one with its own first pixel.
    let from = code < next ? code : previous;
    let to = size + length[from] - 1;
    for (let it = from; it >= 0; it = prefix[it], to--) {
      if (to < count) out[to] = suffix[it];
      from = it;
    }
    const first = suffix[from];
    let added = length[code < next ? code : previous];
    if (code === next) {
      if (size + added < count) out[size + added] = first;
      added++;
    }
    size += added;
    if (previous >= 0 && next < 4096) {
      prefix[next] = previous;
      suffix[next] = first;
      length[next] = length[previous] + 1;
      next++;
      if (next === 1 << width && width < 12) width++;
    }
    previous = code;
  }
  return out;
}
