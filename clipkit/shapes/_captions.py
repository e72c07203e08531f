"""Captions of scenes: phrases with synonyms, ambiguous words, textures, sizes and spatial relations."""

from dataclasses import dataclass, replace
from random import Random

from clipkit.shapes._words import (
    COLOUR_SYNONYMS,
    COLOURS,
    SHAPE_SYNONYMS,
    SHAPES,
    STUFF,
    STUFF_SYNONYMS,
    TEXTURE_NOUNS,
    TEXTURES,
)

OPENINGS = ("{}", "{}", "a photo of {}", "a picture of {}", "an image of {}", "there is {}", "a scene with {}")
SMALL, LARGE = 0.16, 0.23
"""Radii, in scene sides, below and above which an object may be called small or large."""


@dataclass(frozen=True)
class Span:
    """Which characters of a caption name what.

    Attributes:
        start, end: `text[start:end]` is the noun phrase without its article.
        object: place among the scene's objects, as in `Scenes.boxes`; None for a background.
        attributes: what the phrase says, in first words: any of `size`, `texture`, `colour`, `shape`; or `stuff`.
        relation: `("left of", other object)` where the caption says how this object lies to another one.
    """

    start: int
    end: int
    object: int | None
    attributes: dict[str, str]
    relation: tuple[str, int] | None = None


@dataclass(frozen=True)
class Caption:
    """A caption and its spans, in the order in which they are told."""

    text: str
    spans: tuple[Span, ...]


class Item:
    """What a caption may say of one object; `x`, `y`, `radius` in scene sides; `place` among the scene's objects."""

    __slots__ = ("colour", "place", "radius", "shape", "texture", "x", "y")

    def __init__(self, shape: int, colour: int, texture: int, x: float, y: float, radius: float, place: int = 0):
        self.shape, self.colour, self.texture = SHAPES[shape], COLOURS[colour], TEXTURES[texture]
        self.x, self.y, self.radius, self.place = x, y, radius, place


def _article(phrase: str) -> str:
    return ("an " if phrase[0] in "aeiou" else "a ") + phrase


def _pick(words: tuple[str, ...], random: Random) -> str:
    return words[0] if random.random() < 0.75 else random.choice(words)


def _name(words: str, place: int | None, **attributes: str) -> Caption:
    """A noun phrase as a caption of one span."""
    return Caption(words, (Span(0, len(words), place, attributes),))


def _join(*parts: str | Caption) -> Caption:
    """Parts one after the other, their spans moved to where they come to lie."""
    text, spans = "", []
    for part in parts:
        if isinstance(part, Caption):
            spans += [replace(span, start=span.start + len(text), end=span.end + len(text)) for span in part.spans]
        text += part.text if isinstance(part, Caption) else part
    return Caption(text, tuple(spans))


def _phrase(item: Item, random: Random) -> Caption:
    """With its article, which is not in the span."""
    words, said = [], {}
    if random.random() < 0.15 and not SMALL <= item.radius <= LARGE:
        said["size"] = "small" if item.radius < SMALL else "large"
        words.append(said["size"])
    with_noun = False
    if random.random() < 0.6:
        with_noun = item.texture in TEXTURE_NOUNS and random.random() < 0.2
        said["texture"] = item.texture
        if not with_noun:
            words.append(item.texture)
    if random.random() < 0.95:
        said["colour"] = item.colour
        words.append(_pick(COLOUR_SYNONYMS[item.colour], random))
    words.append(_pick(SHAPE_SYNONYMS[item.shape], random))
    noun = " ".join(words)
    article = _article(noun).removesuffix(noun)
    whole = f"{noun} with a {TEXTURE_NOUNS[item.texture]} pattern" if with_noun else noun
    return _join(article, _name(whole, item.place, **said, shape=item.shape))


def relation(a: Item, b: Item) -> str:
    """How `a` lies to `b`, along the axis on which they are farther apart."""
    if abs(a.x - b.x) > abs(a.y - b.y):
        return "left of" if a.x < b.x else "right of"
    return "above" if a.y < b.y else "below"


def _tag(items: list[Item], stuff: tuple[str, ...], random: Random) -> Caption:
    """One or two bare words, as in alt texts. Here an ambiguous word means its texture or background as often as its
    shape, which is what makes the bare name a poor prompt (claim C3)."""
    item = random.choice(items)
    choice = random.random()
    if choice < 0.35:
        return _name(_pick(SHAPE_SYNONYMS[item.shape], random), item.place, shape=item.shape)
    if choice < 0.6 and item.texture in TEXTURE_NOUNS:
        return _name(TEXTURE_NOUNS[item.texture], item.place, texture=item.texture)
    if choice < 0.8:
        return _ground(random.choice(stuff), random)
    words = f"{_pick(COLOUR_SYNONYMS[item.colour], random)} {_pick(SHAPE_SYNONYMS[item.shape], random)}"
    return _name(words, item.place, colour=item.colour, shape=item.shape)


def _ground(name: str, random: Random) -> Caption:
    return _name(_pick(STUFF_SYNONYMS[name], random), None, stuff=name)


def tell(items: list[Item], stuff: tuple[int, ...], random: Random) -> Caption:
    """A caption as people write them: of some of the objects, in some of their properties."""
    names = tuple(STUFF[i] for i in stuff)
    if random.random() < 0.08:
        return _tag(items, names, random)
    told = random.sample(items, len(items))
    if len(told) > 1 and random.random() < 0.2:
        told = told[:-1]
    phrases = [_phrase(item, random) for item in told]
    if len(told) > 1 and random.random() < 0.4:
        how = relation(told[0], told[1])
        first = Caption(phrases[0].text, (replace(phrases[0].spans[0], relation=(how, told[1].place)),))
        text = _join(first, f" {how} ", phrases[1], *((" and ", phrases[2]) if len(told) > 2 else ()))
    else:
        *others, last = phrases
        listed = [part for phrase in others for part in (phrase, ", ")][:-1]
        text = _join(*listed, " and " if others else "", last)
    if random.random() < 0.4:
        text = _join(text, " on ", _ground(random.choice(names), random))
    before, _, after = random.choice(OPENINGS).partition("{}")
    return _join(before, text, after)


def caption(items: list[Item], stuff: tuple[int, ...], random: Random) -> str:
    """The text of `tell`."""
    return tell(items, stuff, random).text


def short_caption(items: list[Item], stuff: tuple[int, ...], random: Random) -> str:
    """A bare noun phrase, as a label: little beside the words that name what is seen, the background among them."""
    ground = _pick(STUFF_SYNONYMS[STUFF[random.choice(stuff)]], random)
    if random.random() < 0.1:
        return ground
    item = random.choice(items)
    words = [item.texture] if random.random() < 0.7 else []
    words += [_pick(COLOUR_SYNONYMS[item.colour], random), _pick(SHAPE_SYNONYMS[item.shape], random)]
    return " ".join(words) + (f" on {ground}" if random.random() < 0.5 else "")


def full_caption(items: list[Item], stuff: tuple[int, ...]) -> str:
    """Everything in first words and left-to-right order: two scenes with equal full captions are hard to tell apart."""
    ordered = sorted(items, key=lambda item: item.x)
    phrases = [_article(f"{item.texture} {item.colour} {item.shape}") for item in ordered]
    text = phrases[0]
    for previous, item, phrase in zip(ordered, ordered[1:], phrases[1:]):
        text += f" {relation(previous, item)} {phrase}"
    return f"{text} on {' and '.join(dict.fromkeys(STUFF[i] for i in stuff))}"
