"""What mmengine and mmseg need to segment with words: the text segmentor, its data sets, metrics and pictures."""

from clipkit.engine.register import quiet_imports

with quiet_imports():  # mmseg prints of optional packages, once in each process that imports this
    import clipkit.segmentation.episode_dataset
    import clipkit.segmentation.episode_metrics
    import clipkit.segmentation.folder_dataset
    import clipkit.segmentation.format_dataset
    import clipkit.segmentation.metrics
    import clipkit.segmentation.picture
    import clipkit.segmentation.point_head
    import clipkit.segmentation.public_datasets
    import clipkit.segmentation.shapes_dataset  # noqa: F401
