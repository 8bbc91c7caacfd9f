"""Sphinx's settings of the site, which `make docs` builds into site/: offline, with every warning as an error.

Sources are the repository's Markdown where it lies, so that one link serves the site and a code host.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # for the extension beside this file

from hviskd.version import __version__

project = "hviskd"
author = "The hviskd developers"
version = release = __version__

extensions = ["myst_parser", "sphinx_copybutton", "building.generated"]
root_doc = "docs/index"
include_patterns = ["*.md", "docs/**", "benchmarks/**"]
exclude_patterns = ["README.md", ".*", "src", "tests", "packaging", "findings", "site", "docs/building"]
myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 4
smartquotes = False  # or --option would become a dash
copybutton_selector = ".highlight-sh pre, .highlight-default pre, .highlight-python pre, .highlight-yaml pre"
highlight_language = "sh"  # most blocks without a language are commands
python_maximum_signature_line_length = 90
toc_object_entries = False

html_theme = "furo"
html_title = "hviskd"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_extra_path = ["_root"]  # llms.txt at the root, and a page there that leads to the first one
html_show_sphinx = False
html_show_copyright = False
html_theme_options = {
    "navigation_with_keys": True,
    "light_css_variables": {"color-brand-primary": "#0b5d7a", "color-brand-content": "#0b5d7a"},
    "dark_css_variables": {"color-brand-primary": "#6cc4e0", "color-brand-content": "#6cc4e0"},
}
