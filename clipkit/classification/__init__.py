"""What mmengine needs to classify images with CLIP: the classifier, image sets, loops and pictures."""
