"""Tables of scores, and the messages for invalid ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lenskit.errors import UsageError
from lenskit.files import write_atomically
from lenskit_evaluation.anomaly.metrics import Judged, Judgement
from lenskit_evaluation.anomaly.report import scores_csv
from lenskit_evaluation.anomaly.score_table import read_scores
from lenskit_evaluation.anomaly.scored import Scored, Truth
from lenskit_evaluation.bootstrap import Estimate


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "scores.csv"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "text",
    [
        "score,label\n0.5,0\n2e-1,1\n",
        "# made by hand\n\n # two images\nlabel , score\n\n false, .5\nTrue , 0.2\n",
        "\ufeffscore;label\r\n0.5;0\r\n0.2;1\r\n",
        '"score"\t"label"\tremark\n"0.5"\t"0.0"\t"a, b"\n0.2\t1\t"two\nlines"\n',
    ],
)
def test_tables_as_people_write_them(tmp_path: Path, text: str) -> None:
    truth, scored = read_scores(written(tmp_path, text))
    assert list(scored) == ["score"]
    assert scored["score"].scores.tolist() == [0.5, 0.2]
    assert truth.label.tolist() == [0, 1]
    assert (truth.normal, truth.anomalies, truth.names) == ("normal", ("anomaly",), ())


def test_several_detectors_and_classes(tmp_path: Path) -> None:
    text = 'name,class,"score_a, b",score_c\n"x, 1",vortex,1,inf\ny,none,0,3\nz,sphere,2,-4\n'
    truth, scored = read_scores(written(tmp_path, text), normal="none")
    assert {name: each.scores.tolist() for name, each in scored.items()} == {
        "a, b": [1, 0, 2],
        "c": [np.inf, 3, -4],
    }
    assert truth.classes == ("none", "vortex", "sphere")
    assert truth.label.tolist() == [1, 0, 2]
    assert truth.anomalies == ("vortex", "sphere")
    assert truth.names == ("x, 1", "y", "z")


def test_a_class_goes_before_a_label_where_one_is_normal(tmp_path: Path) -> None:
    path = written(tmp_path, "score,label,class\n1,0,b\n2,1,a\n")
    assert read_scores(path)[0].anomalies == ("anomaly",)
    assert read_scores(path, normal="a")[0].anomalies == ("b",)
    assert read_scores(path, label="label", normal="1")[0].anomalies == ("0",)


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ("", {}, "scores.csv is empty"),
        ("# only this\n\n", {}, "scores.csv is empty"),
        ("score,label\n", {}, "a header and no rows"),
        ("scores,label\n1,0\n", {}, "has no column score (did you mean scores?); it has scores, label"),
        ("score,lable\n1,0\n", {}, "no column label (or class, with --normal NAME) (did you mean lable?); it has"),
        ("score,label\n1,0\n", {"normal": "none"}, "has no column class; it has score, label"),
        ("score,label\n1,0\n", {"label": "labels"}, "has no column labels (did you mean label?)"),
        ("score,class\n1,a\n2,b\n3,a\n", {}, "the column class has the classes a, b: pass the normal class"),
        ("score,class\n1,none\n2,vortex\n", {"normal": "nome"}, "'nome' (did you mean none?); the column class has"),
        ("score,class\n1,none\n2, \n", {"normal": "none"}, "line 3: the class is missing"),
        ("# table\nscore,label\n1,0\n\n2,2\n", {}, "line 5: the label '2' is neither 0 (normal) nor 1 (anomaly)"),
        ("score,label\n1,0\nhigh,1\n", {}, "line 3: the score 'high' is not a number"),
        ("score,label\n1,0\nnan,1\n,0\n", {}, "2 of 3 values of score are NaN or missing, the first on line 3"),
        ("score,label\n1,0\n1\n", {}, "line 3: 1 cells, but the header has 2"),
        ("score,label\n1,0\n# no row\n", {}, "1 cells, but the header has 2; put comments above the header"),
        ("score,score_score,label\n1,1,0\n", {}, "the columns score and score_score have the same detector name"),
        ("score_,label\n1,0\n", {}, "the column score_ names no detector: rename it to score or score_NAME"),
        ("score,score,label\n1,1,0\n", {}, "line 1: two columns are called 'score'"),
        ('score,label\n"1,0\n', {}, "line 2: invalid comma-separated values: unexpected end of data"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(tmp_path: Path, text: str, options: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError) as error:
        read_scores(written(tmp_path, text), **options)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.slow
@given(
    rows=st.lists(
        st.tuples(
            st.text(st.characters(codec="utf-8", exclude_characters="\r")) | st.text("#,;\t\"'\n \u2028x", max_size=4),
            st.sampled_from(["none", "#vortex", "a, b"]),
            st.floats(allow_nan=False),
        ),
        min_size=1,
    )
)
@example([("#1.png", "none", 1.0), ("# 2.png", "#vortex", 1e-320)])
def test_what_is_written_is_read_back_whole(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, float]]
) -> None:
    names, classes, scores = zip(("", "none", 0.0), *rows, strict=True)
    truth = Truth(("none", "#vortex", "a, b"), np.array([("none", "#vortex", "a, b").index(c) for c in classes]),
                  "none", names)  # fmt: skip
    path = tmp_path_factory.mktemp("scores") / "scores.csv"
    judgement = Judgement(Scored(np.array(scores), "score"), {}, {}, Estimate(np.nan))
    write_atomically(path, scores_csv(Judged(truth, {"a": judgement}, {})))
    again, scored = read_scores(path, normal="none")
    assert list(again.names) == [name.strip() for name in names]
    assert [again.classes[number] for number in again.label] == list(classes)
    assert scored["a"].scores.tolist() == list(scores)


def test_what_is_no_text(tmp_path: Path) -> None:
    np.savez(tmp_path / "scores.npz", score=np.arange(3.0))
    with pytest.raises(UsageError, match="is not a table of comma-separated values: it is not UTF-8 text"):
        read_scores(tmp_path / "scores.npz")
    with pytest.raises(UsageError, match="there is no file"):
        read_scores(tmp_path / "missing.csv")
    with pytest.raises(UsageError, match="is a folder"):
        read_scores(tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1,2\n3,4\n", "has no header: line 1 holds the number 1;"),
        ("score,label\n1_2,0\n", "line 2: the score '1_2' is not a number"),
        ("score,label\n1e400,0\n", "line 2: the score '1e400' is not a number"),
        ("score,label\n41229853041234567,0\n41229853041234568,1\n", "the score 41229853041234567 has too many digits"),
        ("score,,label\n1,2,0\n", "line 1: column 2 has no name"),
        ("score label\n1 0\n", "columns are separated by commas, semicolons or tabs, not by spaces"),
    ],
)
def test_the_rules_of_all_tables_hold(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError) as error:
        read_scores(written(tmp_path, text))
    assert said in str(error.value)
    _, scored = read_scores(written(tmp_path, "# name,score,label,\na,1,0,\nb,inf,1,\n"))
    assert scored["score"].scores.tolist() == [1, np.inf]
