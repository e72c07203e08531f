"""What mmengine and mmdet need to detect with words: data sets, metrics, proposals and a teacher's regions."""

import clipkit.detection.datasets
import clipkit.detection.grounding
import clipkit.detection.grounding_datasets
import clipkit.detection.grounding_metric
import clipkit.detection.metrics
import clipkit.detection.shapes_dataset
import clipkit.detection.shapes_grounding
import clipkit.detection.teacher_regions  # noqa: F401
