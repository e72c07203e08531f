"""Claim C35: more strokes are seen better, and strokes that begin where CLIP looks get on faster than strokes anywhere.

Vinker et al., SIGGRAPH 2022. Black filled shapes, drawn for the tiny CLIP; another network, which never saw a drawing
that was made for a CLIP, says what they show. Early is after 100 of 200 steps. Settings were chosen on seeds 3 and 4.

command:  clipkit claim C35 --seeds 10-12
          --arms "4 strokes,16 strokes" for those two counts; --arms "16 strokes (no shading known)" is a control
hardware: 1 CPU core
time:     6 minutes of CPU time a seed, and once 2 minutes for the judge
"""

claim = "C35"
_COUNTS = (4, 8, 16, 32)
_COMPARED = (4, 8, 16)  # with strokes that begin anywhere
_DRAWING = dict(steps=200, copies=1, lr=0.5, width=2.0)
arms = {
    f"{count}": dict(
        function="clipkit_plugins.sketch.claims.measure",
        kwargs=dict(
            arms={
                f"{count} strokes": dict(strokes=count, start="saliency"),
                **({f"{count} strokes at random": dict(strokes=count, start="random")} if count in _COMPARED else {}),
            },
            **_DRAWING,
        ),
        arms=(
            f"{count} strokes",
            *((f"{count} strokes at random",) if count in _COMPARED else ()),
            *(("clean outlines",) if count == 16 else ()),
        ),
    )
    for count in _COUNTS
} | {
    # What the judge would say that knows fills and outlines, and no shading.
    "unshaded": dict(
        function="clipkit_plugins.sketch.claims.measure",
        kwargs=dict(
            arms={f"{count} strokes (no shading known)": dict(strokes=count, start="saliency") for count in (4, 16)},
            cfg_options={"train_dataloader.dataset.hatched": 0.0},
            judged_in="judge_unshaded",
            **_DRAWING,
        ),
        arms=tuple(f"{count} strokes (no shading known)" for count in (4, 16)),
    ),
    "words": dict(
        function="clipkit_plugins.sketch.claims.measure_words",
        kwargs=dict(strokes=24, steps=80, size=(64, 64)),
        arms=("words by CLIP", "words by the judge"),
    ),
}
statements = [
    *(
        dict(
            says=f"{more} strokes are named better than {less}",
            metric="named",
            better=f"{more} strokes",
            than=f"{less} strokes",
        )
        for less, more in ((4, 16), (4, 8), (8, 16), (16, 32))
    ),
    *(
        dict(
            says=f"{count} strokes that begin where CLIP looks are ahead after 100 steps in 80 % of pairs",
            metric="below",
            better=f"{count} strokes",
            than=f"{count} strokes at random",
            by=60.0,  # of 80 and 20
        )
        for count in _COMPARED
    ),
    dict(
        says="drawings of words are named right by the CLIP for which they were drawn, by another network less often",
        metric="named",
        better="words by CLIP",
        than="words by the judge",
    ),
]
