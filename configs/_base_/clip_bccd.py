"""Blood cells cut out of BCCD's photos (Pascal VOC's layout): real photos of three kinds of cells."""

variables = dict(data="data/bccd")
cells = dict(
    type="VOCBoxes",
    on_bad="skip",  # each half has one box of zero size
    root="{data}",
    classes=["red blood cell", "white blood cell", "platelet"],
    rename=dict(RBC="red blood cell", WBC="white blood cell", Platelets="platelet"),
)
bccd_train = dict(cells, split="train")
bccd_test = dict(cells, split="val")
