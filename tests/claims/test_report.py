"""`clipkit report`: verdicts against scipy's own test, tables and pictures from JSON lines alone."""

import json
import math
import os

import numpy as np
import pytest
from scipy import stats

from clipkit import cli
from clipkit.claims.curve import ScoreCurve
from clipkit.claims.results import collect, judge, read_results
from clipkit.claims.verdict import paired, spread
from clipkit.errors import ClipkitError
from clipkit.files import append_lines


def line(arm, seed, metric, claim="ViLD"):
    about = {"commit": "abc", "hardware": "2 cores", "date": "2026-11-21T00:00:00Z"}
    return json.dumps({"claim": claim, "arm": arm, "seed": seed, "metric": metric, **about})


def vild(text, distilled):
    found = [line("text", s, {"novel_AP50": v, "base_AP50": 1}) for s, v in enumerate(text)]
    return found + [line("vild", s, {"novel_AP50": v, "base_AP50": 1}) for s, v in enumerate(distilled)]


def test_the_interval_is_student_s():
    values = [3.0, 4.5, 4.0, 7.25, 1.0]
    low, high = stats.t.interval(0.95, 4, np.mean(values), stats.sem(values))
    found = spread(values)
    assert (found.mean - found.half, found.mean + found.half) == pytest.approx((low, high), abs=1e-12)
    assert spread([2.0]).half == math.inf and str(spread([2.0])) == "2.0" and str(spread([1.0, 3.0])) == "2.0 ± 12.7"
    with pytest.raises(ValueError, match="no values"):
        spread([])


@pytest.mark.parametrize("seed", range(20))
def test_verdicts_agree_with_a_paired_t_test(seed):
    rng = np.random.default_rng(seed)
    better, than = rng.normal(1, 1, 4), rng.normal(0, 1, 4)
    test = stats.ttest_rel(better, than * 1.3 + 0.5)
    expected = "undecided" if test.pvalue > 0.05 else "holds" if test.statistic > 0 else "does not hold"
    assert paired(list(better), list(than), times=1.3, by=0.5)[1] == expected


def test_one_seed_decides_nothing():
    assert paired([9.0], [1.0])[1] == "undecided"


def test_a_page_from_lines(tmp_path, capsys):
    results = tmp_path / "vild.jsonl"  # the runs that C18 to C22 are read off
    results.write_text("\n".join(vild([10, 11, 12], [20, 22, 21])) + '\n{"claim": "ViLD", "arm')  # a kill cut the last
    (tmp_path / "runs" / "vild" / "vild-1").mkdir(parents=True)
    (tmp_path / "runs" / "vild" / "vild-1" / "predictions.png").write_bytes(b"picture")
    arguments = [str(results), "--work-dir", str(tmp_path / "runs"), "--out", str(tmp_path / "r.html")]
    assert cli.run("report", arguments) == 0
    assert "C18: distillation lifts novel classes: holds" in capsys.readouterr().out
    text = (tmp_path / "r.html").read_text()
    assert '<h2 id="C18">' in text and "11.0 ± 2.5" in text and "21.0 ± 2.5" in text and text.count("<svg") >= 1
    assert "vild-1: picture" in text and "cGljdHVyZQ==" in text
    assert '<b class="holds">holds</b>' in text and "2 cores, abc, 2026-11-21" in text


def test_a_folder_of_results(tmp_path, capsys):
    (tmp_path / "a.jsonl").write_text("\n".join(vild([1, 2, 3], [3, 4, 6])))
    pages = [str(tmp_path / name) for name in ("file.html", "folder.html")]
    said = []
    for source, page in zip((tmp_path / "a.jsonl", tmp_path), pages):
        assert cli.run("report", [str(source), "--out", page]) == 0
        said.append(capsys.readouterr().out.replace(page, ""))
    assert said[0] == said[1] and "C18" in said[0]


def test_other_verdicts_and_seeds_that_one_arm_lacks(tmp_path):
    results = tmp_path / "r.jsonl"
    results.write_text("\n".join(vild([10, 11, 12, 50], [10, 11, 12])))
    claim = next(c for c in collect(read_results([results])) if c.name == "C18")
    assert judge(claim, claim.statements[0]) == ("-3.3 ± 0.7 (3 seeds)", "does not hold")
    assert judge(claim, {**claim.statements[0], "better": "image"})[1] == "not run"


