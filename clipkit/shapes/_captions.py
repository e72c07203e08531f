"""Captions of scenes: phrases with synonyms, ambiguous words, textures, sizes and spatial relations."""

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


class Item:
    """What a caption may say of one object; `x`, `y`, `radius` in scene sides."""

    __slots__ = ("colour", "radius", "shape", "texture", "x", "y")

    def __init__(self, shape: int, colour: int, texture: int, x: float, y: float, radius: float):
        self.shape, self.colour, self.texture = SHAPES[shape], COLOURS[colour], TEXTURES[texture]
        self.x, self.y, self.radius = x, y, radius


def _article(phrase: str) -> str:
    return ("an " if phrase[0] in "aeiou" else "a ") + phrase


def _pick(words: tuple[str, ...], random: Random) -> str:
    return words[0] if random.random() < 0.75 else random.choice(words)


def _phrase(item: Item, random: Random) -> str:
    words = []
    if random.random() < 0.15 and not SMALL <= item.radius <= LARGE:
        words.append("small" if item.radius < SMALL else "large")
    with_noun = False
    if random.random() < 0.6:
        with_noun = item.texture in TEXTURE_NOUNS and random.random() < 0.2
        if not with_noun:
            words.append(item.texture)
    if random.random() < 0.95:
        words.append(_pick(COLOUR_SYNONYMS[item.colour], random))
    words.append(_pick(SHAPE_SYNONYMS[item.shape], random))
    phrase = _article(" ".join(words))
    return f"{phrase} with a {TEXTURE_NOUNS[item.texture]} pattern" if with_noun else phrase


def relation(a: Item, b: Item) -> str:
    """How `a` lies to `b`, along the axis on which they are farther apart."""
    if abs(a.x - b.x) > abs(a.y - b.y):
        return "left of" if a.x < b.x else "right of"
    return "above" if a.y < b.y else "below"


def _tag(items: list[Item], stuff: tuple[str, ...], random: Random) -> str:
    """One or two bare words, as in alt texts. Here an ambiguous word means its texture or background as often as its
    shape, which is what makes the bare name a poor prompt (claim C3)."""
    item = random.choice(items)
    choice = random.random()
    if choice < 0.35:
        return _pick(SHAPE_SYNONYMS[item.shape], random)
    if choice < 0.6 and item.texture in TEXTURE_NOUNS:
        return TEXTURE_NOUNS[item.texture]
    if choice < 0.8:
        return _pick(STUFF_SYNONYMS[random.choice(stuff)], random)
    return f"{_pick(COLOUR_SYNONYMS[item.colour], random)} {_pick(SHAPE_SYNONYMS[item.shape], random)}"


def caption(items: list[Item], stuff: tuple[int, ...], random: Random) -> str:
    """A caption as people write them: of some of the objects, in some of their properties."""
    names = tuple(STUFF[i] for i in stuff)
    if random.random() < 0.08:
        return _tag(items, names, random)
    told = random.sample(items, len(items))
    if len(told) > 1 and random.random() < 0.2:
        told = told[:-1]
    phrases = [_phrase(item, random) for item in told]
    if len(told) > 1 and random.random() < 0.4:
        text = f"{phrases[0]} {relation(told[0], told[1])} {phrases[1]}"
        if len(told) > 2:
            text += f" and {phrases[2]}"
    else:
        text = ", ".join(phrases[:-1]) + (" and " if len(phrases) > 1 else "") + phrases[-1]
    if random.random() < 0.4:
        text += f" on {_pick(STUFF_SYNONYMS[random.choice(names)], random)}"
    return random.choice(OPENINGS).format(text)


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
