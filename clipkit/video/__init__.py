"""What mmengine needs for films and their sentences: data sets and metrics."""

import clipkit.video.datasets
import clipkit.video.films
import clipkit.video.metrics
import clipkit.video.narrated
import clipkit.video.stories  # noqa: F401
