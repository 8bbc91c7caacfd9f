"""The log's way to TensorBoard."""

import pytest

from hviskd.training.boards import tensorboard

pytest.importorskip("tensorboard", reason="tensorboard is not installed")


def test_rows_arrive_and_what_a_killed_run_wrote_beyond_its_checkpoint_is_gone(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with tensorboard(tmp_path, wanted=True, after_epoch=0) as board:
        for epoch, value in ((1, 0.5), (2, 0.25)):
            board({"epoch": epoch, "loss_kd": value})
    with tensorboard(tmp_path, wanted=True, after_epoch=1) as board:
        board({"epoch": 2, "loss_kd": 0.75})
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss_kd")] == [(1, 0.5), (2, 0.75)]


def test_a_process_that_does_not_write_leaves_nothing(tmp_path):
    with tensorboard(tmp_path / "board", wanted=False, after_epoch=0) as board:
        board({"epoch": 1, "loss_kd": 0.5})
    assert not (tmp_path / "board").exists()
