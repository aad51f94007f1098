// What the parts of an image file say beside its pixels, which browsers treat in different ways.

const ascii = (bytes, from, to) => new TextDecoder("latin1").decode(bytes.subarray(from, to));

/** {type, orientation, grey16} of a file's bytes, whose orientation is set to upright: the caller turns the image. */
export function inspect(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const type = typeOf(bytes), parts = { "image/jpeg": jpeg, "image/png": png, "image/webp": webp }[type];
  let orientation = null, xmp = "";
  try {
    for (const [name, from, to] of parts ? parts(bytes, view) : []) {
      const content = /^exif$/i.test(name) && ascii(bytes, from, from + 4) === "Exif" ? from + 6 : from;
      if (/^exif$/i.test(name)) orientation ??= takeOrientation(view, content);
      if (["http", "iTXt", "XMP "].includes(name)) xmp += ascii(bytes, from, to);
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error; // it points out of the file: damaged EXIF is none
  }
  orientation ??= Number(xmp.match(/tiff:Orientation(?:="|>)([0-9])/)?.[1] ?? 1);
  if (orientation < 1 || orientation > 8) orientation = 1;
  return { type, orientation, grey16: type === "image/png" && bytes[24] === 16 && bytes[25] === 0 };
}

function typeOf(bytes) {
  if (bytes[0] === 0xff && bytes[1] === 0xd8) return "image/jpeg";
  if (ascii(bytes, 1, 4) === "PNG") return "image/png";
  if (ascii(bytes, 0, 4) === "RIFF" && ascii(bytes, 8, 12) === "WEBP") return "image/webp";
  if (ascii(bytes, 0, 3) === "GIF") return "image/gif";
  return ascii(bytes, 0, 2) === "BM" ? "image/bmp" : "";
}

// The parts of a file, each [name, first byte, end].

function* jpeg(bytes, view) {
  for (let at = 2; view.getUint8(at) === 0xff && view.getUint8(at + 1) !== 0xda; ) {
    const end = at + 2 + view.getUint16(at + 2);
    if (view.getUint8(at + 1) === 0xe1) yield [ascii(bytes, at + 4, at + 8), at + 4, end];
    at = end;
  }
}

function* png(bytes, view) {
  for (let at = 8; at + 8 <= bytes.length; at += 12 + view.getUint32(at)) {
    yield [ascii(bytes, at + 4, at + 8), at + 8, at + 8 + view.getUint32(at)];
  }
}

function* webp(bytes, view) {
  for (let at = 12; at + 8 <= bytes.length; ) {
    const size = view.getUint32(at + 4, true);
    yield [ascii(bytes, at, at + 4), at + 8, at + 8 + size];
    at += 8 + size + (size % 2);
  }
}

/** Reads the orientation of the TIFF header at this place, or null, and sets it to 1 there. */
function takeOrientation(view, start) {
  const order = view.getUint16(start);
  if (order !== 0x4949 && order !== 0x4d4d) return null;
  const little = order === 0x4949, directory = start + view.getUint32(start + 4, little);
  for (let left = view.getUint16(directory, little), at = directory + 2; left > 0; left--, at += 12) {
    if (view.getUint16(at, little) !== 0x0112) continue;
    const orientation = view.getUint16(at + 8, little);
    view.setUint16(at + 8, 1, little);
    return orientation;
  }
  return null;
}