def test_a_side_may_be_the_lead_of_one_arm_over_another(tmp_path):
    found = [line(arm, s, {"score": value}, "C9") for s in range(3) for arm, value in (
        ("host 1%", 10 + s), ("fused 1%", 20 + 2 * s), ("host 100%", 40 + s), ("fused 100%", 45 + s))]  # fmt: skip
    (tmp_path / "r.jsonl").write_text("\n".join(found))
    (claim,) = collect(read_results([tmp_path / "r.jsonl"]))
    lead = next(s for s in claim.statements if isinstance(s["better"], tuple))
    assert judge(claim, lead) == ("6.0 ± 2.5 (3 seeds)", "holds")  # leads of 10, 11, 12 and of 5
    assert judge(claim, {**lead, "better": lead["than"], "than": lead["better"]})[1] == "does not hold"
    assert judge(claim, {**lead, "better": ("fused 1%", "none")})[1] == "not run"
    assert cli.run("report", [str(tmp_path / "r.jsonl"), "--out", str(tmp_path / "r.html")]) == 0
    assert "(fused 1% − host 1%) &gt; (fused 100% − host 100%)" in (tmp_path / "r.html").read_text()


def test_arms_that_end_in_numbers_are_a_curve(tmp_path):
    arms = [line(f"probe {n}", s, {"all": n + s}, "C3") for n in (1, 2, 4) for s in (0, 1)]
    (tmp_path / "r.jsonl").write_text("\n".join(arms))
    assert cli.run("report", [str(tmp_path / "r.jsonl"), "--out", str(tmp_path / "r.html")]) == 0
    assert "LineCollection" in (tmp_path / "r.html").read_text() and "legend" in (tmp_path / "r.html").read_text()


def test_a_line_that_a_kill_cut_is_left_out_wherever_it_stands(tmp_path):
    path = tmp_path / "r.jsonl"
    path.write_text(line("text", 0, {"novel_AP50": 1})[:30])
    append_lines(path, [line("text", 1, {"novel_AP50": 2})])
    assert [record["seed"] for record in read_results([path])] == [1]


def test_mistakes_are_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.run("report", []) == 2
    assert "no results" in capsys.readouterr().err
    (tmp_path / "r.jsonl").write_text('{"claim": 3}\n' + line("text", 0, {"novel_AP50": 1}))
    with pytest.raises(ClipkitError, match=r"r\.jsonl: line 1 is no result"):
        read_results([tmp_path / "r.jsonl"])
    (tmp_path / "r.jsonl").write_text('{"claim": "C18", "metric": {"a": 1}, "seed": 0}')
    with pytest.raises(ClipkitError, match=r"r\.jsonl: line 1 is no result of `clipkit claim` \(arm\)"):
        read_results([tmp_path / "r.jsonl"])
    with pytest.raises(ClipkitError, match=r"none\.jsonl: no such file of results"):
        read_results([tmp_path / "none.jsonl"])


def test_results_of_a_claim_that_no_file_describes_are_not_lost_in_silence(tmp_path, capsys):
    path = tmp_path / "mine.jsonl"
    path.write_text(line("a", 0, {"x": 1}, "C99"))
    with pytest.raises(ClipkitError, match="results of C99: no such claim"):
        collect(read_results([path]))
    path.write_text("\n".join([*vild([1, 2], [3, 4]), line("a", 0, {"x": 1}, "C99")]))
    assert collect(read_results([path])) and "left out: results of C99" in capsys.readouterr().err


def test_what_results_say_is_text_on_the_page(tmp_path):
    found = [line('<script>"x"', s, {"<i>": s}, "C3") for s in range(2)]
    (tmp_path / "r.jsonl").write_text("\n".join(found).replace("2 cores", "<b>2 cores"))
    assert cli.run("report", [str(tmp_path / "r.jsonl"), "--out", str(tmp_path / "r.html")]) == 0
    text = (tmp_path / "r.html").read_text()
    assert "&lt;script&gt;" in text and "&lt;b&gt;2 cores" in text and "&lt;i&gt;" in text
    assert not any(tag in text for tag in ("<script>", "<b>2", "<i>"))


def test_a_curve_or_a_result_that_is_none_is_one_line(tmp_path):
    curve = ScoreCurve(tmp_path / "score_curve.json")
    assert curve.read() == {}
    for text in ("{", "[]", '{"1": 3}', '{"1": {"mIoU": "x"}}', "[" * 5000):
        curve.path.write_text(text)
        with pytest.raises(ClipkitError, match=r"score_curve\.json: is no curve of scores"):
            curve.read()
    os.mkfifo(tmp_path / "r.jsonl")
    with pytest.raises(ClipkitError, match=r"r\.jsonl: is no plain file"):
        read_results([tmp_path / "r.jsonl"])
