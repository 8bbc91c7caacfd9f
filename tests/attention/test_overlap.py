import numpy as np
import pytest
from sklearn.metrics import f1_score

from hviskd.attention.overlap import MEASURES, measure_tile
from hviskd.errors import DataError


def drawn(seed, side=17, steps=None):
    """A map from 0 to 1, with many equal values where `steps` are asked for, and an outline."""
    rng = np.random.default_rng(seed)
    attention = rng.random((side, side)) ** 2
    if steps:
        attention = np.round(attention * steps) / steps
    attention = (attention / attention.max()).astype(np.float32)
    return attention, rng.random((side, side)) < 0.3


def dice(o, chosen):
    return 2 * (o & chosen).sum() / (o.sum() + chosen.sum())


@pytest.mark.parametrize("steps", [None, 4])
@pytest.mark.parametrize("seed", range(5))
def test_every_measure_by_loops(seed, steps):
    attention, outline = drawn(seed, side=11, steps=steps)
    a, o = attention.astype(float).ravel(), outline.ravel()
    found = measure_tile(attention, outline, area_share=0.25, level=0.4)

    assert found["dice_level"] == pytest.approx(f1_score(o, a >= 0.4))
    by_threshold = {t: dice(o, a >= t) for t in np.unique(a)}
    assert found["dice_best"] == pytest.approx(max(by_threshold.values()))
    fine = (np.arange(20000) + 0.5) / 20000
    at_fine = [by_threshold[min(t for t in by_threshold if t >= each)] for each in fine[::40]]
    assert found["dice_mean"] == pytest.approx(np.mean(at_fine), abs=2e-3)
    assert found["soft_dice"] == pytest.approx(
        2 * sum(x for x, y in zip(a, o, strict=True) if y) / (sum(a * a) + o.sum())
    )
    assert found["energy"] == pytest.approx(sum(a[o]) / sum(a))
    assert found["pointing"] == pytest.approx(np.mean([y for x, y in zip(a, o, strict=True) if x == a.max()]))
    # the share rule is the mean over all ways to break ties
    picks = []
    for shuffle in range(400 if steps else 1):
        jitter = np.random.default_rng(shuffle).random(len(a)) * 1e-9
        order = np.argsort(-(a + jitter))
        whole, rest = divmod(0.25 * len(a), 1)
        hits = o[order[: int(whole)]].sum() + rest * o[order[int(whole)]]
        picks.append(2 * hits / (0.25 * len(a) + o.sum()))
    assert found["dice_share"] == pytest.approx(np.mean(picks), abs=0.02 if steps else 1e-9)


def test_otsu_parts_two_groups_best():
    attention, outline = drawn(3)
    levels = np.arange(1, 256) / 256
    centre = (np.clip(np.floor(attention * 256), 0, 255) + 0.5) / 256

    def within(level):
        low = attention < level
        return sum(group.size * group.var() for group in (centre[low], centre[~low]) if group.size)

    best = min(levels, key=within)
    assert measure_tile(attention, outline)["dice_otsu"] == pytest.approx(
        f1_score(outline.ravel(), (attention >= best).ravel())
    )


def test_a_map_that_is_the_outline_scores_one_everywhere():
    outline = np.zeros((20, 20), bool)
    outline[4:12, 5:15] = True
    found = measure_tile(outline.astype(np.float32), outline, area_share=outline.mean())
    assert found == dict.fromkeys(MEASURES, 1.0)


def test_what_looks_elsewhere_scores_nothing():
    outline = np.zeros((20, 20), bool)
    outline[:5] = True
    attention = np.zeros((20, 20), np.float32)
    attention[12, 3] = 1
    found = measure_tile(attention, outline, area_share=1 / 400)
    worthless = {name: value for name, value in found.items() if name not in ("dice_best",)}
    assert worthless == dict.fromkeys(worthless, 0.0)
    assert found["dice_best"] == pytest.approx(f1_score(outline.ravel(), np.ones(400, bool)))  # the whole tile


def test_nothing_outlined_and_nothing_looked_at():
    attention, outline = drawn(0)
    assert all(np.isnan(value) for value in measure_tile(attention, np.zeros_like(outline)).values())
    blind = measure_tile(np.zeros_like(attention), outline)
    assert np.isnan(blind.pop("energy"))
    assert set(blind.values()) == {0.0}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a, o: ((a[:-1], o), {}), "the same size"),
        (lambda a, o: ((a * np.nan, o), {}), "from 0 to 1"),
        (lambda a, o: ((a * 2, o), {}), "from 0 to 1"),
        (lambda a, o: ((a, o), {"area_share": 0}), "`area_share=0`: must be above 0"),
        (lambda a, o: ((a, o), {"level": 1.5}), "`level=1.5`: must be above 0"),
    ],
)
def test_mistakes(change, message):
    positional, named = change(*drawn(0))
    with pytest.raises(DataError, match=message):
        measure_tile(*positional, **named)
