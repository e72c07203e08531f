import open_clip
import pytest

from clipkit.text import TEMPLATE_SETS, Vocabulary, get_templates
from clipkit.text.templates import fill


def test_the_sets_have_the_papers_sizes_and_no_repeats():
    sizes = {"openai": 80, "simple": 7, "vild": 63, "actionclip": 16, "lseg": 1, "photo": 1}
    assert set(TEMPLATE_SETS) == set(sizes)
    for name, size in sizes.items():
        prompts = Vocabulary(["owl"], templates=name).prompts("owl")
        assert len(set(prompts)) == len(prompts) == size
        assert all("owl" in p and "{" not in p for p in prompts)


@pytest.mark.parametrize("name", ["openai", "simple"])
def test_open_clips_templates_give_the_same_prompts(name):
    theirs = {"openai": open_clip.OPENAI_IMAGENET_TEMPLATES, "simple": open_clip.SIMPLE_IMAGENET_TEMPLATES}[name]
    assert Vocabulary(["owl"], templates=name).prompts("owl") == [template("owl") for template in theirs]
    assert get_templates(theirs) == get_templates(name)


def test_vild_writes_names_and_articles_as_its_notebook():
    prompts = Vocabulary(["x"], templates="vild").prompts("Umbrella/Air_conditioner.")
    assert "There is an umbrella or air conditioner in the scene." in prompts
    assert "This is a close-up photo of an umbrella or air conditioner." in prompts
    assert "This is a photo of a nice umbrella or air conditioner." in prompts
    assert "itap of my umbrella or air conditioner." in prompts
    # "This is " stands before all but the two "There is" and the three "itap".
    assert sum(p.startswith("This is ") for p in prompts) == 58


def test_lseg_uses_the_bare_label():
    assert Vocabulary(["traffic light"], templates="lseg").prompts("traffic light") == ["traffic light"]


def test_braces_in_a_name_are_kept():
    assert fill("a {} on a {}", "{}") == "a {} on a {}"
    assert fill("{article} {clean}", "{article}") == "a {article}"


@pytest.mark.parametrize(
    ("templates", "line"),
    [([], "empty"), ("imagenet", "neither a known set"), (["a photo"], "has no '{}'")],
)
def test_bad_templates(templates, line):
    with pytest.raises(ValueError, match=line):
        get_templates(templates)


def test_both_spellings_of_a_name_in_one_template():
    assert fill("{article} {clean} ({})", "Umbrella_{}") == "an umbrella {} (Umbrella_{})"
