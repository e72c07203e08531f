"""Claim C23: a relation ("a circle left of a star") needs deep fusion. R@1 of phrases that only the relation
decides, for another circle is there too, deep and shallow at equal steps; where a shape alone is named, half of them
are right. The control with objects as tokens, which both heads solve, is benchmarks/glip_relations.py.

command:  python tools/claim.py C23 --seeds 10-12
"""

claim = "C23"


def _arm(deep: bool) -> dict:
    metric = ("phrase/relation_R@1", "phrase/twin")
    return dict(config="glip/glip_tiny_relations.py", metric=metric, cfg_options={"model.bbox_head.deep": deep})


arms = {"shallow": _arm(False), "deep": _arm(True)}
statements = [
    dict(says="fusion is worth 10 points", metric="phrase/relation_R@1", better="deep", than="shallow", by=10)
]
