"""Licences of pathology encoders, and what a licence says of a student that was distilled from such weights.

Nothing here is legal advice: the text of the licence counts.
"""

import re

# By the names that folders, files and hub ids bear; as public registries list them in 2026.
_ENCODERS = {
    "h-optimus-0": "apache-2.0",
    "h-optimus-1": "cc-by-nc-nd-4.0",
    "h0-mini": "cc-by-nc-nd-4.0",
    "virchow": "apache-2.0",
    "virchow2": "cc-by-nc-nd-4.0",
    "keep": "mit",
    "midnight": "mit",
    "midnight-12k": "mit",
    "open-midnight": "apache-2.0",
    "openmidnight": "apache-2.0",
    "gigapath-flash": "apache-2.0",
    "conch": "cc-by-nc-nd-4.0",
    "uni": "cc-by-nc-nd-4.0",
    "uni2": "cc-by-nc-nd-4.0",
    "uni2-h": "cc-by-nc-nd-4.0",
    "titan": "cc-by-nc-nd-4.0",
    "mstar": "cc-by-nc-nd-4.0",
    "phikon": "non-commercial",
    "phikon-v2": "non-commercial",
    "ctranspath": "gpl-3.0",
    "chief": "agpl-3.0",
}

# What an identifier says, by a part of it; the first that fits counts.
_TERMS = (
    (r"\bnd\b|noderiv", "no derivatives: a student distilled from it may not be passed on"),
    (r"\bnc\b|non-?commercial", "a student distilled from it may not be used commercially"),
    (r"gpl", "a student distilled from it may be passed on under the same licence only"),
    (r"^(apache|mit|bsd|cc0|cc-by-[0-9]|isc|unlicense)", None),
)
_UNKNOWN = "its terms are not known here; read them before passing on a student distilled from it"


def known_licence(name: str) -> str | None:
    """Return the licence of a known encoder that a file, folder or hub id is named after; None if it is not known."""
    words = re.sub(r"[^a-z0-9]+", "-", name.lower())
    fitting = [known for known in _ENCODERS if re.search(rf"(?<![a-z0-9]){known}(?![a-z0-9])", words)]
    # h-optimus-1 before h-optimus, uni2-h before uni2: the longest name is the most exact.
    return _ENCODERS[max(fitting, key=len)] if fitting else None


def terms_for_students(licence: str | None) -> str | None:
    """Return what a licence, by its usual identifier, says against passing on a student; None if nothing."""
    if licence is None:
        return _UNKNOWN
    told = licence.strip().lower().replace("_", "-").replace(" ", "-")
    return next((terms for part, terms in _TERMS if re.search(part, told)), _UNKNOWN)
