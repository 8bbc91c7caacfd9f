"""Agreement of a slide's map with an expert's annotation.

`agree` compares a cohort, `save_agreement` writes what it found. Names load what they need when first used.
"""

from typing import TYPE_CHECKING

from hviskd.lazy import load_on_use

if TYPE_CHECKING:
    from hviskd.agreement.agreeing import AgreementSettings, agree
    from hviskd.agreement.files import save_agreement
    from hviskd.agreement.result import Agreement
    from hviskd.agreement.slide_agreement import Compared, SlideAgreement, agree_on_slide

_HOMES = {
    "Agreement": "result",
    "AgreementSettings": "agreeing",
    "Compared": "slide_agreement",
    "SlideAgreement": "slide_agreement",
    "agree": "agreeing",
    "agree_on_slide": "slide_agreement",
    "save_agreement": "files",
}

__all__ = [
    "Agreement",
    "AgreementSettings",
    "Compared",
    "SlideAgreement",
    "agree",
    "agree_on_slide",
    "save_agreement",
]

__getattr__ = load_on_use(__name__, _HOMES)
