"""C20: ViLD-image, which no text taught, is the worst on base classes. Runs of vild.py.

expect:   base_AP50: image < vild, ensemble, text
"""

claim = "C20"
runs_of = "vild"
arms = ("text", "vild", "ensemble", "image")
statements = [dict(says=f"image-only below {name}", metric="base_AP50", better=name, than="image") for name in arms[:3]]
