"""One writer per home, whoever it is and however it ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from orchestration.base.errors import NorthstarError
from orchestration.publishing.lock import LockTaken, StaleToken, WriterLock

HOLD = "import sys; from pathlib import Path; from orchestration.publishing.lock import WriterLock; \
lock = WriterLock(Path(sys.argv[1]), 'nightly'); lock.acquire(); print(lock.token, flush=True); sys.stdin.read()"


def test_a_second_process_is_told_who_writes_and_gets_the_lock_when_that_one_is_killed(tmp_path: Path):
    other = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        token = int(other.stdout.readline())
        with pytest.raises(LockTaken, match=rf"process {other.pid} on .* since 20.*\(nightly\)"):
            WriterLock(tmp_path).acquire()
    finally:
        os.kill(other.pid, signal.SIGKILL)
        other.communicate()
    with WriterLock(tmp_path) as lock:
        assert lock.token == token + 1
        lock.check()


def test_a_second_lock_in_the_same_process_is_refused(tmp_path: Path):
    with WriterLock(tmp_path, "one"), pytest.raises(LockTaken, match=rf"{os.getpid()}.*\(one\)"):
        WriterLock(tmp_path, "two").acquire()


def test_tokens_rise_and_a_released_lock_is_stale(tmp_path: Path):
    tokens = []
    for _ in range(3):
        with WriterLock(tmp_path) as lock:
            tokens.append(lock.token)
    assert tokens == [1, 2, 3]
    with pytest.raises(StaleToken, match="not held"):
        lock.check()


def test_a_writer_whose_lock_was_taken_over_is_stale(tmp_path: Path):
    """Someone removed the lock file under a live writer."""
    old = WriterLock(tmp_path)
    old.acquire()
    (tmp_path / "locks" / "writer").unlink()
    with WriterLock(tmp_path) as new:
        with pytest.raises(StaleToken, match="token 1, the latest is 2"):
            old.check()
        old.release()
        new.check()
        assert (tmp_path / "locks" / "holder.json").exists()


def test_a_lost_fence_is_stale_and_a_broken_one_is_named(tmp_path: Path):
    fence = tmp_path / "locks" / "fence"
    with WriterLock(tmp_path) as lock:
        fence.unlink()
        with pytest.raises(StaleToken):
            lock.check()
    fence.write_text("seven")
    with pytest.raises(NorthstarError, match="fence holds 'seven'"):
        WriterLock(tmp_path).acquire()
    fence.write_text("7\n")
    with WriterLock(tmp_path) as lock:
        assert lock.token == 8
