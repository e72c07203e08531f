"""Sound joins a frozen CLIP: a small tower learns where CLIP has the pictures and texts of what is heard.

    python examples/audioclip.py

About two minutes on a CPU, no download: clipkit's own tiny CLIP and scenes that can be heard. `clipkit train
audioclip/...` trains with everything around it; here is the bare loop.
"""

import torch
from torch.nn import functional as F

from clipkit.adapters import PairsLoss
from clipkit.evaluation.retrieval import retrieval_ranks
from clipkit.nn import LogMel, SoundTower
from clipkit.shapes import class_names, render, tiny_clip
from clipkit.shapes.evaluate import embed_images, embed_texts
from clipkit.shapes.sounds import RATE, render_sounds

torch.manual_seed(0)
STEPS, BATCH, NAMES = 250, 128, class_names()[:96]
clip, spectrogram = tiny_clip(), LogMel(RATE)
tower, objective = SoundTower(clip.embed_dim), PairsLoss(pairs=("audio-image", "audio-text"), scale=20.0)


def scenes(count: int, seed: int) -> dict[str, torch.Tensor]:
    """Spectrograms of scenes with one object, and CLIP's embeddings of pictures and captions, computed once."""
    world = render(count, seed=seed, objects=(1, 1), split=None)
    return {
        "audio": spectrogram(render_sounds(world)),
        "image": embed_images(clip, world.images),
        "text": embed_texts(clip, world.full_captions),
        "label": world.colour[:, 0] * 12 + world.shape[:, 0],
    }


known, new = scenes(2048, seed=1), scenes(300, seed=2)
learned = [*tower.parameters(), *objective.parameters()]
optimizer = torch.optim.AdamW(learned, lr=4e-3, weight_decay=0.01)
schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=STEPS)
tower.train()
for _ in range(STEPS):
    rows = torch.randint(len(known["audio"]), (BATCH,))
    sound = known["audio"][rows].roll(int(torch.randint(81, ())), dims=-1)  # sounds begin anywhere
    loss = sum(objective({"audio": tower(sound), "image": known["image"][rows], "text": known["text"][rows]}).values())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    schedule.step()

tower.eval()
with torch.no_grad():
    heard = F.normalize(tower(new["audio"]), dim=-1)
for name in ("image", "text"):
    ranks = retrieval_ranks(heard @ new[name].T).metrics()
    print(f"sound to {name} R@1 {ranks['t2v_R@1']:.1f} %, {name} to sound {ranks['v2t_R@1']:.1f} %, of {len(heard)}")
rows = embed_texts(clip, [f"a {name}" for name in NAMES])
right = ((heard @ rows.T).argmax(1) == new["label"]).double().mean()
print(f"names by sound: {100 * right:.1f} % of {len(NAMES)} names, chance is 1.0 %")
