"""Which files are images."""

# A file with one of these endings is a picture by its name: if it cannot be read it is a bad one. Any other file is
# judged by its content, and passed over if that is not a picture.
PICTURE_SUFFIXES = {
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".avif",
    ".heic", ".heif", ".jp2", ".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".mpo",
}  # fmt: skip
