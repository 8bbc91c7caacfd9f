"""The names of an agreement's files; whoever reads them needs nothing of what measures and draws."""

SUMMARY, TABLE, PROFILES = "summary.json", "agreement.csv", "boundary.csv"
KIND = "hviskd agreement"
AGREEMENT = (TABLE, "agreement")  # what tells an agreement from a person's own folder
