// From an image to the model's pixels, bit for bit as Pillow or torchvision resize it in Python: a canvas resizes
// otherwise, which changes predictions. preprocessing.json says what to do. Runs in browsers and in Node.

const sinc = (x) => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));

function cubic(x) {
  const a = -0.5;
  x = Math.abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

// Half its width in pixels of the smaller image, and its height at a distance.
const FILTERS = {
  box: [0.5, (x) => (x > -0.5 && x <= 0.5 ? 1 : 0)],
  bilinear: [1, (x) => Math.max(0, 1 - Math.abs(x))],
  hamming: [1, (x) => (Math.abs(x) < 1 ? sinc(x) * (0.54 + 0.46 * Math.cos(Math.PI * x)) : 0)],
  bicubic: [2, cubic],
  lanczos: [3, (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0)],
};

/** For each of `to` pixels the first of `from` that counts, and the integer weights of it and those after it. */
function weights(from, to, [support, height], rounding) {
  const scale = from / to, stretch = Math.max(scale, 1), rows = [];
  let largest = 0;
  for (let i = 0; i < to; i++) {
    const centre = (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - support * stretch + 0.5));
    const end = Math.min(from, Math.trunc(centre + support * stretch + 0.5));
    const row = [];
    let sum = 0;
    for (let x = first; x < end; x++) {
      row.push(height((x - centre + 0.5) * (1 / stretch)));
      sum += row[row.length - 1];
    }
    if (sum !== 0) for (let j = 0; j < row.length; j++) row[j] = rounding === "pillow" ? row[j] * (1 / sum) : row[j] / sum;
    largest = Math.max(largest, ...row);
    rows.push([first, row]);
  }
  let bits = 22; // Pillow's; torch takes as many as leave the largest weight within 16
  if (rounding === "torch") {
    bits = 0;
    while (bits < 22 && Math.trunc(0.5 + largest * 2 ** (bits + 1)) < 2 ** 15) bits++;
  }
  const whole = (weight) => Math.trunc(weight * 2 ** bits + (weight < 0 ? -0.5 : 0.5));
  return { bits, rows: rows.map(([first, row]) => [first, Int32Array.from(row, whole)]) };
}

/** Shrinks or stretches lines of `from` pixels to lines of `to`; `step` is between two pixels of a line. */
function resample(data, { lines, from, to, step, between, filter, rounding }, out, [outStep, outBetween]) {
  const { bits, rows } = weights(from, to, filter, rounding);
  const half = bits > 0 ? 2 ** (bits - 1) : 0;
  for (let line = 0; line < lines; line++) {
    for (let i = 0; i < to; i++) {
      const [first, row] = rows[i];
      for (let channel = 0; channel < 3; channel++) {
        let sum = half, place = line * between + first * step + channel;
        for (let j = 0; j < row.length; j++, place += step) sum += data[place] * row[j];
        out[line * outBetween + i * outStep + channel] = Math.min(255, Math.max(0, Math.floor(sum / 2 ** bits)));
      }
    }
  }
}

/** An image {data: RGB, 3 bytes a pixel, width, height} at another size. */
export function resize(image, width, height, name, rounding) {
  const filter = FILTERS[name];
  let { data, width: w, height: h } = image;
  if (w !== width) {
    const out = new Uint8Array(3 * width * h);
    const work = { lines: h, from: w, to: width, step: 3, between: 3 * w, filter, rounding };
    resample(data, work, out, [3, 3 * width]);
    [data, w] = [out, width];
  }
  if (h !== height) {
    const out = new Uint8Array(3 * w * height);
    const work = { lines: w, from: h, to: height, step: 3 * w, between: 3, filter, rounding };
    resample(data, work, out, [3 * w, 3]);
    [data, h] = [out, height];
  }
  return { data, width: w, height: h };
}

function roundEven(x) {
  const low = Math.floor(x);
  if (x - low !== 0.5) return Math.round(x);
  return low % 2 === 0 ? low : low + 1;
}

/** Width and height to which an image of this width and height is resized. */
export function resizedSize(width, height, rule) {
  if ("shorter_side" in rule) {
    const shorter = Math.min(width, height);
    return [width, height].map((side) => Math.floor((side * rule.shorter_side) / shorter));
  }
  if ("longer_side" in rule) {
    const longer = Math.max(width, height);
    return [width, height].map((side) => Math.max(1, roundEven((side * rule.longer_side) / longer)));
  }
  return [rule.width, rule.height];
}

/** Where the resized image begins in the model's: cropped to the left or top of it, or padded. */
function offsets({ width, height }, about) {
  if (about.crop) {
    const half = about.crop.half_pixel === "even" ? roundEven : Math.trunc;
    return [-half((width - about.crop.width) / 2), -half((height - about.crop.height) / 2)];
  }
  if (about.pad) return [Math.floor((about.width - width) / 2), Math.floor((about.height - height) / 2)];
  return [0, 0];
}

/** The model's pixels, Float32Array of 3 x height x width, of an image {data: RGB, width, height}. */
export function prepare(image, about) {
  const size = resizedSize(image.width, image.height, about.resize);
  const small = resize(image, ...size, about.resize.resample, about.rounding);
  const [left, top] = offsets(small, about), border = about.pad ? about.pad.colour : [0, 0, 0];
  const pixels = new Float32Array(3 * about.height * about.width), scale = Math.fround(about.scale);
  for (let channel = 0; channel < 3; channel++) {
    const colour = "RGB".indexOf(about.channel_order[channel]);
    for (let y = 0; y < about.height; y++) {
      for (let x = 0; x < about.width; x++) {
        const [column, row] = [x - left, y - top];
        const inside = column >= 0 && column < small.width && row >= 0 && row < small.height;
        const level = inside ? small.data[3 * (row * small.width + column) + colour] : border[colour];
        const value = (Math.fround(level * scale) - about.mean[channel]) / about.std[channel];
        pixels[(channel * about.height + y) * about.width + x] = value;
      }
    }
  }
  return pixels;
}

/** Scores for logits: their softmax, sigmoids, or themselves. */
export function toScores(logits, activation) {
  if (activation === "none") return Array.from(logits);
  if (activation === "sigmoid") return Array.from(logits, (logit) => 1 / (1 + Math.exp(-logit)));
  const highest = Math.max(...logits), powers = Array.from(logits, (logit) => Math.exp(logit - highest));
  const sum = powers.reduce((one, other) => one + other);
  return powers.map((power) => power / sum);
}

/** Whether the logits are below the threshold of "none of these". */
export function isNone(logits, rule) {
  if (!rule) return false;
  const highest = Math.max(...logits);
  const sum = Array.from(logits, (logit) => Math.exp(logit - highest)).reduce((one, other) => one + other);
  const confidence = rule.by === "energy" ? highest + Math.log(sum) : 1 / sum;
  return !(confidence >= rule.threshold);
}
