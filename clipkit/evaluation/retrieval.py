"""Ranks of retrieval between texts and videos (or images), both ways, with many texts a video and with ties.

    r(text i)  = 1 + #{videos j other than its own : s_ij > s_i,own}
    r(video j) = 1 + #{other videos i : max over i's texts of s_.j > max over j's own texts of s_.j}

The second is the multi-sentence protocol of MSVD (Luo et al., "CLIP4Clip", 2021, its released metric): a video is found
by the best of its own sentences, and its rivals are the other videos, each with the best sentence of its own. With one
text a video it is the rank in a column.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

TIES = ("optimistic", "pessimistic", "expected")
_KEPT = 2**26  # numbers of the videos' best scores that are kept; beyond that, scores are computed twice


class Ranks(NamedTuple):
    """Where the right answers of Q queries stand.

    Attributes:
        above: `(Q,)` int64, wrong answers with a higher score. A NaN counts against the query.
        tied: `(Q,)` int64, wrong answers with the same score.
    """

    above: Tensor
    tied: Tensor

    def metrics(self, ties: str = "expected", ks: tuple[int, ...] = (1, 5, 10)) -> dict[str, float]:
        """R@k in percent, median rank MdR, mean rank MnR.

        Args:
            ties: who comes first among equal scores. 'optimistic': the right answer; 'pessimistic': the wrong ones;
                'expected': any order is as likely, R@k is the probability of a rank up to k, and a query's rank in MdR
                and MnR is the mean one.

        Raises:
            ValueError: no queries, or an unknown rule.
        """
        if ties not in TIES:
            raise ValueError(f"ties is one of {', '.join(TIES)}, got {ties!r}")
        if len(self.above) == 0:
            raise ValueError("ranks of no queries are undefined")
        above, tied = self.above.double(), self.tied.double()
        first = above + 1 + (tied if ties == "pessimistic" else 0)
        places = tied + 1 if ties == "expected" else torch.ones_like(tied)  # first, first + 1, …, equally likely
        found = {f"R@{k}": 100 * float(((k - first + 1) / places).clamp(0, 1).mean()) for k in ks}
        rank = first + (places - 1) / 2
        return {**found, "MdR": float(rank.quantile(0.5)), "MnR": float(rank.mean())}


class RetrievalRanks(NamedTuple):
    """Ranks of both directions; `video_to_text` has one entry for each video that has a text, in order."""

    text_to_video: Ranks
    video_to_text: Ranks

    def metrics(self, ties: str = "expected", ks: tuple[int, ...] = (1, 5, 10)) -> dict[str, float]:
        """`t2v_R@1`, …, `v2t_MnR`; see `Ranks.metrics`."""
        directions = {"t2v": self.text_to_video, "v2t": self.video_to_text}
        return {
            f"{way}_{key}": value for way, ranks in directions.items() for key, value in ranks.metrics(ties, ks).items()
        }


def retrieval_ranks(
    scores: Tensor | Callable[[Tensor], Tensor],
    owner: Tensor | None = None,
    videos: int | None = None,
    *,
    block: int = 1024,
    tolerance: float = 0.0,
) -> RetrievalRanks:
    """Ranks of N texts and M videos. Memory is O(block · M) and at most 256 MiB beside it.

    Args:
        scores: the matrix `(N, M)`; or a function of text indices `(n,)` that gives their rows `(n, M)`, so that the
            matrix never exists. It is called once for each block of texts, twice where videos times videos with a text
            are more than 2^26 numbers.
        owner: `(N,)` int64, the video each text is of; default: text i is of video i. Videos may have any number of
            texts; those with none are only wrong answers.
        videos: M, where `scores` is a function.
        block: texts at a time; all texts of a video are in one block.
        tolerance: scores that differ by no more are tied. Sums in floating point make equal things differ in their last
            digits: 1e-6 is right for cosines in float32.

    Raises:
        ValueError: shapes that do not fit, or an owner that is no video.
    """
    if isinstance(scores, Tensor):
        matrix = scores
        rows: Callable[[Tensor], Tensor] = lambda index: matrix[index.to(matrix.device)]  # noqa: E731
        videos = matrix.shape[1]
        owner = torch.arange(len(matrix)) if owner is None else owner
        if len(owner) != len(matrix):
            raise ValueError(f"{len(owner)} owners do not fit {len(matrix)} rows of scores")
    else:
        rows = scores
    if videos is None:
        raise ValueError("scores by a function need videos=, the length of its rows")
    owner = torch.arange(videos) if owner is None else owner.cpu().long()
    if len(owner) and not 0 <= int(owner.min()) <= int(owner.max()) < videos:
        raise ValueError(f"owner holds {int(owner.min())} to {int(owner.max())}, and the videos are 0 to {videos - 1}")
    return _Streaming(rows, owner, videos, max(block, 1), tolerance).run()


class _Streaming:
    """One or two passes over rows of scores, in blocks that hold whole videos."""

    def __init__(
        self, rows: Callable[[Tensor], Tensor], owner: Tensor, videos: int, block: int, tolerance: float
    ) -> None:
        self.rows, self.videos, self.block, self.tolerance = rows, videos, block, tolerance
        self.order = owner.argsort(stable=True)
        self.described, self.counts = owner.unique(return_counts=True)  # videos that have a text, ascending
        self.owner = owner

    def run(self) -> RetrievalRanks:
        above, tied = (torch.zeros(len(self.owner), dtype=torch.int64) for _ in range(2))
        kept: list[tuple[Tensor, Tensor]] | None = [] if len(self.described) * self.videos <= _KEPT else None
        own_best = torch.zeros(self.videos, dtype=torch.float64)
        for texts, group, best_of in self._blocks():
            scores = self._scores(texts)
            right = scores.gather(1, self.owner[texts].to(scores.device)[:, None])
            above[texts], tied[texts] = _standing(self._count(scores, right, 1), self.videos, right[:, 0].cpu())
            best = best_of(scores)
            own_best[group] = best[torch.arange(len(group)), group.to(best.device)].double().cpu()
            if kept is not None:
                kept.append((group, best))
        columns = kept if kept is not None else ((g, best(self._scores(texts))) for texts, g, best in self._blocks())
        counts = torch.zeros(3, self.videos, dtype=torch.int64)
        for _, best in columns:
            counts += self._count(best, own_best.to(best)[None], 0)
        of_videos = _standing(counts[:, self.described], len(self.described), own_best[self.described])
        return RetrievalRanks(Ranks(above, tied), of_videos)

    def _blocks(self) -> Iterator[tuple[Tensor, Tensor, Callable[[Tensor], Tensor]]]:
        """Indices of texts, the videos they are of, and what reduces their rows of scores to a row a video."""
        begin = first = 0
        ends = self.counts.cumsum(0).tolist()
        for index, end in enumerate(ends):
            if end == ends[-1] or ends[index + 1] - begin > self.block:
                counts = self.counts[first : index + 1]
                yield self.order[begin:end], self.described[first : index + 1], _group_maximum(counts)
                begin, first = end, index + 1

    def _scores(self, texts: Tensor) -> Tensor:
        scores = self.rows(texts)
        if scores.shape != (len(texts), self.videos):
            raise ValueError(f"scores of {len(texts)} texts and {self.videos} videos have shape {tuple(scores.shape)}")
        return scores

    def _count(self, scores: Tensor, right: Tensor, dim: int) -> Tensor:
        """`(3, …)` int64: how many scores are not above the right one, not below it, and no number."""
        compared = (
            (torch.le, scores, right + self.tolerance),
            (torch.ge, scores, right - self.tolerance),
            (torch.ne, scores, scores),
        )
        # As float32, whose comparison and sum are several times faster here than those of bool; exact up to 2^24.
        found = torch.empty_like(scores, dtype=torch.float32)
        return torch.stack([compare(a, b, out=found).sum(dim) for compare, a, b in compared]).cpu().long()


def _standing(counts: Tensor, total: int, right: Tensor) -> Ranks:
    """Ranks from the counts of `_count` over `total` answers, the right ones among them."""
    not_above, not_below, no_number = counts
    # The right answer is not above itself, or, if it is no number, above nothing but counted so.
    above = total - not_above - right.isnan().long()
    return Ranks(above, (not_above + not_below - (total - no_number) - 1).clamp(min=0))


def _group_maximum(counts: Tensor) -> Callable[[Tensor], Tensor]:
    """Rows -> the maximum over each run of `counts` rows."""
    if int(counts.max()) == 1:
        return lambda scores: scores

    def reduce(scores: Tensor) -> Tensor:
        group = torch.arange(len(counts)).repeat_interleave(counts).to(scores.device)
        out = scores.new_full((len(counts), scores.shape[1]), -torch.inf)
        return out.scatter_reduce_(0, group[:, None].expand_as(scores), scores, "amax")

    return reduce
