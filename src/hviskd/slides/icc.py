"""Names the ICC colour profile that a file carries, and says where the slides of a cohort differ in it."""

import hashlib
import io
from collections import Counter
from collections.abc import Iterable

_SHOWN_CHARACTERS = 60


def profile_name(profile: bytes | None) -> str | None:
    """Return the description of an ICC profile, and a digest that tells it from others; None if there is none."""
    if not profile:
        return None
    from PIL import ImageCms

    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        said, profile = ImageCms.getProfileDescription(opened), opened.tobytes()
    except (ImageCms.PyCMSError, OSError):
        said = "unreadable profile"
    digest = hashlib.blake2b(profile, digest_size=4).hexdigest()
    return f"{' '.join(said.split())[:_SHOWN_CHARACTERS]} ({digest})"


def different_profiles(names: Iterable[str | None]) -> str:
    """Say that slides differ in their ICC profiles, and how; empty if they do not.

    Pixels are read as they are stored: no profile is applied, so what scanners meant by the same number may differ.
    """
    counts = Counter("none" if name is None else name for name in names)
    if len(counts) < 2:
        return ""
    listed = ", ".join(f"{name}: {count:,}" for name, count in counts.most_common())
    return f"the slides have different ICC colour profiles, which are not applied ({listed})"
