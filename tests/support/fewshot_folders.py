"""Made-up folders in the official layouts of PASCAL VOC 2012 with SBD, COCO 2014 and FSS-1000."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 64, 90
# COCO's category ids are 1 to 90 without ten.
COCO_IDS = [i for i in range(1, 91) if i not in (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)]


def mask_of(class_id: int, count: int) -> np.ndarray:
    """Three classes of different folds: two large ones and one below 2048 pixels; a background strip between them."""
    mask = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    mask[:, :40] = class_id + 1
    mask[:, 45:85] = (class_id + count // 4 + 1) % count + 1
    mask[:20, 86:] = (class_id + 7) % count + 1
    return mask


def picture(path: Path, mask: np.ndarray) -> None:
    """A photo's stand-in: each class has a grey value of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.stack([mask * 3] * 3, axis=-1).astype(np.uint8)).save(path)


def pascal(root: Path) -> Path:
    """20 images of VOC's train and 20 of its val with official palette masks, 20 of SBD with grey ones."""
    names: dict[str, list[str]] = {"train": [], "val": [], "aug": []}
    for subset, year in (("train", 2007), ("val", 2008), ("aug", 2009)):
        for class_id in range(20):
            name = f"{year}_{class_id:06d}"
            names[subset].append(name)
            mask = mask_of(class_id, 20)
            picture(root / "JPEGImages" / f"{name}.jpg", mask)
            official, augmented = root / "SegmentationClass", root / "SegmentationClassAug"
            augmented.mkdir(parents=True, exist_ok=True)
            Image.fromarray(mask).save(augmented / f"{name}.png")
            if subset != "aug":
                mask[:, 38:47] = 255
                image = Image.fromarray(mask, mode="P")
                image.putpalette([value for i in range(256) for value in (i, 0, 255 - i)])
                official.mkdir(parents=True, exist_ok=True)
                image.save(official / f"{name}.png")
    sets = root / "ImageSets" / "Segmentation"
    sets.mkdir(parents=True)
    for name, content in (
        ("train", names["train"]),
        ("val", names["val"]),
        ("trainaug", names["train"] + names["aug"]),
    ):
        (sets / f"{name}.txt").write_text("\n".join(content) + "\n")
    return root


def coco(root: Path, images: int = 80) -> Path:
    """Images and instances_{train,val}2014.json: a box as polygon, one as two polygons, one as run lengths, and a
    small object that lies on the first."""
    for year in ("train2014", "val2014"):
        content: dict = {"images": [], "annotations": [], "categories": [{"id": i} for i in reversed(COCO_IDS)]}
        for i in range(images):
            class_id = i % 80
            name = f"COCO_{year}_{i:012d}.jpg"
            content["images"].append({"id": i, "file_name": name, "height": HEIGHT, "width": WIDTH})
            second, third, small = ((class_id + k) % 80 for k in (21, 7, 2))
            shapes = (
                (small, [box(5, 5, 9, 9)], 16),
                (class_id, [box(0, 0, 40, HEIGHT)], 40 * HEIGHT),
                (second, [box(45, 0, 85, 32), box(45, 32, 85, HEIGHT)], 40 * HEIGHT),
                (third, {"size": [HEIGHT, WIDTH], "counts": [86 * HEIGHT, 20, 44, 20, 44, 20, 44, 20, 44]}, 80),
            )
            for category, segmentation, area in shapes:
                content["annotations"].append(
                    {"image_id": i, "category_id": COCO_IDS[category], "segmentation": segmentation, "area": area}
                )
            picture(root / year / name, mask_of(class_id, 80))
        (root / "annotations").mkdir(exist_ok=True)
        (root / "annotations" / f"instances_{year}.json").write_text(json.dumps(content))
    return root


def box(x0: int, y0: int, x1: int, y1: int) -> list[int]:
    return [x0, y0, x1, y0, x1, y1, x0, y1]


def fss(root: Path) -> Path:
    """Eleven classes of three images; masks are white on black, in RGB as the official ones. Two are test classes."""
    for k, name in enumerate(["anise", "abacus", "bat", "cup", "drum", "egg", "fig", "gem", "hat", "ink", "jug"]):
        for i in range(1, 4):
            mask = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
            mask[10 : 20 + k, 5 * i : 50] = 250
            picture(root / name / f"{i}.jpg", mask // 3)
            Image.fromarray(np.stack([mask] * 3, axis=-1)).save(root / name / f"{i}.png")
    (root / "fss_test_set.txt").write_text("hat\ncup\n")
    return root
