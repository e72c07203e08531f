"""Zero-shot classification of an image set, with any names."""

from __future__ import annotations

from pathlib import Path

import torch
from prettytable import PrettyTable
from torch.nn import functional as F

from clipkit.classification.loops import FeatureLoop
from clipkit.classification.pictures import confusion_picture
from clipkit.engine.registry import LOOPS
from clipkit.errors import ClipkitError
from clipkit.evaluation.classification import ClassificationScores, classification_scores, rank_classes
from clipkit.text import LabelMatch, Vocabulary


@LOOPS.register_module()
class ZeroShotLoop(FeatureLoop):
    """Tests a `ClipClassifier`: top-1 and top-5 for each of its prompt ensembles; for the last of them accuracy a class
    and a picture of what is taken for what, `confusion.png`.

    Other names (`--labels`) are matched to the data set's by name or synonym: one that stands for none is a distractor,
    which competes and can only cost; images of a class without a name are left out, and the log says which.
    A name's synonyms become one row, their mean.

    Args:
        per_class: print the table of classes where there are at most this many.
        **kwargs: see `FeatureLoop`.
    """

    takes_labels = True

    def __init__(self, *args, per_class: int = 100, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.per_class = per_class

    def measure(self) -> dict[str, float]:
        names, labels = list(self.images.names), torch.from_numpy(self.images.labels)
        embeddings = F.normalize(self.features(self.images).embedding, dim=-1)
        vocabulary = self.model.vocabulary
        row_class, about = None, f"{len(names)}, the data set's"
        if vocabulary is not None:
            match = vocabulary.match(names)
            row_class, about = _columns(match, len(names)), f"{len(vocabulary)} given ({match.summary()})"
            said = torch.zeros(len(names), dtype=torch.bool)
            said[[c for c in match.label_to_class if c >= 0]] = True
            embeddings, labels = embeddings[said[labels]], labels[said[labels]]
            if len(labels) == 0:
                raise ClipkitError(f"no image has one of these names; the data set's are: {', '.join(names[:10])}, …")
        metrics = {}
        for ensemble, templates in self.model.ensembles.items():
            rows = self._rows(vocabulary, templates)
            scores = classification_scores(rank_classes(embeddings, rows, row_class), labels, len(names))
            found = {"top1": scores.top1, "top5": scores.topk, "mean_per_class": scores.mean_per_class}
            metrics.update({f"{ensemble}/{key}": value for key, value in found.items()})
            shown = f"{ensemble} ({len(templates)}, such as {templates[0]!r})"
            self.note("zero-shot", found, templates=shown, names=about, images=len(labels))
        self._details(scores, names)
        return metrics

    def _rows(self, vocabulary: Vocabulary | None, templates: tuple[str, ...]) -> torch.Tensor:
        if vocabulary is None:
            return self.model.classifier(self.images.names, templates)
        words = [self.model.classifier(group, templates).mean(0) for group in vocabulary.words]
        return F.normalize(torch.stack(words), dim=-1)

    def _details(self, scores: ClassificationScores, names: list[str]) -> None:
        known = scores.per_class.isfinite()
        if int(known.sum()) <= self.per_class:
            table = PrettyTable(["class", "images", "top-1 %", "most often taken for"], align="l")
            for c in known.nonzero().flatten().tolist():
                row = scores.confusion[c].clone()
                row[c] = 0
                other = int(row.argmax())
                taken = "" if row[other] == 0 else f"{[*names, 'no class'][other]} ({int(row[other])})"
                table.add_row([names[c], int(scores.confusion[c].sum()), f"{scores.per_class[c]:.1f}", taken])
            self.say("\n" + table.get_string())
        if self.runner.rank == 0:
            path = Path(self.runner.work_dir) / "confusion.png"
            confusion_picture(scores.confusion, names).savefig(path)
            self.say(f"picture: {path}")


def _columns(match: LabelMatch, classes: int) -> torch.Tensor:
    """The class of each label; distractors get columns of their own behind the classes."""
    free = iter(range(classes, classes + len(match.label_to_class)))
    return torch.tensor([c if c >= 0 else next(free) for c in match.label_to_class])
