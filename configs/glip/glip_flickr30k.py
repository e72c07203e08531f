"""The released GLIP-T on Flickr30k Entities: recall of phrases, "any box".

Layout:    data/flickr30k/{Annotations,Sentences,train.txt,val.txt,test.txt} of the flickr30k_entities repository, the
           pictures in data/flickr30k/flickr30k-images; or MDETR's: variables.file=final_flickr_separateGT_test.json
Weights:   see glip_swin_t.py
Command:   clipkit test glip/glip_flickr30k.py glip_tiny.pth --cfg-options variables.data=PATH
Time:      not yet measured
Expected:  phrase R@1: not yet measured here (the paper's, on test: 85.7)
"""

_base_ = ["./glip_swin_t.py"]

variables = dict(data="data/flickr30k", images="flickr30k-images", file="test.txt")

test_dataloader = dict(
    batch_size=1,
    num_workers=4,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="GroundedCaptions", ann_file="{file}", images="{images}", data_root="{data}", check=False, on_bad="skip",
        pipeline=_base_.test_pipeline, test_mode=True,
    ),
)  # fmt: skip
test_evaluator = dict(type="PhraseRecall")
test_cfg = dict(type="TestLoop")
