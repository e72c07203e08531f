"""Test, fit and prediction by the real commands: scenes, NYU's files, one's own pairs."""

import json

import numpy as np
import pytest
import torch
from clipkit_plugins.depthclip.dataset import PhotoDepths
from PIL import Image
from scipy.io import savemat

from clipkit import cli
from clipkit.data.depth import read_depth, save_depth
from clipkit.engine.build import build_runner
from clipkit.engine.plugins import load_plugins
from clipkit.errors import ClipkitError
from clipkit.shapes.chunks import to_bytes
from clipkit.shapes.depths import depth_scenes

h5py = pytest.importorskip("h5py")
BINS = "depthclip/depthclip_tiny_shapes_bins.py"


@pytest.fixture(scope="module", autouse=True)
def plugin():
    load_plugins("depthclip")


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("depth")
    options = {"variables.scenes": 6, "variables.pictures": 4, "model.clip": "tiny_clip"}
    runner = build_runner(BINS, work_dir=str(folder / "work"), cfg_options=options, seed=0)
    start = runner.model.bins.clone()
    runner.train()
    assert not torch.equal(runner.model.bins, start) and (runner.model.bins.diff() >= 0).all()
    scores = runner.test()
    return folder, runner.model.bins.clone(), scores


def test_scores_stand_beside_a_constant(fitted):
    _, _, scores = fitted
    assert {"abs_rel", "rmse", "log10", "delta1", "constant/abs_rel", "spearman", "order"} <= scores.keys()
    assert 0 < scores["constant/abs_rel"] < 0.5 and -1 <= scores["spearman"] <= 1 and 0 <= scores["order"] <= 100


def test_fitted_bins_are_kept_and_predicted_with(fitted, capsys):
    folder, bins, _ = fitted
    path, out = folder / "scene.png", folder / "out"
    Image.fromarray(to_bytes(depth_scenes(1, seed=8).images)[0]).save(path)
    assert cli.main(["predict", str(folder / "work"), str(path), "--out", str(out), "--beside"]) == 0
    assert "1 of 1 images" in capsys.readouterr().out
    record = json.loads((out / "scene.json").read_text())
    assert list(record["words"].values()) == [round(float(b), 3) for b in bins]
    metres = read_depth(out / record["depth_mm"])
    assert metres.shape == (64, 64)
    assert metres.min() == pytest.approx(record["metres"]["least"], abs=1e-3)
    assert bins.min() - 1e-3 <= metres.min() and metres.max() <= bins.max() + 1e-3
    assert Image.open(out / "scene_depth.png").size[0] > 256
    assert cli.main(["predict", str(folder / "work"), str(path), "--labels", "near, far"]) == 2
    assert "leave the labels out" in capsys.readouterr().err


@pytest.fixture
def nyu(tmp_path):
    """Two pictures of NYU's size, whose depth tells row and column."""
    rows, columns = np.arange(480)[:, None], np.arange(640)[None]
    depth = np.stack([1 + rows / 1000 + columns / 1000] * 2).astype(np.float32)
    image = np.stack([np.broadcast_to((rows % 256)[..., None], (480, 640, 3))] * 2).astype(np.uint8)
    with h5py.File(tmp_path / "nyu.mat", "w") as file:
        file["images"], file["depths"] = image.transpose(0, 3, 2, 1), depth.transpose(0, 2, 1)
    savemat(tmp_path / "splits.mat", {"trainNdxs": [[1]], "testNdxs": [[2]]})
    return tmp_path, image[0], depth[0]


def test_crops_of_nyu(nyu):
    folder, image, depth = nyu
    source = dict(mat=str(folder / "nyu.mat"), splits=str(folder / "splits.mat"), split="test")
    whole = PhotoDepths(**source)[0]
    assert (whole["depth"].numpy() == depth).all() and (whole["image"].numpy() == image).all()
    scored = np.zeros_like(depth)
    scored[45:471, 46:601] = depth[45:471, 46:601]
    eigen = PhotoDepths(**source, crop="eigen")[0]
    assert (eigen["depth"].numpy() == scored).all() and eigen["image"].shape == (480, 640, 3)
    released = PhotoDepths(**source, crop="depthclip")[0]
    assert (released["depth"].numpy() == scored[56:472, 60:604]).all()
    assert (released["image"].numpy() == image[56:472, 60:604]).all()
    assert (released["depth"][-1] == 0).all() and (released["depth"][:, -3:] == 0).all()  # beyond the scored window


def test_nyu_by_its_config(nyu):
    folder, _, _ = nyu
    options = {
        "variables.mat": str(folder / "nyu.mat"), "variables.splits": str(folder / "splits.mat"),
        "variables.clip": "tiny_clip", "variables.weights": None,
        "model.size": [64, 96],
    }  # fmt: skip
    runner = build_runner("depthclip/depthclip_nyu.py", work_dir=str(folder / "w"), cfg_options=options,
                          for_training=False)  # fmt: skip
    assert runner.test()["constant/abs_rel"] < 0.5


def test_own_pairs_by_their_config(tmp_path):
    scenes = depth_scenes(3, seed=1)
    for i, picture in enumerate(to_bytes(scenes.images)):
        for name in ("photos", "depths"):
            (tmp_path / name).mkdir(exist_ok=True)
        Image.fromarray(picture).save(tmp_path / f"photos/{i}.png")
        save_depth(scenes.depth[i].numpy(), tmp_path / f"depths/{i}.png")
    more = dict(images=str(tmp_path / "photos"), depths=str(tmp_path / "depths"), count=2)
    options = {
        "model.size": None,
        "variables.clip": "tiny_clip",
        "variables.weights": None,
        **{f"variables.{key}": value for key, value in more.items()},
    }
    runner = build_runner("depthclip/depthclip_folder.py", work_dir=str(tmp_path / "w"), cfg_options=options)
    runner.train()
    assert runner.iter == 2 and runner.test()["abs_rel"] < 1
    folders = dict(images=more["images"], depths=more["depths"], count=2)
    drawn, rest = PhotoDepths(**folders), PhotoDepths(**folders, rest=True)
    assert sorted(one["name"] for part in (drawn, rest) for one in (part[i] for i in range(len(part)))) == [
        "photos/0", "photos/1", "photos/2",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "give mat="),
        (dict(images="a"), "give mat="),
        (dict(images="a", depths="b", crop="garg"), "known: eigen, depthclip"),
    ],
)
def test_sources_that_are_none(options, said):
    with pytest.raises(ClipkitError, match=said):
        PhotoDepths(**options)


def test_more_photos_than_there_are(nyu):
    with pytest.raises(ClipkitError, match="count=3, and there are 2"):
        PhotoDepths(mat=str(nyu[0] / "nyu.mat"), count=3)
