from typing import Annotated

from fastapi import FastAPI, HTTPException, Query, UploadFile

from hf_imgcls import ImageClassifier, InputError

MAX_BYTES = 64 * 1024**2  # of a request


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


app, classify = FastAPI(), ImageClassifier("runs/photos_vit")
app.add_middleware(LimitBody)


@app.get("/health")
def health():
    return {"status": "ok"}


@app.post("/classify")
def predict(image: UploadFile, top_k: Annotated[int, Query(ge=1)] = 5):
    try:
        return classify(image.file.read(), top_k)
    except InputError as error:
        raise HTTPException(422, str(error)) from None
