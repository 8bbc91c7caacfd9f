"""Reads YAML files that users write, and rejects repeated keys, of which the last would silently win."""

from collections.abc import Hashable
from typing import Any

import yaml


class PlainLoader(yaml.SafeLoader):
    """A loader of YAML's plain types; a repeated key is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Make a dictionary from a mapping node.

        Raises:
            yaml.YAMLError: A key stands twice.
        """
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.YAMLError(f"line {key.start_mark.line + 1}: {key.value} appears twice; keep only one")
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def parse_yaml(text: str) -> Any:
    """Read one YAML document.

    Raises:
        yaml.YAMLError: It is none, or a key of a mapping stands twice.
    """
    return yaml.load(text, Loader=PlainLoader)  # noqa: S506 - it is a SafeLoader
