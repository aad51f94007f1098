// From a file, or a frame of the camera, to RGB pixels as Pillow reads them: turned upright, colour profile and alpha
// channel ignored.

import { inspect } from "./header.js";

const MAX_PIXELS = 89478485, MAX_ASPECT_RATIO = 100; // as hf-imgcls predict
const STRIP = 1 << 20; // pixels that are copied at once: canvases have a largest size

/** {data: RGB, width, height} of an image file; an Error of one line where it cannot be read. */
export async function readFile(file) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  const { type, orientation, grey16 } = inspect(bytes); // which makes the bytes upright, as all browsers read them alike
  if (grey16) throw new Error("16-bit grey, which would be clipped; save it in 8 bits");
  await checkWhole(bytes, type);
  let bitmap;
  try {
    const as = { premultiplyAlpha: "none", colorSpaceConversion: "none" };
    bitmap = await createImageBitmap(new Blob([bytes], { type }), as);
  } catch (error) {
    throw unreadable(error);
  }
  const image = readFrame(bitmap, bitmap.width, bitmap.height);
  if (image.transparent) readUnderAlpha(image, bitmap, type);
  bitmap.close();
  return turn(image, orientation);
}

function unreadable(cause) {
  return new Error("not an image that this browser can read, or a damaged one", { cause });
}

/** Rejects an image that ends early, which browsers show in part. */
async function checkWhole(bytes, type) {
  if (!("ImageDecoder" in self) || !type || !(await ImageDecoder.isTypeSupported(type))) return;
  const decoder = new ImageDecoder({ data: bytes.slice(), type });
  try {
    (await decoder.decode({ completeFramesOnly: true })).image.close();
  } catch (error) {
    throw unreadable(error);
  } finally {
    decoder.close();
  }
}

/** {data: RGB, width, height, transparent} of an ImageBitmap or a video's frame. */
export function readFrame(source, width, height) {
  if (width * height > MAX_PIXELS) throw new Error(`${width} x ${height} pixels; at most ${MAX_PIXELS}`);
  if (Math.max(width, height) > MAX_ASPECT_RATIO * Math.min(width, height)) {
    throw new Error(`${width} x ${height} pixels: one side is more than ${MAX_ASPECT_RATIO} times the other`);
  }
  const rows = Math.min(height, Math.max(1, Math.floor(STRIP / width)));
  const canvas = Object.assign(document.createElement("canvas"), { width, height: rows });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const data = new Uint8Array(3 * width * height);
  let transparent = false;
  for (let top = 0, out = 0; top < height; top += rows) {
    const count = Math.min(rows, height - top);
    context.clearRect(0, 0, width, rows);
    context.drawImage(source, 0, top, width, count, 0, 0, width, count);
    const { data: rgba } = context.getImageData(0, 0, width, count);
    for (let i = 0; i < rgba.length; i += 4) {
      data[out++] = rgba[i];
      data[out++] = rgba[i + 1];
      data[out++] = rgba[i + 2];
      transparent ||= rgba[i + 3] < 255;
    }
  }
  return { data, width, height, transparent };
}

/** Replaces the pixels of an image, from which a canvas has taken the colours that are under its transparency. */
function readUnderAlpha({ data, width, height }, bitmap, type) {
  const gl = document.createElement("canvas").getContext("webgl");
  // Of a GIF the decoder has made them black.
  if (!gl || type === "image/gif" || Math.max(width, height) > gl.getParameter(gl.MAX_TEXTURE_SIZE)) {
    throw new Error("transparent, and this browser does not give out its colours; put it on a background");
  }
  gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, bitmap);
  gl.bindFramebuffer(gl.FRAMEBUFFER, gl.createFramebuffer());
  gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, gl.getParameter(gl.TEXTURE_BINDING_2D), 0);
  const rgba = new Uint8Array(4 * width * height);
  gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, rgba);
  let colours = false;
  for (let i = 0, out = 0; i < rgba.length; i += 4) {
    for (let channel = 0; channel < 3; channel++) {
      colours ||= rgba[i + channel] !== rgba[channel];
      data[out++] = rgba[i + channel];
    }
  }
  if (!colours) throw new Error("what it shows is in its alpha channel; put it on a background");
}

/** An image as its EXIF orientation, 1 to 8, says that it is seen. */
function turn({ data, width, height }, orientation) {
  if (orientation === 1) return { data, width, height };
  const swaps = orientation > 4, [w, h] = swaps ? [height, width] : [width, height];
  const right = [2, 3, 7, 8].includes(orientation), bottom = [3, 4, 6, 7].includes(orientation);
  const out = new Uint8Array(data.length);
  for (let y = 0, place = 0; y < h; y++) {
    for (let x = 0; x < w; x++) {
      let [column, row] = swaps ? [y, x] : [x, y];
      if (right) column = width - 1 - column;
      if (bottom) row = height - 1 - row;
      const from = 3 * (row * width + column);
      out[place++] = data[from];
      out[place++] = data[from + 1];
      out[place++] = data[from + 2];
    }
  }
  return { data: out, width: w, height: h };
}
