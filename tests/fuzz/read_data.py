"""Rows: annotations, labelled sets, depth, proposals, embeddings, label files, few-shot lists, drawings."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from clipkit.data import fewshot, fewshot_lists
from clipkit.data.annotations import (
    LabelledBox,
    LabelledImage,
    LabelledSet,
    judged_annotations,
    read_coco,
    read_coco_file,
    read_voc,
)
from clipkit.data.captioned import KarpathyImages
from clipkit.data.coco_results import from_coco_mask, to_rle
from clipkit.data.depth import DepthFiles, NyuMat, pair_depths, read_list, save_depth
from clipkit.data.formats import FORMATS, read_labelled
from clipkit.data.image_folder import ImageFolder
from clipkit.data.images import read_image, read_mask
from clipkit.data.pairs import Problems, pair_folders
from clipkit.data.proposals import clean_boxes, list_dataset, read_proposals
from clipkit.data.write_formats import write_labelled
from clipkit.nn import Strokes, read_svg, write_svg
from clipkit.text import Vocabulary, load_embeddings, save_embeddings
from clipkit.text._embeddings import TextEmbeddings
from fuzz.read_media import picture
from fuzz.table import Reader, command, inner, only
from support.fewshot_folders import COCO_IDS, box

HEIGHT, WIDTH = 24, 40
CLASSES = ("cat", "a big dog", "tree")


def _save(path: Path, seed: int = 0, size: tuple[int, int] = (HEIGHT, WIDTH)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture(*size, seed)).save(path)
    return path


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def touch(folder: Path, *names: str) -> None:
    for name in names:
        write(folder / name, "film")


def write_table(path: Path, *rows: tuple[str, ...], delimiter: str = ",") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)


# -- objects ----------------------------------------------------------------------------------------------------------


def _coco(root: Path) -> None:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[3:9, 4:20] = True
    polygon = [[4.0, 3.0, 20.0, 3.0, 20.0, 9.0, 4.0, 9.0]]
    runs = {"size": [HEIGHT, WIDTH], "counts": [10, 5, HEIGHT * WIDTH - 15]}
    shapes = (polygon, to_rle(mask), runs, None)
    for name in ("coco", "lvis"):
        images, rows = [], []
        for number in range(2):
            file = _save(root / name / f"images/val/{number}.png", number)
            about = (
                {"file_name": f"val/{file.name}"} if name == "coco" else {"coco_url": f"http://images/val/{file.name}"}
            )
            images.append({"id": number, "width": WIDTH, "height": HEIGHT, "neg_category_ids": [], **about})
            for shape in shapes:
                row = {"id": len(rows) + 1, "image_id": number, "category_id": len(rows) % 3 + 1, "area": 96.0}
                rows.append(
                    {**row, "bbox": [4, 3, 16, 6], "iscrowd": int(isinstance(shape, dict)), "segmentation": shape}
                )
        categories = [{"id": i, "name": word, "frequency": "rcf"[i - 1]} for i, word in enumerate(CLASSES, 1)]
        write(root / name / "ann.json", json.dumps({"images": images, "annotations": rows, "categories": categories}))


def _read_coco(folder: Path) -> Any:
    path = folder / "ann.json"
    found = [read_coco(path, folder / "images", masks=masks) for masks in (False, True)]
    for image in found[1].images:
        for item in image.objects:
            from_coco_mask(item.mask, image.height, image.width)
    list_dataset(folder / "images", path)
    return found, judged_annotations(read_coco_file(path))


def _labelled(root: Path) -> None:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[3:9, 4:20] = True
    for kind in FORMATS:
        folder = root / kind / kind
        place = folder if kind == "coco" else root / ".photos"
        images = [LabelledImage(i, _save(place / f"images/{i}.png", i), WIDTH, HEIGHT) for i in range(2)]
        masked = to_rle(mask) if kind in ("masks", "coco") else None
        images[0].objects = [LabelledBox((4, 3, 20, 9), 0, mask=masked), LabelledBox((4, 3, 20, 9), 2, mask=masked)]
        images[1].objects = [LabelledBox((4, 3, 20, 9), 1, mask=masked)]
        write_labelled(LabelledSet(CLASSES, images, Problems()), folder, kind)


def _read_labelled(folder: Path) -> Any:
    place = inner(folder)
    return read_labelled(place, place.name)


def _voc(root: Path) -> None:
    size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height><depth>3</depth></size>"
    for number in range(2):
        _save(root / f"voc/JPEGImages/{number}.png", number)
        box = "<bndbox><xmin>5</xmin><ymin>4</ymin><xmax>20</xmax><ymax>9</ymax></bndbox>"
        item = f"<object><name>{CLASSES[number]}</name><difficult>{number}</difficult>{box}</object>"
        write(root / f"voc/Annotations/{number}.xml", f"<annotation>\n{size}\n{item * 2}\n</annotation>\n")
    write(root / "voc/ImageSets/Main/train.txt", "0 1\n1 -1\n")


def _read_voc(folder: Path) -> Any:
    return read_voc(folder, "train", CLASSES)


def _pairs(root: Path) -> None:
    for ending in ("png", "gif", "tiff"):
        for number in range(2):
            _save(root / f"{ending}/images/{number}.jpg", number)
            ids = np.full((HEIGHT, WIDTH), number, np.uint8)
            ids[:5] = 2
            mask = root / f"{ending}/masks/{number}.{ending}"
            mask.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(ids).save(mask)


def _read_pairs(folder: Path) -> Any:
    pairs = pair_folders(folder / "images", folder / "masks", num_classes=3)
    return [(read_image(image), read_mask(mask)) for image, mask in pairs.good], pairs.problems


# -- images with depth ------------------------------------------------------------------------------------------------


def _depths(root: Path) -> None:
    import h5py
    from scipy.io import savemat

    pixels, metres = np.stack([picture(HEIGHT, WIDTH, i) for i in range(2)]), np.full((2, HEIGHT, WIDTH), 2.5, "f4")
    for kind, packed in (("plain", {}), ("packed", dict(compression="gzip", shuffle=True, fletcher32=True))):
        folder = root / f"nyu_{kind}"
        folder.mkdir()
        with h5py.File(folder / "nyu.mat", "w") as file:
            file.create_dataset("images", data=pixels.transpose(0, 3, 2, 1), **packed)
            file.create_dataset("depths", data=metres.transpose(0, 2, 1), **packed)
        savemat(folder / "splits.mat", {"trainNdxs": [[1]], "testNdxs": [[2]]}, do_compression=bool(packed))
    for kind in ("list", "folders"):
        folder = root / kind
        for number in range(2):
            _save(folder / f"images/{number}.png", number)
            (folder / "depths").mkdir(exist_ok=True)
            save_depth(metres[0], folder / f"depths/{number}.png")
    lines = (f"images/{number}.png depths/{number}.png 518.8" for number in range(2))
    write(root / "list/list.txt", "\n".join(lines))


def _read_depths(folder: Path) -> Any:
    found: Any
    if (folder / "images").is_dir() and (folder / "depths").is_dir():
        listed = folder / "list.txt"
        found = DepthFiles(
            read_list(listed, folder) if listed.exists() else pair_depths(folder / "images", folder / "depths")
        )
    else:
        found = NyuMat(folder / "nyu.mat", folder / "splits.mat", "test")
    return [(found.name(i), *found[i]) for i in range(len(found))]


# -- images with words ------------------------------------------------------------------------------------------------


def _karpathy(root: Path) -> None:
    entries = []
    for number in range(3):
        _save(root / f"k/images/val/{number}.png", number)
        sentences = [{"raw": f"a cat {i} ", "tokens": ["a", "cat"], "sentid": i} for i in range(2)]
        entries.append({"filepath": "val", "filename": f"{number}.png", "split": "test", "sentences": sentences})
    write(root / "k/dataset.json", json.dumps({"images": entries, "dataset": "x"}))


def _read_karpathy(folder: Path) -> Any:
    images = KarpathyImages(folder / "dataset.json", folder / "images")
    return images.texts, images.owner, [images.read(i) for i in range(len(images))]


def _class_folders(root: Path) -> None:
    names = {"mapping": ("n.json", '{"a": "cat", "b": "dog"}'),
             "list": ("n.json", '["cat", "dog"]'), "lines": ("n.txt", "cat\ndog\n")}  # fmt: skip
    for kind, (file, text) in names.items():
        for number, word in enumerate("ab"):
            _save(root / kind / "images" / word / "0.png", number)
        write(root / kind / file, text)


def _read_class_folders(folder: Path) -> Any:
    file = next((path for path in sorted(folder.iterdir()) if path.name != "images"), folder / "n.txt")
    images = ImageFolder(folder / "images", names=file)
    return images.names, images.labels, [images.identify(i) for i in range(len(images))]


def _label_files(root: Path) -> None:
    seeds = {
        "a.txt": "# classes\ncat; kitten; tabby\na big dog\nC#  # a language\ntree\n",
        "numbered.txt": "0: cat\n1: dog; hound\n2: tree\n",
        "list.json": '["cat", "a dog", "tree"]', "words.json": '{"names": [["cat", "kitten"], ["dog"]]}',
        "numbers.json": '{"0": "cat", "1": "dog"}',
        "coco.json": '{"categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]}',
        "sclip.class": "cat, kitten\nhot dog\ntree\n",
    }  # fmt: skip
    for name, text in seeds.items():
        write(root / name / name, text)


def _read_labels(folder: Path) -> Any:
    file = only(folder)
    vocabulary = Vocabulary.from_file(file, ", " if file.suffix == ".class" else None)
    return vocabulary.words, vocabulary.match(CLASSES)


def _embeddings(root: Path) -> None:
    rows = np.sin(np.arange(12, dtype=np.float32)).reshape(3, 4) + 2
    for name in ("npz", "packed", "safetensors"):
        (root / name).mkdir()
    for ending, text in (("json", json.dumps({"names": CLASSES, "model": "x"})), ("txt", "\n".join(CLASSES))):
        write(root / ending / f"e.{ending}", text)
        np.save(root / ending / "e.npy", rows)
    np.savez(root / "npz/e.npz", embeddings=rows, names=CLASSES)
    np.savez_compressed(root / "packed/e.npz", rows=rows.astype(np.float16), names=CLASSES)
    save_embeddings(TextEmbeddings(CLASSES, torch.from_numpy(rows)), root / "safetensors/e.safetensors")


def _read_embeddings(folder: Path) -> Any:
    found = load_embeddings(
        next((p for p in sorted(folder.iterdir()) if p.suffix not in (".json", ".txt")), folder / "e.npy")
    )
    return found.names, found.matrix


# -- proposals --------------------------------------------------------------------------------------------------------


def _proposals(root: Path) -> None:
    boxes, scores = [[1.0, 2.0, 30.0, 20.0], [0.0, 0.0, 5.5, 6.0]], [0.9, 0.25]
    by_name = {"a.jpg": {"boxes": boxes, "scores": scores}, "b/c.jpg": {"boxes": boxes[:1]}}
    write(root / "names/p.json", json.dumps(by_name))
    rows = [{"image_id": i, "bbox": box, "score": score} for i in (1, 2) for box, score in zip(boxes, scores)]
    write(root / "results/p.json", json.dumps(rows))
    for name, save in (("npz", np.savez), ("packed", np.savez_compressed)):
        (root / name).mkdir()
        save(root / name / "p.npz", names=["a.jpg", "b/c.jpg"], counts=[2, 0], boxes=boxes, scores=scores)


def _read_proposals(folder: Path) -> Any:
    found = read_proposals(only(folder))
    return [(key, *clean_boxes(*pair, (HEIGHT, WIDTH), 100)) for key, pair in found.by_key.items()], found.by_key


# -- few shots --------------------------------------------------------------------------------------------------------


def _ids(path: Path, value: int) -> None:
    ids = np.zeros((64, 64), np.uint8)
    ids[:40] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(ids).save(path)


def _few_shots(root: Path) -> None:
    folder = root / "pascal5i/pascal5i"
    for fold, name in enumerate("abcd"):
        _save(folder / f"JPEGImages/{name}.jpg", size=(64, 64))
        _ids(folder / f"SegmentationClass/{name}.png", 5 * fold + 1)
    for fold in range(4):
        for subset in ("trn", "val"):
            write(folder / f"splits/{subset}/fold{fold}.txt", f"{'abcd'[fold]}__{5 * fold + 1:02d}\n")
    write(folder / "ImageSets/Segmentation/trainaug.txt", "a\n")
    write(folder / "ImageSets/Segmentation/val.txt", "b\n")
    folder = root / "fss1000/fss1000"
    for name in ("anise", "bat", "hat"):
        _save(folder / f"{name}/1.jpg", size=(64, 64))
        _ids(folder / f"{name}/1.png", 255)
    write(folder / "fss_test_set.txt", "hat\n")
    for subset, name in (("trn", "anise"), ("val", "bat"), ("test", "hat")):
        write(folder / f"splits/{subset}.txt", f"{name}\n")


def _read_few_shots(folder: Path) -> Any:
    place = inner(folder)
    if place.name == "pascal5i":
        examples = fewshot.fold_examples("pascal5i", place, 0, "test") + fewshot.fold_examples(
            "pascal5i", place, 0, "train"
        )
    else:
        examples = fewshot.fss_examples(place, "test")[0]
    return [fewshot.read_example(example, 20 if place.name == "pascal5i" else None, 32) for example in examples]


def _few_shot_sources(root: Path) -> None:
    _few_shots(root)
    for name in ("pascal5i", "fss1000"):
        for path in sorted((root / name / name / "splits").rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        (root / name / name / "splits").rmdir()
    shapes = (
        [box(0, 0, 40, 64)],
        [box(45, 0, 85, 32), box(45, 32, 85, 64)],
        {"size": [64, 90], "counts": [64, 4000, 1696]},
    )
    for year in ("train2014", "val2014"):
        rows = [
            {"image_id": 1, "category_id": COCO_IDS[i], "segmentation": shape, "area": 2560}
            for i, shape in enumerate(shapes)
        ]
        images = [{"id": 1, "file_name": f"COCO_{year}_1.jpg", "height": 64, "width": 90}]
        content = {"images": images, "annotations": rows, "categories": [{"id": i} for i in COCO_IDS]}
        write(root / f"coco20i/coco20i/annotations/instances_{year}.json", json.dumps(content))


def _write_lists(folder: Path) -> Any:
    place = inner(folder)
    command(fewshot_lists.main, place.name, place)
    return [path.read_text() for path in sorted((place / "splits").rglob("*.txt"))]


def _drawings(root: Path) -> None:
    points = torch.tensor(
        [[[2.0, 2], [9, 3], [4, 9], [12, 12], [8, 1], [3, 5]], [[1.0, 1], [2, 2], [5, 2], [8, 4], [9, 9], [2, 9]]]
    )
    (root / "drawing").mkdir(parents=True)
    strokes = Strokes.of(points, 2.0, closed=True, size=(16, 16), filled=torch.tensor([True, False]))
    write_svg(strokes, root / "drawing" / "a.svg")


READERS = [
    Reader("annotations of COCO", _coco, _read_coco, share=3),
    Reader("annotations of VOC", _voc, _read_voc),
    Reader("labelled sets", _labelled, _read_labelled, share=3),
    Reader("images with masks", _pairs, _read_pairs),
    Reader("images with depth", _depths, _read_depths, share=2),
    Reader("images with captions", _karpathy, _read_karpathy),
    Reader("folders of classes", _class_folders, _read_class_folders),
    Reader("label files", _label_files, _read_labels, share=2),
    Reader("embeddings", _embeddings, _read_embeddings, checked=("npz", "packed"), share=2),
    Reader("proposals", _proposals, _read_proposals, checked=("npz", "packed"), share=2),
    Reader("few shots", _few_shots, _read_few_shots),
    Reader("lists of few shots", _few_shot_sources, _write_lists),
    Reader("drawings", _drawings, lambda folder: read_svg(only(folder)).state_dict()),
]
