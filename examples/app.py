from fastapi import FastAPI, HTTPException, UploadFile
from PIL import Image
from transformers import pipeline

app, classify = FastAPI(), pipeline("image-classification", model="runs/photos_vit")
MAX_PIXELS, MAX_ASPECT_RATIO = 89_478_485, 100  # a few KB can decode to gigabytes


def open_upload(file) -> Image.Image:
    image = Image.open(file)
    width, height = image.size
    if width * height > MAX_PIXELS or max(width, height) > MAX_ASPECT_RATIO * min(width, height):
        raise ValueError(f"{width}x{height} pixels are too many, or too long and narrow")
    return image


@app.post("/classify")
def predict(image: UploadFile, top_k: int = 5):
    try:
        return classify(open_upload(image.file), top_k=top_k)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise HTTPException(422, f"{image.filename} cannot be read: {error}") from None
