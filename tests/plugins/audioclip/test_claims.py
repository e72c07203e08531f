"""Claim C34's measurement, on a few scenes."""

from clipkit_plugins.audioclip.claims import three_modalities


def test_both_stages_are_measured(tmp_path):
    found = three_modalities(0, tmp_path, length=32, test=12, steps=10, full_steps=10)
    assert {*found} == {"CLIP", "frozen", "full"}
    assert found["frozen"]["unchanged"] == 100.0 > found["full"]["unchanged"]
    for way in ("image_to_text/R@1", "text_to_image/R@1"):
        assert abs(found["frozen"][way] - found["CLIP"][way]) < 0.01
    assert all(0 <= found[name][key] <= 100 for name in ("frozen", "full") for key in ("names", "least", "order"))
