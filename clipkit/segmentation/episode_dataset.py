"""PASCAL-5i, COCO-20i and FSS-1000 as data sets for mmseg's pipelines."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from mmengine.dataset import Compose
from mmengine.logging import print_log
from torch.utils.data import Dataset

from clipkit.data.class_counts import class_counts
from clipkit.data.fewshot import (
    NUM_CLASSES,
    by_class,
    evaluation_episodes,
    fold_examples,
    fss_examples,
    held_out_classes,
    read_example,
)
from clipkit.data.palette import palette
from clipkit.engine.registry import DATASETS
from clipkit.errors import ClipkitError


@DATASETS.register_module()
class EpisodeDataset(Dataset):
    """One sample is an image with one class: ids 1 (that class), 0 (others), 255 (ignored), squashed to a square.

    Training samples hold classes of the other folds only; pixels of a test class in their images are "others", like all
    that is not the sample's class. In LSeg's protocol (no shots) the support image of an episode is a training sample
    like its query, drawn from the same distribution: so one pass over this data set is half an epoch of it. PASCAL-5i
    and FSS-1000 take every example once a pass; COCO-20i draws a class, then an image of it.

    Samples say `class_name` and `class_id` in their metainfo (put both into the pipeline's `meta_keys`).
    The data set's metainfo: `classes` = ("others", "class"), what the ids mean; `all_classes`, names by class id;
    `tested`, ids of the subset's classes.

    Args:
        benchmark: `pascal5i`, `coco20i` or `fss1000`.
        data_root: its folder; layouts in `clipkit.data.fewshot`, lists by `clipkit.data.fewshot_lists`.
        subset: `train` or `test`; FSS-1000 also has `val`.
        fold: 0..3; FSS-1000 has none.
        classes: names in the order of the ids; FSS-1000 takes its folders'.
        splits: folder of the lists; default `data_root/splits`.
        size: pixels a side.
        length: test episodes of PASCAL-5i and COCO-20i.
        pipeline: transforms on `img` (size, size, 3) uint8 BGR and `gt_seg_map` (size, size) uint8.
        test_mode: accepted because mmengine passes it.

    Raises:
        ClipkitError: unknown benchmark, subset or fold; lists or files that are missing.
    """

    def __init__(
        self,
        benchmark: str,
        data_root: str,
        subset: str,
        fold: int = 0,
        classes: Sequence[str] = (),
        splits: str | None = None,
        size: int = 480,
        length: int = 1000,
        pipeline: Sequence[dict] = (),
        test_mode: bool = False,
    ):
        if benchmark == "fss1000":
            examples, names, tested = fss_examples(data_root, subset, splits)
            self.num_classes = None  # masks are pictures
        else:
            examples = fold_examples(benchmark, data_root, fold, subset, splits)
            names, tested = list(classes), held_out_classes(benchmark, fold)
            self.num_classes = NUM_CLASSES[benchmark]
            if len(names) != self.num_classes:
                raise ClipkitError(f"{benchmark} has {self.num_classes} classes, and classes= holds {len(names)} names")
        where = f"{benchmark} in {data_root}, {subset}"
        owners = Counter(example.class_id for example in examples)
        folds = benchmark != "fss1000" and subset == "train"  # which train on the classes that they do not test
        expected = [c for c in range(len(names)) if c not in tested] if folds else tested
        shown = class_counts([names[c] for c in expected], [owners[c] for c in expected], "examples")
        print_log(f"{where}: {shown}", "current")
        self.examples = examples if subset == "train" else evaluation_episodes(benchmark, examples, length)
        drawn = benchmark == "coco20i" and subset == "train"
        self.of_class = list(by_class(examples).values()) if drawn else None
        self.metainfo = {
            "classes": ("others", "class"),
            "palette": palette(2),
            "all_classes": tuple(names),
            "tested": tuple(tested),
        }
        self.size, self.test_mode = size, test_mode
        self.pipeline = Compose(list(pipeline))

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> dict:
        """The pipeline's result for a sample."""
        example = self.examples[index]
        if self.of_class is not None:  # numpy is seeded anew for every draw, see `SeededDataset`
            group = self.of_class[np.random.randint(len(self.of_class))]
            example = group[np.random.randint(len(group))]
        image, mask = read_example(example, self.num_classes, self.size)
        return self.pipeline(
            {
                "img": np.ascontiguousarray(image[..., ::-1]),
                "gt_seg_map": mask,
                "img_path": example.image,
                "seg_map_path": example.mask,
                "class_id": example.class_id,
                "class_name": self.metainfo["all_classes"][example.class_id],
                "img_shape": mask.shape,
                "ori_shape": mask.shape,
                "seg_fields": ["gt_seg_map"],
                "reduce_zero_label": False,
            }
        )
