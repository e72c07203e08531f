"""Distillation: a small student learns CLIP's image space, and classifies by text that it never saw.

    python examples/distillation.py

About a minute on a laptop, no download: clipkit's own tiny CLIP is the teacher, procedural scenes are the images.
"""

import torch
from torch import nn

from clipkit.adapters import CLIPTeacher, CosineDistillLoss, SimilarityKLLoss
from clipkit.shapes import class_names, render, tiny_clip

torch.manual_seed(0)
clip = tiny_clip()  # or FrozenCLIP.from_pretrained("ViT-B-16-quickgelu", "openai")
teacher = CLIPTeacher(clip)  # .image, .dense and .regions (ViLD's crops at 1x and 1.5x) are targets
names = class_names()[:96]
text = clip.encode_text(names)


def block(inside, outside):
    return nn.Sequential(nn.Conv2d(inside, outside, 3, 2, 1), nn.BatchNorm2d(outside), nn.ReLU())


student = nn.Sequential(
    block(3, 32), block(32, 64), block(64, 128), block(128, 128), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
    nn.Linear(128, clip.embed_dim),
)  # fmt: skip
cosine, relation = CosineDistillLoss(), SimilarityKLLoss(weight=0.1, temperature=0.05)
optimizer = torch.optim.AdamW(student.parameters(), lr=3e-3)


def agreement():
    """How often student and teacher choose the same of the 96 names; no label is used."""
    student.eval()
    with torch.no_grad():
        images = render(256, seed=10_000, objects=(1, 1)).images
        ours = nn.functional.normalize(student(images)) @ text.T
        theirs = teacher.image(images) @ text.T
    student.train()
    return 100 * (ours.argmax(1) == theirs.argmax(1)).float().mean().item()


for step in range(201):
    if step % 100 == 0:
        print(f"step {step:3d}   same name as the teacher: {agreement():.1f} %   (chance about 1 %)")
    images = render(64, seed=step, objects=(1, 1)).images
    target, output = teacher.image(images), student(images)
    loss = cosine(output, target) + relation(output, target, anchors=text)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
