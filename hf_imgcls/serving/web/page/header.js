// What the first bytes of an image file say that browsers treat in different ways.

const text = (bytes, from, to) => String.fromCharCode(...bytes.subarray(from, to));

/** {type, orientation, grey16} of a file's bytes, whose orientation is set to upright: the caller turns the image. */
export function inspect(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const type = typeOf(bytes);
  const find = { "image/jpeg": inJpeg, "image/png": inPng, "image/webp": inWebp }[type];
  let orientation = 1;
  try {
    const place = find ? find(bytes, view) : -1;
    if (place >= 0) orientation = takeOrientation(view, place);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error; // it points out of the file: damaged EXIF is none
  }
  return { type, orientation, grey16: type === "image/png" && bytes[24] === 16 && bytes[25] === 0 };
}

function typeOf(bytes) {
  if (bytes[0] === 0xff && bytes[1] === 0xd8) return "image/jpeg";
  if (text(bytes, 1, 4) === "PNG") return "image/png";
  if (text(bytes, 0, 4) === "RIFF" && text(bytes, 8, 12) === "WEBP") return "image/webp";
  if (text(bytes, 0, 3) === "GIF") return "image/gif";
  return text(bytes, 0, 2) === "BM" ? "image/bmp" : "";
}

// Each finds the place of EXIF's TIFF header, or -1.

function inJpeg(bytes, view) {
  for (let at = 2; view.getUint8(at) === 0xff && view.getUint8(at + 1) !== 0xda; at += 2 + view.getUint16(at + 2)) {
    if (view.getUint8(at + 1) === 0xe1 && text(bytes, at + 4, at + 8) === "Exif") return at + 10;
  }
  return -1;
}

function inPng(bytes, view) {
  for (let at = 8; at + 8 <= bytes.length; at += 12 + view.getUint32(at)) {
    if (text(bytes, at + 4, at + 8) === "eXIf") return at + 8;
  }
  return -1;
}

function inWebp(bytes, view) {
  for (let at = 12; at + 8 <= bytes.length; ) {
    if (text(bytes, at, at + 4) === "EXIF") return text(bytes, at + 8, at + 12) === "Exif" ? at + 14 : at + 8;
    const size = view.getUint32(at + 4, true);
    at += 8 + size + (size % 2);
  }
  return -1;
}

/** Reads the orientation of the TIFF header at this place, 1 to 8, and sets it to 1 there. */
function takeOrientation(view, start) {
  const order = view.getUint16(start);
  if (order !== 0x4949 && order !== 0x4d4d) return 1;
  const little = order === 0x4949, directory = start + view.getUint32(start + 4, little);
  for (let left = view.getUint16(directory, little), at = directory + 2; left > 0; left--, at += 12) {
    if (view.getUint16(at, little) !== 0x0112) continue;
    const orientation = view.getUint16(at + 8, little);
    view.setUint16(at + 8, 1, little);
    return orientation >= 1 && orientation <= 8 ? orientation : 1;
  }
  return 1;
}
