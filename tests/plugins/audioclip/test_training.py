"""Training by the real runner, in the embedded world and on folders of sounds; then names from the command line."""

import json

import pytest
import torch

from clipkit import cli
from clipkit.data.audio import write_wave
from clipkit.engine.build import build_runner
from clipkit.errors import ClipkitError
from clipkit.predict.listener import Listener
from clipkit.shapes import render, tiny_clip, write_film
from clipkit.shapes.sounds import render_sounds

FEW = {
    "train_dataloader.dataset.length": 24,
    "train_dataloader.batch_size": 12,
    "val_dataloader.dataset.length": 12,
    "test_dataloader.dataset.length": 12,
    "train_cfg.max_iters": 2,
    "train_cfg.val_interval": 2,
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("audioclip")
    options = {**FEW, "variables.store": str(folder / "store")}
    runner = build_runner("audioclip/audioclip_tiny_shapes.py", work_dir=folder / "work", cfg_options=options, seed=0)
    before = {name: value.clone() for name, value in runner.model.state_dict().items()}
    runner.train()
    changed = {name for name, value in runner.model.state_dict().items() if not torch.equal(value, before[name])}
    assert {"tower.body.0.0.weight", "tower.head.2.bias", "loss.scales.audio-image.log_scale"} <= changed
    assert not [name for name in changed if name.startswith("clip.")]
    scores = runner.test()
    return folder, runner, scores


def test_pictures_and_texts_stay_bit_for_bit(trained):
    _, runner, scores = trained
    scenes = render(3, seed=4)
    clip, model = tiny_clip(), runner.model
    assert model.clip.weights_hash == clip.weights_hash
    assert torch.equal(
        model.encode_image(scenes.images),
        torch.nn.functional.normalize(clip.encode_image(scenes.images, normalize=False), dim=-1),
    )
    data = runner.test_loop.dataloader.dataset
    rows = {"image": data.images, "text": data.text_rows}
    found = model(**{name: list(value) for name, value in rows.items()}, sound=[data.sounds[i] for i in range(12)])
    for name, value in rows.items():
        assert torch.equal(found[name], torch.nn.functional.normalize(value, dim=-1))
    assert scores["moved"] == 0.0 and scores["unchanged"] == 100.0


def test_all_directions_and_names_are_scored(trained):
    scores = trained[2]
    ways = {key.split("/")[0] for key in scores if "/" in key}
    assert len(ways) == 6 and scores["least"] == min(v for k, v in scores.items() if "audio" in k and k.endswith("R@1"))
    assert 0 <= scores["names"] <= 100 and scores["image_to_text/R@1"] > 50


def test_heads_move_from_where_clip_is(trained):
    folder = trained[0]
    options = {
        **FEW,
        "variables.store": str(folder / "store"),
        "variables.partial": str(folder / "work" / "iter_2.pth"),
    }
    runner = build_runner("audioclip/audioclip_tiny_shapes_full.py", work_dir=folder / "full", cfg_options=options)
    runner.model.init_weights()
    assert torch.equal(runner.model.heads["image"].weight, torch.eye(128))
    torch.testing.assert_close(runner.model.tower.state_dict(), trained[1].model.tower.state_dict(), rtol=0, atol=0)
    runner.train()
    scores = runner.test()
    assert 0 < scores["moved"] < 0.1 and scores["unchanged"] < 100.0


def test_names_from_the_command_line(trained, capsys):
    folder = trained[0]
    scenes = render(2, seed=8, objects=(1, 1))
    waves = render_sounds(scenes)
    write_wave(folder / "a.wav", waves[0].numpy(), 8000)
    film = folder / "b.mkv"
    write_film(scenes.images[:1].expand(16, -1, -1, -1), film, sound=waves.flatten(), sound_rate=8000)
    (folder / "broken.wav").write_bytes(b"RIFF" + bytes(50))
    files = [str(folder / name) for name in ("a.wav", "b.mkv", "broken.wav")]
    command = [
        "predict",
        str(folder / "work"),
        *files,
        "--out",
        str(folder / "out"),
        "--labels",
        "red star, blue ring; ball",
    ]
    assert cli.main(command) == 1
    said = capsys.readouterr()
    assert "2 of 3 files, 2 labels" in said.out and "broken.wav: cannot be read" in said.err
    record = json.loads((folder / "out" / "b.json").read_text())
    assert {row["name"] for row in record["names"]} == {"red star", "blue ring"}
    assert record["moments"][0]["start"] == 0 and record["moments"][-1]["end"] == 2
    assert (folder / "out" / "b_heard.png").is_file()
    assert cli.main(["predict", str(folder / "work"), files[0], "--out", str(folder / "own")]) == 0
    assert len(Listener.load(folder / "work").set_labels()) == 96


def test_ones_own_folder(trained, tmp_path):
    for name, kind in (("red_star", 0), ("blue_ring", 1)):
        (tmp_path / "sounds" / name).mkdir(parents=True)
        for number, wave in enumerate(render_sounds(render(3, seed=kind, objects=(1, 1)))):
            write_wave(tmp_path / "sounds" / name / f"{number}.wav", wave[: 4000 + 8000 * number].numpy(), 8000)
    options = {
        "variables.root": str(tmp_path / "sounds"), "variables.test_root": str(tmp_path / "sounds"),
        "variables.store": str(tmp_path / "store"), "variables.clip": "tiny_clip", "variables.weights": None,
        "variables.seconds": 0.5, "train_dataloader.batch_size": 4, "train_cfg.max_iters": 2,
        "train_cfg.val_interval": 2, "model.tower.channels": (4, 4, 4, 4),
        **{f"{which}_dataloader.num_workers": 0 for which in ("train", "val", "test")},
        **{f"{which}_dataloader.persistent_workers": False for which in ("train", "val", "test")},
    }  # fmt: skip
    runner = build_runner("audioclip/audioclip_folder.py", work_dir=tmp_path / "work", cfg_options=options, seed=0)
    runner.train()
    assert set(runner.test()) >= {"names"} and runner.test_loop.dataloader.dataset.metainfo["classes"] == [
        "blue ring",
        "red star",
    ]
    assert Listener.load(tmp_path / "work").set_labels() == ("blue ring", "red star")


def test_heads_alone_are_refused():
    from clipkit_plugins.audioclip import AudioCLIP

    with pytest.raises(ClipkitError, match="image-text"):
        AudioCLIP("tiny_clip", heads=True)


def test_a_clip_of_ones_own_lies_in_the_checkpoint_and_does_not_train():
    from clipkit_plugins.audioclip import AudioCLIP

    torch.manual_seed(0)
    model = AudioCLIP("tiny_clip", own_clip=True, labels=True, prompt="a {}")
    assert any(name.startswith("clip.model.") for name in model.state_dict())
    assert not [name for name, value in model.named_parameters() if name.startswith("clip.") and value.requires_grad]
    waves = render_sounds(render(4, seed=2, objects=(1, 1)))
    sounds = list(model.spectrogram(waves)[:, None])
    names = ["red star", "blue ring", "red star", "bar"]
    losses = model(sound=sounds, label=[1, 0, 1, 2], name=names, mode="loss")
    assert list(losses) == ["loss_audio-text"] and losses["loss_audio-text"] > 0
    rows = model.encode_names(names)
    assert torch.equal(rows[0], rows[2])
    torch.testing.assert_close(rows, tiny_clip().encode_text([f"a {name}" for name in names]), rtol=0, atol=1e-5)


def test_a_tower_with_a_filter_bank_trains_on_waves():
    from clipkit_plugins.audioclip import AudioCLIP

    torch.manual_seed(0)
    tower = dict(type="ESResNeXt", length=64, window=50, hop=40, layers=(1, 1, 1, 1))
    model = AudioCLIP("tiny_clip", tower=tower, pairs=("audio-text",), scale=100.0)
    text = list(torch.randn(3, 128))
    losses = model(sound=list(torch.randn(3, 2, 800) * 0.1), text=text, mode="loss")
    assert {*losses} == {"loss_audio-text", "loss_filters"}
    sum(losses.values()).backward()
    assert model.tower.fbsp.fc.grad.abs().max() == pytest.approx(1.0, abs=1e-5)
    assert model.encode_sound(torch.randn(2, 800)).shape == (2, 128)
