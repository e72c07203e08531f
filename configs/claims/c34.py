"""Claim C34: a third modality joins a frozen CLIP without harm to the first two.

Guzhov et al., ICASSP 2022, section 4. The embedded world's pictures, captions and sounds; 500 scenes with captions of
their own. Frozen, the first two directions cannot change; what a second stage costs, in which linear heads of pictures
and texts train too, is measured. `order`: which of two sounds came first, 50 is chance.

command:  clipkit claim C34 --seeds 10-12
hardware: 1 CPU core
time:     about 2 minutes of CPU time a seed (AMD EPYC, 2026-11-30)
"""

claim = "C34"
arms = {
    "both stages": dict(
        function="clipkit_plugins.audioclip.claims.three_modalities",
        arms=("CLIP", "frozen", "full"),
    )
}
statements = [
    dict(
        says="frozen, no picture and no text changes by a bit",
        metric="unchanged",
        better="frozen",
        than="full",
        by=99.0,
    ),
    dict(says="heads cost image to text", metric="image_to_text/R@1", better="frozen", than="full"),
    dict(says="heads cost text to image", metric="text_to_image/R@1", better="frozen", than="full"),
    dict(says="heads bring sound closer", metric="least", better="full", than="frozen"),
]
