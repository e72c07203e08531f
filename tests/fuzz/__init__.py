"""Damaged files for every reader of clipkit: `python tests/fuzz/run.py --cases 20000 --seed 0`.

`table` lists the readers, `mutate` and `formats` damage what their writers wrote, `judge` says what came of one case,
and `pool` holds each case to its limits of time and memory.
"""
