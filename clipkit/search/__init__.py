"""Find the second of a video, or the image, that a text describes: the index, its media and its sheet."""
