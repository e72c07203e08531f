"""What mmengine and mmseg need to segment with words: the text segmentor, its data sets, metrics and pictures."""
