"""ICC colour profiles of slides: their names, the conversion of pixels to sRGB, and what to tell of a cohort."""

import hashlib
import io
from collections import Counter
from collections.abc import Iterable

import numpy as np
from PIL import Image

from hviskd.arrays import RGB

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


class SrgbConversion:
    """The conversion of pixels from an ICC profile to sRGB, for any number of threads.

    By the relative colorimetric intent: colours within sRGB keep their measured values, and white stays white. The
    perceptual intent may change them for looks, each vendor in its way, so that scanners would still differ.

    Raises:
        ValueError: The profile is damaged, or not one of RGB pixels.
    """

    def __init__(self, profile: bytes) -> None:
        from PIL import ImageCms

        try:
            self._transform = ImageCms.buildTransform(
                ImageCms.ImageCmsProfile(io.BytesIO(profile)),
                ImageCms.createProfile("sRGB"),
                "RGB",
                "RGB",
                renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
                flags=ImageCms.Flags.NOCACHE,  # which Little CMS asks for if threads share a transform
            )
        except (ImageCms.PyCMSError, OSError) as error:
            raise ValueError(f"not an ICC profile of RGB pixels ({error})") from error

    def __call__(self, pixels: RGB) -> RGB:
        """Convert pixels, uint8 (height, width, 3)."""
        return np.asarray(self._transform.apply(Image.fromarray(pixels)))


def colour_note(profiles: Iterable[str | None], *, applied: bool) -> str:
    """Say what ICC profiles mean for the slides of a cohort; empty if nothing.

    Args:
        profiles: Name of each slide's profile, None if it has none.
        applied: Whether pixels are converted to sRGB. If not, what scanners meant by the same number may differ.
    """
    counts = Counter("none" if name is None else name for name in profiles)
    if applied:
        bare = counts["none"]
        return f"{bare:,} of {counts.total():,} slides have no ICC colour profile; read as stored" if bare else ""
    if len(counts) < 2:
        return ""
    listed = ", ".join(f"{name}: {count:,}" for name, count in counts.most_common())
    return (
        f"the slides have different ICC colour profiles, which are not applied ({listed}); `icc=True` converts them "
        "to sRGB"
    )
