"""VQAv2 by BERT's layers over words and the cells of a frozen ViT-B/16, as LXMERT has them; a converted file starts it.

Command:   clipkit convert vqa lxmert.pth start.pth    # prints the layers of model=, where the file has others
           clipkit train vqa/vqa_v2_lxmert.py --cfg-options variables.root=FOLDER load_from=start.pth
Options:   variables.bert=FILE               bert-base-uncased's vocab.txt
           model.joint_layers=12 model.text_layers=0 model.cell_layers=0 model.cross_layers=0    CLIP-ViL_p's one row
Hardware:  1 GPU
Time:      not measured here
Expected:  not measured here
"""

_base_ = ["./vqa_v2.py"]

variables = dict(bert="vocab.txt")
model = dict(
    _delete_=True,
    type="LxmertVQA",
    clip=dict(name="{clip}", pretrained="{weights}"),
    vocabulary=dict(
        file="{vocabulary}",
        at_least=9,
        questions="{root}/v2_OpenEnded_mscoco_train2014_questions.json",
        annotations="{root}/v2_mscoco_train2014_annotations.json",
    ),
    size="{size}",
    vocab="{bert}",
    text_layers=9,
    cell_layers=5,
    cross_layers=5,
)
