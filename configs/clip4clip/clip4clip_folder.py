"""CLIP4Clip on your own videos: a folder and a table with the columns video and sentence. No Python needed.

A video may have several rows. A column split says train or test; without it all rows are both. Columns start and end
(seconds) cut pieces out. The frames are embedded once into variables.store, so that trying heads takes minutes.

Command:   clipkit train clip4clip/clip4clip_folder.py --cfg-options variables.root=my/videos.csv
Options:   variables.videos=FOLDER      where the videos lie (default: beside the table)
           variables.head=meanP|seqLSTM|seqTransf|tightTransf|query_scoring, or wti with variables.tokens=True
           variables.clip / .weights    another CLIP: an open_clip name, and a tag or a local file
           variables.fps, variables.max_frames, variables.on_bad=skip
           train_cfg.max_iters, train_dataloader.batch_size
Hardware:  any
Time:      depends on your data
Expected:  depends on your data
"""

_base_ = ["../_base_/clip4clip.py"]

iterations = 1000
train_cfg = dict(max_iters=iterations, val_interval=250)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=50, end=iterations, eta_min=0),
]
