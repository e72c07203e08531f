"""Stories of the embedded world: films of 32 to 64 seconds, whose sentences come up to 2 seconds late.

64 stories train, 24 test: stories of another seed, whose sentences are in time. Things grow or shrink, appear or
vanish, come one after another, or rest; moving and speeding up take longer to learn, see clip4clip_tiny_films.py.
"""

# Made by the first run, completed or used by the next.
variables = dict(
    stories="work_dirs/stories/train",
    test_stories="work_dirs/stories/test",
    store="work_dirs/stories/store",
    lag=2.0,  # seconds
    films=8,  # in a batch
)
stories = dict(
    type="StoryTexts",
    clip=dict(name="tiny_clip"),
    store="{store}",
    sampling=dict(fps=2.0),
    max_frames=32,
    dtype="fp32",
    story=dict(tasks=["reversed", "order", "static"]),
)
train_dataloader = dict(
    batch_size="{films}",
    num_workers=0,
    collate_fn=dict(type="clipkit.collate_lists"),
    sampler=dict(type="ResumableInfiniteSampler"),
    dataset=dict(
        folder="{stories}",
        n=64,
        seed=0,
        lag="{lag}",
        pairs=dict(seconds=(3, 8), words=(1, 8), pairs=4),
        **stories,
    ),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=0,
    collate_fn=dict(type="clipkit.collate_lists"),
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(folder="{test_stories}", n=24, seed=1, test_mode=True, **stories),
)
test_dataloader = val_dataloader
val_evaluator = dict(type="StoryMetric", window=4.0)
test_evaluator = val_evaluator
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
