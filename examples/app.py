from fastapi import FastAPI, HTTPException, UploadFile
from PIL import Image
from transformers import pipeline

app, classify = FastAPI(), pipeline("image-classification", model="runs/photos_vit")


@app.post("/classify")
def predict(image: UploadFile, top_k: int = 5):
    try:
        return classify(Image.open(image.file), top_k=top_k)
    except (OSError, ValueError) as error:
        raise HTTPException(422, f"{image.filename} cannot be read: {error}") from None
