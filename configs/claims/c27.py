"""C27: with little data the head without parameters is best, with more data the sequential ones.

R@1 of sentences among 500 test films of all tasks, over the number of training films of each of the five tasks.
Films and embeddings are those of films.py.

command:  python tools/claim.py C27 --seeds 10-14
hardware: 2 CPU cores
time:     3 to 6 minutes a run on one core (AMD EPYC, shared, 2026-11-22)
"""

claim = "C27"
SIZES = (16, 80, 400)
_HEADS = {"meanP": "_meanp", "seqLSTM": "_lstm", "seqTransf": ""}


def _arm(head: str, size: int) -> dict:
    return dict(
        config=f"clip4clip/clip4clip_tiny_films{_HEADS[head]}.py",
        metric=("t2v_R@1", "v2t_R@1", "pairs", "static"),
        cfg_options={
            "train_dataloader.dataset.of_each": size,
            "val_evaluator.retrieval": True,
            "test_evaluator.retrieval": True,
        },
    )


arms = {f"{head} {size}": _arm(head, size) for head in _HEADS for size in SIZES}
statements = [
    dict(says="with 16 films of a task the mean beats the LSTM",
         metric="t2v_R@1", better="meanP 16", than="seqLSTM 16"),
    dict(says="with 16 films of a task the mean beats the transformer",
         metric="t2v_R@1", better="meanP 16", than="seqTransf 16"),
    dict(says="with 400 films of a task the LSTM beats the mean",
         metric="t2v_R@1", better="seqLSTM 400", than="meanP 400"),
    dict(says="with 400 films of a task the transformer beats the mean",
         metric="t2v_R@1", better="seqTransf 400", than="meanP 400"),
]  # fmt: skip
