"""CLIP4Clip as a library: train a temporal head on videos and sentences, then find videos by sentences.

    python examples/clip4clip.py

About two minutes on a laptop, no download: films of things that grow, shrink, appear and vanish, as real video files.
"""

import tempfile

from clipkit.engine import VideoRetriever, build_runner
from clipkit.shapes import film_set

CONFIG = "clip4clip/clip4clip_tiny_films_lstm.py"  # clip4clip_folder.py reads your own videos and a CSV
PARTS = ("train", "val", "test")

with tempfile.TemporaryDirectory() as folder:
    options = {
        "train_cfg.max_iters": 200,
        "train_cfg.val_interval": 200,
        "param_scheduler.0.end": 10,
        "param_scheduler.1.begin": 10,
        "param_scheduler.1.end": 200,
        "variables.films": f"{folder}/train",
        "variables.test_films": f"{folder}/test",
        "variables.store": f"{folder}/store",  # frames are embedded once, then only the head runs
        **{f"{part}_dataloader.dataset.tasks": ["reversed"] for part in PARTS},
        **{f"{part}_dataloader.dataset.n": 80 for part in PARTS},
    }
    runner = build_runner(CONFIG, work_dir=folder, seed=0, cfg_options=options)
    runner.train()

    films = film_set(f"{folder}/other", ["reversed"], 40, seed=7)
    retriever = VideoRetriever.load(CONFIG, folder, cfg_options=options)
    gallery = retriever.embed_videos([f"{folder}/other/{film['file']}" for film in films])
    print(
        films[0]["caption"],
        [f"{path[-10:]} {score:.2f}" for path, score in retriever.search(films[0]["caption"], gallery, 3)],
    )
    scores = retriever.similarity([film["caption"] for film in films], gallery)  # (sentences, videos)

# Film 2k + 1 is film 2k played backwards: the same frames, so that only their order tells them apart.
right = sum(float(scores[i, i] > scores[i, i ^ 1]) for i in range(len(films)))
print(f"sentences that prefer their film to the same film backwards: {100 * right / len(films):.1f} %")
