"""Scored runs beside each other: read from their reports, paired image by image, as lines, files and a page."""
