"""Films of the embedded world, embedded once by the frozen tiny CLIP for all heads and seeds.

400 films of each task train, 100 test: films of another seed, same wordings, all colours and shapes in both.
"""

# Made by the first run, completed or used by the next.
variables = dict(
    films="work_dirs/films/train",
    test_films="work_dirs/films/test",
    store="work_dirs/films/store",
    tokens=False,  # True for head wti
    strings=True,  # False where the text tower is frozen: then its embeddings come from the store too
)
frames = dict(
    type="FilmTexts",
    clip=dict(name="tiny_clip"),
    store="{store}",
    film=dict(frames=8),
    sampling=dict(uniform=8),
    max_frames=8,
    dtype="fp32",
    tokens="{tokens}",
    strings="{strings}",
)
train_dataloader = dict(
    batch_size=64,  # pairs
    num_workers=0,
    collate_fn=dict(type="clipkit.collate_lists"),
    sampler=dict(type="ResumableInfiniteSampler"),
    dataset=dict(folder="{films}", n=400, seed=0, in_pairs=True, wordings=6, **frames),
)
val_dataloader = dict(
    batch_size=128,
    num_workers=0,
    collate_fn=dict(type="clipkit.collate_lists"),
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(folder="{test_films}", n=100, seed=1, test_mode=True, **frames),
)
test_dataloader = val_dataloader
val_evaluator = dict(type="FilmMetric")
test_evaluator = val_evaluator
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
