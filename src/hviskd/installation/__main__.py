"""`python -m hviskd.installation`: what `hviskd doctor --json` prints, where not even the command line starts."""

import json
import sys

from hviskd.installation.examining import examine_installation

if __name__ == "__main__":
    found = examine_installation()
    json.dump(found.as_json(), sys.stdout, indent=2)
    sys.exit(not found.works)
