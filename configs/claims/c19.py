"""C19: ViLD-ensemble loses at most 10 % of ViLD-text's base AP50 and keeps ViLD's novel AP50. Runs of C18.

command:  python tools/claim.py C19 --seeds 10-14     (what C18 has run is not run again)
hardware: 2 CPU cores with bfloat16 units, or one GPU
time:     not yet measured
expect:   base_AP50: ensemble >= 0.9 text; novel_AP50: ensemble >= vild
"""

claim = "C19"
runs_of = "C18"
arms = ("text", "vild", "ensemble")
statements = [
    dict(says="base within 10 % of ViLD-text", metric="base_AP50", better="ensemble", than="text", times=0.9),
    dict(says="novel at ViLD or above", metric="novel_AP50", better="ensemble", than="vild"),
]
