"""Questions about scenes: each has one answer, and names its object so that no other one is meant."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from clipkit.shapes._captions import Item, _article, relation
from clipkit.shapes._words import COLOURS, SHAPES, STUFF, TEXTURES
from clipkit.shapes.render import Scenes


def _plural(noun: str) -> str:
    return f"{noun}es" if noun.endswith("s") else f"{noun}s"


KINDS = ("colour", "shape", "texture", "count", "ground", "existence", "place", "relation")
ATTRIBUTES = {"colour": COLOURS, "shape": SHAPES, "texture": TEXTURES}
PLACES = ("left", "right", "top", "bottom")
RELATIONS = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}
ANSWERS = (*COLOURS, *SHAPES, *TEXTURES, *"01234567", *STUFF, "yes", "no", *PLACES)
MARGIN = 0.08  # scene sides by which one axis must outweigh the other where a question is of where something lies
_OTHERS = """what colour shape pattern is the a an does have how many thing things are there ground at where left right
above below of top bottom"""
WORDS = tuple(sorted({*COLOURS, *TEXTURES, *SHAPES, *map(_plural, SHAPES), *_OTHERS.split()}))
"""Every word that a question has."""
_ASKS = {
    "colour": "what colour is the {}?",
    "shape": "what shape is the {}?",
    "texture": "what pattern does the {} have?",
}


@dataclass(frozen=True)
class Question:
    """A question about a scene.

    Attributes:
        kind: one of KINDS.
        object: place of the object asked for among the scene's, as in `Scenes.boxes`; None where it asks for none.
        any_object: how often naming any object of the scene is right, in [0, 1]: what can be had without finding the
            one that is asked for; None where no attribute is asked for.
    """

    text: str
    answer: str
    kind: str
    object: int | None = None
    any_object: float | None = None


class Asker:
    """Draws questions about scenes. It keeps what is said of them, not the pictures.

    >>> scenes = render(4)
    >>> asker = Asker(scenes)
    >>> asker.ask(0, "colour", Random(0))
    Question(text='what colour is the striped ring?', answer='blue', kind='colour', object=1, any_object=0.5)
    """

    def __init__(self, scenes: Scenes) -> None:
        items = scenes._items()
        self._scenes = [(own, tuple(stuff)) for (own, _), stuff in zip(items, scenes.stuff.tolist())]

    def __len__(self) -> int:
        return len(self._scenes)

    def kinds(self, scene: int) -> tuple[str, ...]:
        """The kinds that this scene allows: where none of its objects can be seen, only its ground."""
        items, _ = self._scenes[scene]
        few = {1: ("relation",), 0: tuple(kind for kind in KINDS if kind != "ground")}.get(len(items), ())
        return tuple(kind for kind in KINDS if kind not in few)

    def ask(self, scene: int, kind: str, random: Random) -> Question | None:
        """A question of a kind; None where the scene allows none, such as of objects that no words tell apart."""
        items, stuff = self._scenes[scene]
        if kind in ATTRIBUTES:
            return _attribute(items, kind, random)
        if kind == "ground":
            return _ground(stuff, random)
        of_kind: dict[str, Callable[[Sequence[Item], Random], Question | None]] = {
            "count": _count,
            "existence": _existence,
            "place": _place,
            "relation": _relation,
        }
        return of_kind[kind](items, random)


def _matches(item: Item, said: dict[str, str]) -> bool:
    return all(getattr(item, name) == value for name, value in said.items())


def _words(said: dict[str, str], plural: bool = False) -> str:
    """In English's order: texture, colour, shape."""
    noun = said.get("shape", "thing")
    before = [said[name] for name in ("texture", "colour") if name in said]
    return " ".join([*before, _plural(noun) if plural else noun])


