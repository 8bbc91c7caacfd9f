"""Several trainings and one table: for now the demo, which does the whole job on tissue it draws itself."""

from hviskd.experiments.demo import Demo, draw_demo_tiles, run_demo

__all__ = ["Demo", "draw_demo_tiles", "run_demo"]
