"""C2: contrastive learning is several times more efficient than predicting a caption's words. Runs of pretraining.py.

Radford et al. 2021, section 2.3 and figure 2. Images seen until 40 % zero-shot accuracy among 96 names; the same image
tower, scenes and schedule. An arm that never gets there counts with all its images.
"""

claim = "C2"
runs_of = "pretraining"
arms = ("tiny", "words")
statements = [
    dict(says="half as many images or fewer", metric="images_to_40", better="words", than="tiny", times=2.0)
]  # fmt: skip