def _refer(item: Item, items: Sequence[Item], random: Random, without: str = "") -> dict[str, str] | None:
    """Attributes that only this item has together, never `without`; None where no two of them tell it apart."""
    sets = [("shape",), ("colour",), ("colour", "shape"), ("texture", "shape"), ("texture", "colour")]
    found = []
    for names in sets:
        said = {name: getattr(item, name) for name in names}
        if without not in names and sum(_matches(other, said) for other in items) == 1:
            found.append(said)
    return random.choice(found) if found else None


def _attribute(items: Sequence[Item], kind: str, random: Random) -> Question | None:
    for item in random.sample(list(items), len(items)):
        said = _refer(item, items, random, without=kind)
        if said is not None:
            answer = getattr(item, kind)
            share = sum(getattr(other, kind) == answer for other in items) / len(items)
            return Question(_ASKS[kind].format(_words(said)), answer, kind, item.place, share)
    return None


def _count(items: Sequence[Item], random: Random) -> Question | None:
    """The answer is drawn first among those that the scene allows, then the words."""
    ways: dict[int, list[dict[str, str]]] = {len(items): [{}]} if items else {}
    for name, values in ATTRIBUTES.items():
        for value in values:
            count = sum(getattr(item, name) == value for item in items)
            ways.setdefault(count, []).append({name: value})
    count = random.choice(sorted(ways))
    names = [name for name in ATTRIBUTES if any(name in said for said in ways[count])] + [""] * ({} in ways[count])
    chosen = random.choice(names)  # of the attributes first: there are more absent shapes than absent textures
    said = random.choice([said for said in ways[count] if (chosen in said if chosen else not said)])
    return Question(f"how many {_words(said, plural=True)} are there?", str(count), "count")


def _ground(stuff: tuple[int, ...], random: Random) -> Question:
    upper, lower = (STUFF[i] for i in stuff)
    if upper == lower:
        return Question("what is the ground?", upper, "ground")
    where, answer = random.choice((("top", upper), ("bottom", lower)))
    return Question(f"what is the ground at the {where}?", answer, "ground")


def _existence(items: Sequence[Item], random: Random) -> Question | None:
    """Half of them of what is there; the others of the same with one attribute exchanged."""
    item = random.choice(list(items))
    names = random.choice((("colour", "shape"), ("texture", "shape"), ("texture", "colour"), ("shape",), ("colour",)))
    said = {name: getattr(item, name) for name in names}
    if random.random() < 0.5:
        return Question(f"is there {_article(_words(said))}?", "yes", "existence", item.place)
    name = random.choice(names)
    present = [getattr(other, name) for other in items]
    # Where others of the scene have it, it is the pairing that is wrong, the hardest kind.
    for value in [*random.sample(present, len(present)), *random.sample(ATTRIBUTES[name], len(ATTRIBUTES[name]))]:
        if not any(_matches(other, {**said, name: value}) for other in items):
            return Question(f"is there {_article(_words({**said, name: value}))}?", "no", "existence")
    return None


def _place(items: Sequence[Item], random: Random) -> Question | None:
    for item in random.sample(list(items), len(items)):
        x, y = item.x - 0.5, item.y - 0.5
        said = _refer(item, items, random)
        if said is not None and abs(abs(x) - abs(y)) >= MARGIN:
            answer = ("left" if x < 0 else "right") if abs(x) > abs(y) else ("top" if y < 0 else "bottom")
            return Question(f"where is the {_words(said)}?", answer, "place", item.place)
    return None


def _relation(items: Sequence[Item], random: Random) -> Question | None:
    """Half of them as it is; the others with the opposite relation."""
    for first, second in random.sample(
        [(a, b) for a in items for b in items if a is not b], len(items) * (len(items) - 1)
    ):
        one, other = _refer(first, items, random), _refer(second, items, random)
        if one is None or other is None:
            continue
        if abs(abs(first.x - second.x) - abs(first.y - second.y)) < MARGIN:
            continue
        how, right = relation(first, second), random.random() < 0.5
        how = how if right else RELATIONS[how]
        text = f"is the {_words(one)} {how} the {_words(other)}?"
        return Question(text, "yes" if right else "no", "relation", first.place)
    return None
