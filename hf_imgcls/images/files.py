"""Which files are images."""

# A file with one of these endings is an image by its name: if it cannot be read it is a bad one. Any other file is
# judged by its content, and passed over if that is not an image.
IMAGE_SUFFIXES = {
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".avif",
    ".heic", ".heif", ".jp2", ".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".mpo",
}  # fmt: skip
