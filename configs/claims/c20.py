"""C20: ViLD-image, which no text taught, is the worst on base classes. Runs of C18.

command:  python tools/claim.py C20 --seeds 10-14     (what C18 has run is not run again)
hardware: 2 CPU cores with bfloat16 units, or one GPU
time:     not yet measured
expect:   base_AP50: image < vild, ensemble, text
"""

claim = "C20"
runs_of = "C18"
arms = ("text", "vild", "ensemble", "image")
statements = [dict(says=f"image-only below {name}", metric="base_AP50", better=name, than="image") for name in arms[:3]]
