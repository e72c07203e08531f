"""Zero-shot classification: a frozen CLIP, any names, one prompt or several.

    python examples/zero_shot.py                                    # the embedded world, no download
    python examples/zero_shot.py photos ViT-B-32-quickgelu openai   # your folder (one subfolder a class), a real CLIP

Seconds on a laptop. The features are kept in a store, so that all four sets of prompts share one pass over the images.
"""

import sys
import tempfile

import torch
from torch.nn.functional import normalize

from clipkit import FrozenCLIP, TextBank
from clipkit.data.image_folder import ImageArray, ImageFolder
from clipkit.embed.images import image_features
from clipkit.evaluation import classification_scores, rank_classes
from clipkit.shapes import class_names, render, tiny_clip

if len(sys.argv) > 1:
    folder, *model = sys.argv[1:]
    images, clip = ImageFolder(folder), FrozenCLIP.from_pretrained(*model)
else:
    scenes = render(250, seed=2**41, objects=(1, 1))
    pixels = (scenes.images * 255).byte().movedim(1, -1).numpy()
    images = ImageArray(pixels, scenes.colour[:, 0] * 12 + scenes.shape[:, 0], class_names()[:96])
    clip = tiny_clip()

with tempfile.TemporaryDirectory() as store:  # a folder of your own keeps the features for the next run
    embeddings = normalize(image_features(clip, images, store).embedding, dim=-1)
labels = torch.from_numpy(images.labels)
bank = TextBank(clip)
ensembles = {"bare name": "{}", "1 prompt": "photo", "7 prompts": "simple", "80 prompts": "openai"}
for title, templates in ensembles.items():
    classifier = bank.encode_words(images.names, templates)  # (K, D), rows of length 1
    scores = classification_scores(rank_classes(embeddings, classifier), labels, len(images.names))
    print(f"{title:10}  top-1 {scores.top1:.1f} %   top-5 {scores.topk:.1f} %")

worst = int(scores.per_class.nan_to_num(nan=101).argmin())
print(f'hardest with 80 prompts: "{images.names[worst]}", {scores.per_class[worst]:.0f} percent')
