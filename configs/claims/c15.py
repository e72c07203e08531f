"""Claim C15: segmentation emerges from captions. Learned groups beside k-means of the same tokens: with CLIP's own
names, and with names that were learned as the groups' were. Naming is most of what a mean IoU sees; `oracle` sees
segments alone. Pixels are named by all of their groups, and for comparison by one (`hard`). Runs of groups.py.
"""

claim = "C15"
runs_of = "groups"
arms = (
    "GroupViT",
    "GroupViT (hard)",
    "k-means with trained names",
    "k-means with trained names (hard)",
    "k-means with CLIP's names",
    "colours with CLIP's names",
    "from scratch",
    "from scratch (hard)",
    "from scratch (k-means)",
    "from scratch (colours)",
)
statements = [
    dict(says="groups beat k-means", metric="mIoU", better="GroupViT (hard)", than="k-means with CLIP's names"),
    dict(
        says="groups beat k-means with the same training of names",
        metric="mIoU",
        better="GroupViT",
        than="k-means with trained names",
    ),
    dict(
        says="so they do where a pixel has the name of one group",
        metric="mIoU",
        better="GroupViT (hard)",
        than="k-means with trained names (hard)",
    ),
    dict(
        says="groups are better segments than k-means'",
        metric="oracle",
        better="GroupViT",
        than="k-means with trained names",
    ),
    dict(
        says="from scratch, groups beat k-means of their features",
        metric="mIoU",
        better="from scratch",
        than="from scratch (k-means)",
    ),
    dict(
        says="from scratch, groups are better segments than k-means'",
        metric="oracle",
        better="from scratch",
        than="from scratch (k-means)",
    ),
    dict(
        says="from scratch, groups are better segments than colours'",
        metric="oracle",
        better="from scratch",
        than="from scratch (colours)",
    ),
]
