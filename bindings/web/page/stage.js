// A picture that is pointed at: by mouse, finger, pen or keyboard. Draws masks, points and boxes over it.

/** @typedef {{ x: number, y: number, label: 0 | 1 }} Dot */
/** @typedef {[number, number, number, number]} Box */
/** `own`: the pixels that take the layer's colour, if not all of it. @typedef {{ data: Uint8Array, color: string, width: number, height: number, own?: Uint8Array }} Layer */

/** How far, in pixels of the screen, a pointer moves before it draws a box. */
const DRAG = 6;

export class Stage extends EventTarget {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    super();
    this.canvas = canvas;
    this.context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    /** @type {CanvasImageSource | null} */
    this.picture = null;
    this.width = 1;
    this.height = 1;
    /** @type {Layer[]} */
    this.layers = [];
    /** @type {Layer | null} */
    this.preview = null;
    /** @type {Dot[]} */
    this.dots = [];
    /** @type {Box | null} */
    this.box = null;
    /** Whether what is not in a layer is darkened. */
    this.dims = false;
    /** @type {"add" | "remove" | "box"} */
    this.does = "add";
    /** Where the keyboard points. @type {{ x: number, y: number } | null} */
    this.cursor = null;
    /** The corner at which a box was begun, by pointer or keyboard. @type {{ x: number, y: number } | null} */
    this.corner = null;
    this.isFrameAsked = false;
    /** @type {WeakMap<Layer, { tint: HTMLCanvasElement, outline: Path2D }>} */
    this.drawn = new WeakMap();
    this.listen();
    new ResizeObserver(() => this.redraw()).observe(canvas);
  }

  /** What a click does. */
  get mode() {
    return this.does;
  }

  set mode(mode) {
    this.does = mode;
    this.corner = null;
    // A finger that draws a box does not scroll.
    this.canvas.style.touchAction = mode === "box" ? "none" : "";
    this.redraw();
  }

  /** @param {CanvasImageSource} picture @param {number} width @param {number} height */
  show(picture, width, height) {
    const isOther = width !== this.width || height !== this.height;
    Object.assign(this, { picture, width, height });
    if (isOther) {
      this.canvas.style.aspectRatio = `${width} / ${height}`;
      // As wide as the room allows, as high as the screen does.
      this.canvas.style.setProperty("--ratio", String(width / height));
      this.cursor = null;
    }
    this.redraw();
  }

  clear() {
    Object.assign(this, { layers: [], preview: null, dots: [], box: null, corner: null, dims: false });
    this.redraw();
  }

  /** @param {string} name @param {unknown} detail */
  tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  listen() {
    const { canvas } = this;
    /** @type {{ id: number, x: number, y: number, at: { x: number, y: number }, isBox: boolean } | null} */
    let press = null;
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 && event.button !== 2) return;
      const at = this.at(event);
      press = { id: event.pointerId, x: event.clientX, y: event.clientY, at, isBox: false };
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!press) {
        if (event.pointerType !== "touch") this.tell("hover", this.at(event));
        return;
      }
      if (press.id !== event.pointerId) return;
      if (!press.isBox && Math.hypot(event.clientX - press.x, event.clientY - press.y) > DRAG) press.isBox = true;
      if (press.isBox) {
        this.box = boxOf(press.at, this.at(event));
        this.preview = null;
        this.redraw();
      }
    });
    canvas.addEventListener("pointerup", (event) => {
      if (press?.id !== event.pointerId) return;
      const { at, isBox } = press;
      press = null;
      if (isBox) this.tell("box", boxOf(at, this.at(event)));
      else this.click(at, event.button === 2 || event.altKey);
    });
    canvas.addEventListener("pointercancel", () => (press = null));
    canvas.addEventListener("pointerleave", () => !press && this.tell("hover", null));
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("blur", () => {
      this.cursor = null;
      this.corner = null;
      this.redraw();
    });
    canvas.addEventListener("keydown", (event) => this.key(event));
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const step = (event.shiftKey ? 0.1 : 0.01) * Math.max(this.width, this.height);
    const moves = /** @type {Record<string, [number, number]>} */ ({
      ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step],
    });
    const move = moves[event.key];
    if (move && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      const from = this.cursor ?? { x: this.width / 2, y: this.height / 2 };
      this.cursor = {
        x: Math.min(this.width - 1, Math.max(0, Math.round(from.x + move[0]))),
        y: Math.min(this.height - 1, Math.max(0, Math.round(from.y + move[1]))),
      };
      if (this.corner) this.box = boxOf(this.corner, this.cursor);
      this.tell("hover", this.cursor);
      this.redraw();
    } else if ((event.key === "Enter" || event.key === " ") && !event.repeat) {
      event.preventDefault();
      this.cursor ??= { x: Math.round(this.width / 2), y: Math.round(this.height / 2) };
      this.click(this.cursor, event.altKey);
    } else if (event.key === "Backspace" || (event.key === "z" && (event.ctrlKey || event.metaKey))) {
      event.preventDefault();
      this.tell("undo", null);
    } else if (event.key === "Escape") {
      this.tell("clear", null);
    }
  }

  /** @param {{ x: number, y: number }} at @param {boolean} isOther */
  click(at, isOther) {
    if (this.mode !== "box") {
      const removes = (this.mode === "remove") !== isOther;
      this.tell("dot", { ...at, label: removes ? 0 : 1 });
    } else if (this.corner) {
      const box = boxOf(this.corner, at);
      this.corner = null;
      this.tell("box", box);
    } else {
      this.corner = { ...at };
      this.redraw();
    }
  }

  /** Where a pointer is, in pixels of the picture. @param {PointerEvent} event */
  at(event) {
    const { left, top, width, height } = this.canvas.getBoundingClientRect();
    const clamp = (/** @type {number} */ value, /** @type {number} */ end) => Math.min(end - 1, Math.max(0, value));
    return {
      x: clamp(((event.clientX - left) / width) * this.width, this.width),
      y: clamp(((event.clientY - top) / height) * this.height, this.height),
    };
  }

  redraw() {
    if (this.isFrameAsked) return;
    this.isFrameAsked = true;
    requestAnimationFrame(() => {
      this.isFrameAsked = false;
      this.draw();
    });
  }

  draw() {
    const { canvas, context } = this;
    const scale = window.devicePixelRatio || 1;
    const [w, h] = [Math.round(canvas.clientWidth * scale), Math.round(canvas.clientHeight * scale)];
    if (w === 0 || h === 0 || !this.picture) return;
    if (canvas.width !== w || canvas.height !== h) Object.assign(canvas, { width: w, height: h });
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.imageSmoothingQuality = "high";
    context.drawImage(this.picture, 0, 0, w, h);
    const zoom = w / this.width;
    if (this.dims && this.layers.length > 0) this.dim(w, h);
    for (const layer of this.layers) this.layer(layer, this.dims ? 0 : 0.5, zoom, scale);
    if (this.preview) this.layer(this.preview, 0.3, zoom, scale);
    this.marks(zoom, scale);
  }

  /** Darkens what is in no layer. @param {number} w @param {number} h */
  dim(w, h) {
    const veil = Object.assign(document.createElement("canvas"), { width: this.width, height: this.height });
    const context = /** @type {CanvasRenderingContext2D} */ (veil.getContext("2d"));
    context.fillStyle = "#0b1020a6";
    context.fillRect(0, 0, this.width, this.height);
    context.globalCompositeOperation = "destination-out";
    for (const layer of this.layers) context.drawImage(this.prepared(layer).tint, 0, 0);
    this.context.drawImage(veil, 0, 0, w, h);
  }

  /** @param {Layer} layer @param {number} opacity @param {number} zoom @param {number} scale */
  layer(layer, opacity, zoom, scale) {
    const { context } = this;
    const { tint, outline } = this.prepared(layer);
    context.globalAlpha = opacity;
    context.drawImage(tint, 0, 0, this.canvas.width, this.canvas.height);
    context.globalAlpha = 1;
    context.setTransform(zoom, 0, 0, zoom, 0, 0);
    context.lineJoin = "round";
    for (const [width, color] of /** @type {const} */ ([[4, "#000000a0"], [2, layer.color]])) {
      context.lineWidth = (width * scale) / zoom;
      context.strokeStyle = color;
      context.stroke(outline);
    }
    context.setTransform(1, 0, 0, 1, 0, 0);
  }

  /** A layer in its colour, and the line around it. @param {Layer} layer */
  prepared(layer) {
    const known = this.drawn.get(layer);
    if (known) return known;
    const { data, width, height, own = data } = layer;
    const tint = Object.assign(document.createElement("canvas"), { width, height });
    const context = /** @type {CanvasRenderingContext2D} */ (tint.getContext("2d"));
    const image = context.createImageData(width, height);
    for (let i = 0; i < own.length; i++) if (own[i]) image.data[4 * i + 3] = 255;
    context.putImageData(image, 0, 0);
    context.globalCompositeOperation = "source-in";
    context.fillStyle = layer.color;
    context.fillRect(0, 0, width, height);
    const made = { tint, outline: outlineOf(data, width, height) };
    this.drawn.set(layer, made);
    return made;
  }

  /** Points, box and cursor. @param {number} zoom @param {number} scale */
  marks(zoom, scale) {
    const { context } = this;
    if (this.box) {
      const [x0, y0, x1, y1] = this.box.map((it) => it * zoom);
      for (const [width, color, dash] of /** @type {const} */ ([[4, "#000000b0", []], [2, "#ffffff", [7, 5]]])) {
        context.lineWidth = width * scale;
        context.strokeStyle = color;
        context.setLineDash(dash.map((it) => it * scale));
        context.strokeRect(x0, y0, x1 - x0, y1 - y0);
      }
      context.setLineDash([]);
    }
    for (const { x, y, label } of this.dots) {
      const [cx, cy, r] = [x * zoom, y * zoom, 9 * scale];
      context.beginPath();
      context.arc(cx, cy, r, 0, 2 * Math.PI);
      context.fillStyle = label ? "#12805c" : "#c02640";
      context.fill();
      context.lineWidth = 2.5 * scale;
      context.strokeStyle = "#ffffff";
      context.stroke();
      // A sign, so that the colour is not all that tells them apart.
      context.beginPath();
      context.moveTo(cx - r / 2, cy);
      context.lineTo(cx + r / 2, cy);
      if (label) {
        context.moveTo(cx, cy - r / 2);
        context.lineTo(cx, cy + r / 2);
      }
      context.stroke();
    }
    const cross = this.cursor ?? this.corner;
    if (cross) {
      const [cx, cy, r] = [(cross.x + 0.5) * zoom, (cross.y + 0.5) * zoom, 14 * scale];
      for (const [width, color] of /** @type {const} */ ([[5, "#000000"], [2, "#ffffff"]])) {
        context.lineWidth = width * scale;
        context.strokeStyle = color;
        context.beginPath();
        for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
          context.moveTo(cx + (dx * r) / 3, cy + (dy * r) / 3);
          context.lineTo(cx + dx * r, cy + dy * r);
        }
        context.stroke();
      }
    }
  }
}

