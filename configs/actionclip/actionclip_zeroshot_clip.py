"""Zero-shot with CLIP itself: the mean of the frames' embeddings, the 16 prompts, nothing trained.

Command:   clipkit test actionclip/actionclip_zeroshot_clip.py none --cfg-options variables.root=data/hmdb51
Options:   variables.data=kinetics|ucf101|folder|list, variables.root, variables.test=val|test1|…
           --labels "brush hair, wave, …"   other actions
Hardware:  one GPU, or a patient CPU
Time:      not yet measured
Expected:  not yet measured
"""

_base_ = ["../_base_/actionclip.py"]

variables = dict(data="hmdb51", root="data/hmdb51", train="train1", test="test1")
model = dict(head=dict(type="meanP"), tune=None, logit_scale=dict(learned=False))
