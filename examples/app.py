import struct
import threading
import zlib
from typing import Annotated

from fastapi import FastAPI, HTTPException, Query, UploadFile
from PIL import Image
from transformers import pipeline
from transformers.image_utils import load_image

MAX_BYTES = 64 * 1024**2  # of a request
MAX_PIXELS, MAX_ASPECT_RATIO = 89_478_485, 100  # a few KB can decode to gigabytes
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF")  # not those that Pillow hands to other programs
# What Pillow raises on damaged images.
UNREADABLE = (
    OSError, ValueError, SyntaxError, EOFError, LookupError, ArithmeticError, RuntimeError, TypeError, AttributeError,
    AssertionError, struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip


class LimitBody:
    """Ends a request with 413 when its body has more bytes."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        said, came = int(dict(scope.get("headers", ())).get(b"content-length", 0)), 0

        async def counted():
            nonlocal came
            message = {} if said > MAX_BYTES else await receive()
            came += len(message.get("body", b""))
            if max(said, came) > MAX_BYTES:
                raise HTTPException(413, f"more than {MAX_BYTES:,} bytes")
            return message

        await self.app(scope, counted, send)


app, classify = FastAPI(), pipeline("image-classification", model="runs/photos_vit")
app.add_middleware(LimitBody)
one = threading.Lock()  # an image at a time is decoded and classified, whatever the number of clients


def read_upload(file) -> Image.Image:
    image = Image.open(file, formats=FORMATS)
    width, height = image.size
    if width * height > MAX_PIXELS or max(width, height) > MAX_ASPECT_RATIO * min(width, height):
        raise ValueError(f"{width}x{height} pixels are too many, or too long and narrow")
    upright = load_image(image)
    upright.info.clear()  # pipeline reads the EXIF data once more, which may be damaged
    return upright


@app.get("/health")
def health():
    return {"status": "ok"}


@app.post("/classify")
def predict(image: UploadFile, top_k: Annotated[int, Query(ge=1)] = 5):
    with one:
        try:
            pixels = read_upload(image.file)
        except UNREADABLE as error:
            raise HTTPException(422, f"{image.filename} cannot be read: {error}") from None
        return classify(pixels, top_k=top_k)
