"""The report of a scored model: numbers for programs, rows of every image, one page for people."""
