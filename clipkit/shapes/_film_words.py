"""What happens in films, and how it is told. The last wording of each is kept for captions that no training sees."""

from __future__ import annotations

from random import Random

from clipkit.shapes._captions import _article

TASKS = ("direction", "reversed", "order", "speed", "static")
WORDS = ("seen", "unseen")

ACTIONS: dict[str, tuple[tuple[str, ...], ...]] = {
    "direction": (
        ("moves left", "goes to the left", "slides to the left", "drifts leftwards"),
        ("moves right", "goes to the right", "slides to the right", "drifts rightwards"),
        ("moves up", "goes to the top", "climbs up", "drifts upwards"),
        ("moves down", "goes to the bottom", "falls down", "drifts downwards"),
    ),
    "reversed": (
        ("grows", "becomes large", "gets large", "swells from small to large"),
        ("shrinks", "becomes small", "gets small", "dwindles from large to small"),
        ("appears", "fades in", "comes into sight", "emerges from nothing"),
        ("vanishes", "fades out", "goes out of sight", "dissolves into nothing"),
    ),
    "speed": (
        ("speeds up", "gets faster", "starts slow and ends fast", "accelerates"),
        ("slows down", "gets slower", "starts fast and ends slow", "brakes"),
    ),
}
"""Task -> actions -> wordings. Action 2k + 1 is action 2k played backwards."""

SENTENCES = ("{} {}", "{} {}", "a film of {} that {}", "a video where {} {}")
ORDERS = ("{a}, then {b}", "first {a}, then {b}", "{a} followed by {b}", "{b} after {a}", "{a} before {b}")
STILL = ("{}", "a film of {}", "a video of {}", "{} that rests", "{} at rest")


def action_names(task: str, words: str = "seen") -> list[str]:
    """The names of a task's labels, for prompts: "moves left", …; with `words='unseen'` those that no caption of
    training holds.

    Raises:
        ValueError: for a task whose labels have no names: 'order' and 'static' are told by their objects.
    """
    if task not in ACTIONS:
        raise ValueError(f"task {task!r} has no actions; known: {', '.join(ACTIONS)}")
    return [_choice(wordings, words, None) for wordings in ACTIONS[task]]


def film_caption(task: str, label: int, objects: list[str], words: str, random: Random) -> str:
    """A caption of a film. `objects`: "red circle", for 'order' in the order in which they are shown."""
    told = [_article(name) for name in objects]
    if task == "order":
        return _choice(ORDERS, words, random).format(a=told[0], b=told[1])
    if task == "static":
        return _choice(STILL, words, random).format(told[0])
    return random.choice(SENTENCES).format(told[0], _choice(ACTIONS[task][label], words, random))


def _choice(wordings: tuple[str, ...], words: str, random: Random | None) -> str:
    if words not in WORDS:
        raise ValueError(f"words is {words!r}, known: {', '.join(WORDS)}")
    if words == "unseen":
        return wordings[-1]
    return wordings[0] if random is None else random.choice(wordings[:-1])
