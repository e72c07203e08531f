"""What mmengine needs to classify images with CLIP: the classifier, image sets, loops and pictures."""

import clipkit.classification.classifier
import clipkit.classification.image_sets
import clipkit.classification.zeroshot  # noqa: F401
