"""Training-free segmentation: a frozen CLIP's patches are classified by words.

    python examples/dense_clip.py

Seconds, no download: clipkit's own tiny CLIP. For photos, the configs of dense_clip/ name real CLIPs.
"""

from clipkit.inference import classify_stream
from clipkit.shapes import class_names, render, tiny_clip
from clipkit.text import TextBank

clip = tiny_clip()  # or FrozenCLIP.from_pretrained("ViT-B-16-quickgelu", "openai", dense="sclip")
scenes = render(64, size=64, seed=3)
text = TextBank(clip).encode(class_names()).matrix  # (102, D), encoded once

features = clip.features(scenes.images)  # .dense: (64, D, 8, 8), in the space of the text
found = classify_stream(features.dense, text, scenes.images.shape[-2:], scale=100.0)  # any number of labels

grounds = scenes.semantic >= 96
right = (found.labels == scenes.semantic).float()
print(f"pixels of ground named rightly among 102 names: {100 * right[grounds].mean():.1f} %")
print(f"pixels of objects named rightly: {100 * right[~grounds].mean():.1f} %")
