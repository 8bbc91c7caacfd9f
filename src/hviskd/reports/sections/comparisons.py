"""Report section: a comparison of methods over pairs and seeds."""

from pathlib import Path

from hviskd.reports.section import Section, card_of, name_of, pictures_there, text_of, verdict_in, without_verdict

_PICTURES = {
    "gains.png": "Gain of each method in top-1 over KD and over the student alone, with 95 % intervals.",
    "ranks.png": "Mean ranks; methods joined by a bar do not differ significantly.",
}


def matches(folder: Path) -> bool:
    """Return whether a folder was written by `hviskd compare`."""
    return (folder / "comparison.json").is_file() and (folder / "table.md").is_file()


def describe(folder: Path) -> Section:
    """Make the section of a comparison.

    Raises:
        DataError: The folder is damaged.
    """
    card = card_of(folder, "comparison.json")
    left, verdict = card.get("left"), verdict_in(card)
    path = folder / "experiment.yaml"
    return Section(
        title=f"Comparison: {name_of(folder)}",
        lead=("Methods of training the same student with the same budget.",),
        verdict=verdict,
        tables=(without_verdict(text_of(folder / "table.md"), verdict),),
        pictures=pictures_there(folder, _PICTURES),
        limits=(f"Unfinished: {left} trainings remain.",) if left else (),
        commands=(f"hviskd compare {name_of(folder)}.yaml --tiles TILESET -o {name_of(folder)}",),
        texts=((f"{name_of(folder)}.yaml", text_of(path)),) if path.is_file() else (),
    )
