import pytest

from dotori.evaluate.chrf import chrf, chrf_counts

# Figures of sacrebleu 2.x, CHRF().corpus_score.
CASES = [
    (["the cat sat on the mat"], ["the cat sat on a mat"], 72.0848317308462),
    (["다람쥐가 도토리를 숨겼다."], ["다람쥐가 도토리를 숲에 숨겼습니다."], 48.999595515901895),
    (["a"], ["abcdefgh"], 15.151515151515152),
    ([""], ["abc"], 0.0),
    (["abc"], [""], 0.0),
    (["abcdefgh", "가"], ["ab", "가나다"], 39.14988814317674),
    (
        ["민수는 학교에 갔습니다.", "비가 와요", "hello there"],
        ["민수가 학교에 갔다.", "비가 왔어요", "hello here!"],
        36.15715241154861,
    ),
]


@pytest.mark.parametrize(("ours", "theirs", "expected"), CASES)
def test_figures_of_sacrebleu(ours: list[str], theirs: list[str], expected: float):
    assert chrf(ours, theirs) == pytest.approx(expected, abs=1e-9)


def test_against_sacrebleu_itself():
    metrics = pytest.importorskip("sacrebleu.metrics")
    for ours, theirs, _ in CASES:
        assert chrf(ours, theirs) == pytest.approx(metrics.CHRF().corpus_score(ours, [theirs]).score, abs=1e-9)


def test_by_hand():
    assert chrf(["abc"], ["abc"]) == 100
    assert chrf([], []) == 0
    # "ab" against "ac": one of two characters, no pair in common; precision and recall (1/2 + 0) / 2.
    assert chrf(["ab"], ["a c"]) == pytest.approx(25)
    assert chrf_counts("ab", "a c")[:6].tolist() == [2, 2, 1, 1, 1, 0]
