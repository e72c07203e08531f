"""What mmengine and mmdet need to detect with words: data sets, metrics, proposals and a teacher's regions."""
