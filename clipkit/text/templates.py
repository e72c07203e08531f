"""Prompt templates as data. Placeholders: `{}` is the name as given, `{clean}` is the name as ViLD writes it, and
`{article}` is "a" or "an"."""

from collections.abc import Callable, Sequence

# ViLD's released notebook (Gu et al., arXiv 2104.13921): 63 templates. There, "This is " is put before every text that
# starts with "a" or "the"; here that is already done.
_VILD = (
    "There is {article} {clean} in the scene.",
    "There is the {clean} in the scene.",
    "This is a photo of {article} {clean} in the scene.",
    "This is a photo of the {clean} in the scene.",
    "This is a photo of one {clean} in the scene.",
    "itap of {article} {clean}.",
    "itap of my {clean}.",
    "itap of the {clean}.",
    "This is a photo of {article} {clean}.",
    "This is a photo of my {clean}.",
    "This is a photo of the {clean}.",
    "This is a photo of one {clean}.",
    "This is a photo of many {clean}.",
    "This is a good photo of {article} {clean}.",
    "This is a good photo of the {clean}.",
    "This is a bad photo of {article} {clean}.",
    "This is a bad photo of the {clean}.",
    *(
        f"This is a photo of {a} {adjective} {{clean}}."
        for adjective in ("nice", "cool", "weird")
        for a in ("a", "the")
    ),
    *(f"This is a photo of {a} {size} {{clean}}." for size in ("small", "large") for a in ("a", "the")),
    *(f"This is a photo of {a} {state} {{clean}}." for state in ("clean", "dirty") for a in ("a", "the")),
    *(f"This is a {light} photo of {a} {{clean}}." for light in ("bright", "dark") for a in ("{article}", "the")),
    "This is a photo of a hard to see {clean}.",
    "This is a photo of the hard to see {clean}.",
    *(
        f"This is a {quality} photo of {a} {{clean}}."
        for quality in ("low resolution", "cropped", "close-up", "jpeg corrupted", "blurry", "pixelated")
        for a in ("{article}", "the")
    ),
    "This is a black and white photo of the {clean}.",
    "This is a black and white photo of {article} {clean}.",
    *(f"This is {a} {kind} {{clean}}." for kind in ("plastic", "toy", "plushie", "cartoon") for a in ("a", "the")),
    "This is an embroidered {clean}.",
    "This is the embroidered {clean}.",
    "This is a painting of the {clean}.",
    "This is a painting of a {clean}.",
)

# ActionCLIP (Wang et al., arXiv 2109.08472), 16 templates. Its test averages the softmax of each template, not the
# embeddings: encode with one template at a time for that.
_ACTIONCLIP = (
    "a photo of action {}",
    "a picture of action {}",
    "Human action of {}",
    "{}, an action",
    "{} this is an action",
    "{}, a video of action",
    "Playing action of {}",
    "{}",
    "Playing a kind of action, {}",
    "Doing a kind of action, {}",
    "Look, the human is {}",
    "Can you recognize the action of {}?",
    "Video classification of {}",
    "A video of {}",
    "The man is {}",
    "The woman is {}",
)

_FIXED: dict[str, tuple[str, ...]] = {
    "lseg": ("{}",),  # LSeg (Li et al., arXiv 2201.03546) encodes the bare label
    "photo": ("a photo of a {}.",),
    "vild": _VILD,
    "actionclip": _ACTIONCLIP,
}
TEMPLATE_SETS = ("openai", "simple", *_FIXED)


def get_templates(templates: str | Sequence[str | Callable[[str], str]]) -> tuple[str, ...]:
    """Turns a set's name, one template, or a list of templates into a tuple of format strings.

    Args:
        templates: 'openai' (80), 'simple' (7), 'lseg' (the bare label), 'photo', 'vild' (63), 'actionclip' (16); or
            one string with a placeholder; or a sequence of such strings or of open_clip's `name -> prompt` callables.

    Raises:
        ValueError: for an unknown set, an empty list, or a template without a place for the name.
    """
    if isinstance(templates, str):
        if templates in ("openai", "simple"):
            # A light import: this module holds strings only, but its package loads torch.
            from open_clip import zero_shot_metadata as known

            found = known.OPENAI_IMAGENET_TEMPLATES if templates == "openai" else known.SIMPLE_IMAGENET_TEMPLATES
            return tuple(template("{}") for template in found)
        if templates in _FIXED:
            return _FIXED[templates]
        if not _has_place(templates):
            raise ValueError(f"templates={templates!r} is neither a known set {TEMPLATE_SETS} nor a string with '{{}}'")
        return (templates,)
    strings = tuple(t if isinstance(t, str) else t("{}") for t in templates)
    if not strings:
        raise ValueError("templates is empty: give at least one, such as '{}'")
    for string in strings:
        if not _has_place(string):
            raise ValueError(f"template {string!r} has no '{{}}' where the class name goes")
    return strings


def imagenet_names() -> tuple[str, ...]:
    """ImageNet's 1,000 classes in the words that CLIP's authors chose, in the order of their ids. Some come twice."""
    from open_clip import zero_shot_metadata as known

    return tuple(known.IMAGENET_CLASSNAMES)


def fill(template: str, name: str) -> str:
    """Writes `name` into `template`. Braces inside the name stay as they are."""
    out = template
    if "{article}" in out:
        # The article is looked up on the cleaned name, so that "Umbrella" and "umbrella" get the same prompt.
        out = out.replace("{article}", "an" if clean_name(name)[:1] in "aeiou" else "a")
    # The inner parts first and joined last, so that braces of the name are never looked at.
    return clean_name(name).join(name.join(part.split("{}")) for part in out.split("{clean}"))


def clean_name(name: str) -> str:
    """ViLD's spelling of a label: `_` becomes a space, `/` becomes " or ", lower case, no full stop at the end."""
    return name.replace("_", " ").replace("/", " or ").lower().rstrip(".")


def _has_place(template: str) -> bool:
    return "{}" in template or "{clean}" in template