/** @param {{ x: number, y: number }} a @param {{ x: number, y: number }} b @returns {Box} */
function boxOf(a, b) {
  return [Math.min(a.x, b.x), Math.min(a.y, b.y), Math.max(a.x, b.x), Math.max(a.y, b.y)];
}

/**
 * The line around a mask, smoothed: through the middles of the edges between its pixels and others.
 * @param {Uint8Array} data
 * @param {number} width
 * @param {number} height
 */
function outlineOf(data, width, height) {
  const path = new Path2D();
  const row = width + 1;
  /** Ends of edges by their beginnings; the mask is on their right. @type {Map<number, number[]>} */
  const edges = new Map();
  const add = (/** @type {number} */ from, /** @type {number} */ to) => {
    const known = edges.get(from);
    if (known) known.push(to);
    else edges.set(from, [to]);
  };
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      if (!data[i]) continue;
      const corner = y * row + x;
      if (y === 0 || !data[i - width]) add(corner, corner + 1);
      if (x === width - 1 || !data[i + 1]) add(corner + 1, corner + row + 1);
      if (y === height - 1 || !data[i + width]) add(corner + row + 1, corner + row);
      if (x === 0 || !data[i - 1]) add(corner + row, corner);
    }
  }
  const point = (/** @type {number} */ corner) => [corner % row, Math.floor(corner / row)];
  for (const [begin, first] of edges) {
    while (first.length > 0) {
      const loop = [];
      for (let at = begin; ; ) {
        const next = edges.get(at)?.pop();
        if (next === undefined) break;
        loop.push(at);
        at = next;
        if (at === begin) break;
      }
      loop.forEach((corner, k) => {
        const [x, y] = point(corner);
        const [nextX, nextY] = point(loop[(k + 1) % loop.length]);
        const [lastX, lastY] = point(loop[(k + loop.length - 1) % loop.length]);
        if (k === 0) path.moveTo((lastX + x) / 2, (lastY + y) / 2);
        path.quadraticCurveTo(x, y, (x + nextX) / 2, (y + nextY) / 2);
      });
      path.closePath();
    }
  }
  return path;
}
