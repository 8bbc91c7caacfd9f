import numpy as np
import pandas as pd
import pytest
from scipy import stats

from hviskd.attention.comparing import TESTS, compare_attention
from hviskd.errors import DataError
from hviskd.evaluation.significance import holm


def drawn(models=("teacher", "kd", "hviskd"), patients=7, tiles=6, seed=0):
    """Tiles of a patient share what is easy; the last model is better by a tenth."""
    rng = np.random.default_rng(seed)
    rows = []
    for patient in range(patients):
        easy = rng.normal(0, 0.1)
        for tile in range(tiles):
            for position, model in enumerate(models):
                dice = 0.4 + easy + 0.05 * position + rng.normal(0, 0.1)
                rows.append({"model": model, "tile": f"{patient}-{tile}", "patient": f"p{patient}", "dice": dice})
    table = pd.DataFrame(rows)
    return table.assign(energy=table["dice"] ** 2)


def both(table, model, measure="dice"):
    one, other = (table[table["model"] == name].set_index("tile")[measure].sort_index() for name in (model, "teacher"))
    owner = table.drop_duplicates("tile").set_index("tile")["patient"].sort_index()
    return one, other, one.groupby(owner).mean(), other.groupby(owner).mean()


def test_every_p_is_scipys():
    table = drawn()
    tests = compare_attention(table, "teacher").tests.set_index(["measure", "model"])
    for measure in ("dice", "energy"):
        for model in ("kd", "hviskd"):
            one, other, by_patient, other_by_patient = both(table, model, measure)
            row = tests.loc[(measure, model)]
            assert row["difference"] == pytest.approx((one - other).mean())
            assert row["p_t_tiles"] == pytest.approx(stats.ttest_rel(one, other).pvalue)
            assert row["p_wilcoxon_tiles"] == pytest.approx(stats.wilcoxon(one, other).pvalue)
            assert row["p_t_patients"] == pytest.approx(stats.ttest_rel(by_patient, other_by_patient).pvalue)
            assert row["p_wilcoxon_patients"] == pytest.approx(stats.wilcoxon(by_patient, other_by_patient).pvalue)
            flipped = stats.permutation_test(
                (by_patient.to_numpy(), other_by_patient.to_numpy()),
                lambda x, y: np.mean(x - y),
                permutation_type="samples",
                n_resamples=np.inf,
            )
            assert row["p_flip_patients"] == pytest.approx(flipped.pvalue)
        for test in TESTS:
            corrected = holm([tests.loc[(measure, model)][test] for model in ("kd", "hviskd")])
            assert tests.loc[measure][f"{test}_holm"].tolist() == corrected


def test_effect_sizes_by_their_formulas():
    table = drawn()
    row = compare_attention(table, "teacher").tests.iloc[1]
    *_, one, other = both(table, "hviskd")
    difference = (one - other).to_numpy()
    assert row["d_z"] == pytest.approx(difference.mean() / np.sqrt(((difference - difference.mean()) ** 2).sum() / 6))
    order = np.abs(difference).argsort().argsort() + 1
    assert row["rank_biserial"] == pytest.approx((order[difference > 0].sum() - order[difference < 0].sum()) / 28)


def test_intervals_widen_when_patients_differ():
    means = compare_attention(drawn(), "teacher").means.set_index(["measure", "model"])
    row = means.loc[("dice", "kd")]
    values = drawn().query("model == 'kd'")
    by_patient = values.groupby("patient")["dice"].mean()
    assert row["mean"] == pytest.approx(values["dice"].mean())
    assert row["low"] < row["mean"] < row["high"]
    # with equal sizes, drawing patients anew varies as the mean of patients' means does
    assert (row["high"] - row["low"]) / 2 == pytest.approx(1.96 * by_patient.std(ddof=0) / np.sqrt(7), rel=0.15)


def test_undefined_values_are_left_out_in_pairs_and_counted():
    table = drawn()
    table.loc[(table["model"] == "kd") & (table["tile"] == "0-0"), "dice"] = np.nan
    found = compare_attention(table, "teacher")
    of_means = found.means.set_index(["measure", "model"])
    assert of_means.loc[("dice", "kd")][["tiles", "missing"]].tolist() == [41, 1]
    assert of_means.loc[("dice", "hviskd")]["missing"] == 0
    assert found.tests.set_index(["measure", "model"])["tiles"].to_dict() == {
        ("dice", "kd"): 41,
        ("dice", "hviskd"): 42,
        ("energy", "kd"): 42,
        ("energy", "hviskd"): 42,
    }


def test_identical_models_differ_in_nothing():
    table = drawn(("teacher", "kd"))
    table["dice"] = np.tile(np.linspace(0.1, 0.9, 21), 4)[: len(table)]
    twin = pd.concat([table[table["model"] == "kd"].assign(model=name) for name in ("teacher", "kd")])
    row = compare_attention(twin, "teacher").tests.iloc[0]
    assert row["difference"] == 0
    assert [row[test] for test in TESTS] == [1.0] * len(TESTS)
    assert np.isnan(row["d_z"])
    assert np.isnan(row["rank_biserial"])


@pytest.mark.parametrize(("patients", "tiles"), [(1, 6), (2, 3), (1, 1)])
def test_too_few_patients_are_not_tested(patients, tiles):
    found = compare_attention(drawn(patients=patients, tiles=tiles), "teacher")
    row = found.tests.iloc[0]
    assert all(np.isnan(row[test]) for test in TESTS if test.endswith("patients"))
    assert any("fewer than three patients" in note for note in found.notes)
    assert np.isnan(row["low"]) == (patients == 1)


def test_what_few_patients_can_show_at_best_is_said():
    table = drawn(patients=4)
    table.loc[table["model"] == "hviskd", "dice"] += 10
    found = compare_attention(table, "teacher")
    assert found.tests.set_index(["measure", "model"]).loc[("dice", "hviskd")]["p_flip_patients"] == 0.125
    assert any("cannot be below 0.125" in note for note in found.notes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: (table.drop(columns="patient"), "teacher"), "no column 'patient'"),
        (lambda table: (table, "nobody"), "`reference='nobody'`: no such model; choose one of teacher, kd, hviskd"),
        (lambda table: (pd.concat([table, table.head(1)]), "teacher"), "same tile twice"),
    ],
)
def test_mistakes(change, message):
    with pytest.raises(DataError, match=message):
        compare_attention(*change(drawn()))
