"""A trained model as a Python object, and the files that it writes."""

from clipkit.engine.tasks import register_task

register_task("segment", "clipkit.predict.segmenter:Segmenter", "clipkit.predict.files:SegmentationFiles")
register_task("detect", "clipkit.predict.detector:Detector", "clipkit.predict.files:DetectionFiles")
register_task("find videos", "clipkit.predict.video_retriever:VideoRetriever")
register_task("answer", "clipkit.predict.answerer:Answerer", "clipkit.predict.answerer:AnswerFiles")
register_task("name clouds", "clipkit.predict.clouds:CloudNamer", "clipkit.predict.clouds:CloudFiles")
register_task("depth", "clipkit.predict.depth:DepthPredictor", "clipkit.predict.depth:DepthFiles")
register_task("hear", "clipkit.predict.listener:Listener", "clipkit.predict.listener:HeardFiles")
