"""Errors of the system as one line."""

import errno

import pytest

from videolatent_cli.cli.errors import resource_problem


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "lib/a"), "lib/a: is full"),
        (OSError(errno.EROFS, "Read-only file system", "lib/a"), "lib/a: is read-only"),
        (PermissionError(errno.EACCES, "Permission denied", "lib/a"), "lib/a: may not be"),
        (RuntimeError("lance: No space left on device (os error 28)"), "disk: is full"),
        (RuntimeError("CUDA out of memory. Tried to\nmore"), "memory: CUDA out of memory"),
        (MemoryError(), "memory: there is not enough"),
    ],
)
def test_problems_of_disk_and_memory_are_one_line(
    error: OSError | RuntimeError | MemoryError, line: str
) -> None:
    found = resource_problem(error)
    assert found is not None
    assert str(found).startswith(line)
    assert "\n" not in str(found)
    assert found.exit_code == 5


def test_other_errors_stay_bugs() -> None:
    assert resource_problem(OSError(errno.ENOENT, "No such file or directory", "a")) is None
    assert resource_problem(RuntimeError("shape mismatch")) is None
