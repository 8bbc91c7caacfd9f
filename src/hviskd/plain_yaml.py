"""Reads YAML that people write, and refuses a key that stands twice: the later one would win without a word."""

from collections.abc import Hashable
from typing import Any

import yaml


class PlainLoader(yaml.SafeLoader):
    """YAML's plain types alone; a repeated key is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Make a dictionary of a mapping.

        Raises:
            yaml.YAMLError: A key stands twice.
        """
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.YAMLError(f"line {key.start_mark.line + 1}: {key.value} stands twice; keep one")
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def parse_yaml(text: str) -> Any:
    """Read one YAML document.

    Raises:
        yaml.YAMLError: It is none, or a key of a mapping stands twice.
    """
    return yaml.load(text, Loader=PlainLoader)  # noqa: S506 - it is a SafeLoader
