"""C3: a prompt beats the bare name, an ensemble of prompts beats one prompt.

command:  python tools/claim.py C3 --seeds 10-14
hardware: 2 CPU cores with bfloat16 units, or one GPU
time:     27 minutes for 3 seeds with --jobs 3 (AMD EPYC, shared, 2026-11-21)
schedule: 700 iterations, about half of clip/tiny_shapes.py, so that a CPU can run it
expect:   bare < prompt <= ensemble, most of all on ambiguous names (dot, bar, brick)
"""

claim = "C3"
arms = {
    "styles": dict(
        function="clipkit_plugins.clip.claim_prompts.run",
        kwargs=dict(iterations=700),
        arms=("bare", "prompt", "ensemble"),
    ),
}
statements = [
    dict(says="a prompt beats the bare name", metric="all", better="prompt", than="bare"),
    dict(says="an ensemble beats one prompt", metric="all", better="ensemble", than="prompt"),
    dict(says="a prompt repairs ambiguous names", metric="ambiguous", better="prompt", than="bare"),
]
