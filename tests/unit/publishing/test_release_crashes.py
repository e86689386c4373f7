"""Whatever stops a writer, and wherever: readers have the old release or the new one, whole, and the next writer goes on.

Writers are processes of their own. Something happens to one right before its nth change of the disk: it is killed, the disk is
full from there on, or it is frozen until somebody else has taken over.
"""

import dataclasses
import os
import resource
import shutil
import signal
import sys
from collections.abc import Callable, Iterator

import pytest

from orchestration.base import digests
from orchestration.base.errors import NorthstarError
from orchestration.publishing.lock import WriterLock
from orchestration.publishing.store import ReleaseStore
from tests.unit.publishing.conftest import Home, is_whole

CHANGES = {"replace", "rename", "fsync", "symlink", "unlink", "mkdir", "rmdir", "chmod"}
DONE, REFUSED, BROKEN = 0, 3, 4


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def freeze() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def fill_disk() -> None:
    """From here on no file can grow: what is written fails as it does on a full disk, also where DuckDB writes it."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))


def start(home: Home, action: Callable[[WriterLock], object], step: int, happens: Callable[[], None]) -> int:
    """Begin a writer to which something happens right before its nth change of the disk, or at once (0); its pid.

    Counted from the moment at which it has the lock.
    """
    child = os.fork()
    if child:
        return child
    code = BROKEN
    try:
        signal.alarm(120)
        with WriterLock(home.path) as lock:
            count = 0

            def watch(_, event, called):
                nonlocal count
                if event != "c_call":
                    return
                module, name = getattr(called, "__module__", None), called.__name__
                # What DuckDB is asked before there is a file to write to only reads.
                if (module == "posix" and name in CHANGES) or (module == "_duckdb" and name == "execute" and count > 0):
                    count += 1
                    if count == step:
                        happens()

            if step == 0:
                happens()
            sys.setprofile(watch)
            action(lock)
            sys.setprofile(None)
        code = DONE
    except NorthstarError:
        code = REFUSED
    except BaseException as error:  # noqa: BLE001 - a child of pytest must never return into it
        os.write(2, f"{type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(code)


def ended(child: int) -> int:
    """How a writer ended: what it said, or minus the signal."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def copy(template: Home, target: Home) -> Home:
    shutil.rmtree(target.path)
    shutil.copytree(template.path, target.path, symlinks=True)
    return target


def copies(template: Home, make_home: Callable[[str], Home]) -> Iterator[tuple[int, Home]]:
    """Equal homes without end, one for each step."""
    for step in range(1, 500):
        home = copy(template, make_home(f"step-{step}"))
        yield step, home
        shutil.rmtree(home.path)


def recover(home: Home) -> list[str]:
    with WriterLock(home.path) as lock:
        return home.store.recover(lock)


@pytest.fixture
def waiting(make_home) -> tuple[Home, Callable[[Home], Callable[[WriterLock], object]]]:
    """A home with versions 0 and 1 out and a candidate of version 2, and what promotes that in a copy of it."""
    template = make_home("template")
    template.publish(version=0, rows=5)
    template.publish(version=1, rows=5)
    template.fill(version=2, rows=5)
    candidate = template.build()

    def promotion(home: Home) -> Callable[[WriterLock], object]:
        moved = dataclasses.replace(candidate, path=home.path / "published" / candidate.path.name)
        return lambda lock: home.promote(moved, lock)

    return template, promotion


def test_a_publication_killed_at_any_step_leaves_the_old_or_the_new_release_whole(make_home):
    """From the first statement of the build to the last old release that is removed.

    What a killed writer leaves is the next one's beginning, until one has published.
    """
    one = {"marts": ["mart_metric__daily"], "order_by": {}}
    template = make_home("template")
    for _ in range(3):
        template.publish(version=1, rows=5, **one)
    template.fill(version=2, rows=5)

    def publish(home: Home) -> Callable[[WriterLock], object]:
        def action(lock: WriterLock) -> None:
            home.promote(home.build(**one), lock)
            home.store.prune(2, lock, months=0)

        return action

    home, outcomes = template, []
    for step in range(1, 500):
        if outcomes[-1:] != [1]:
            home = copy(template, make_home(f"step-{step}"))
        code = ended(start(home, publish(home), step, kill))
        assert code in {DONE, -signal.SIGKILL}
        # Readers are served between the crash and the next night as well.
        before = home.store.current()
        assert digests.of_file(before.database) == before.manifest.marts_sha256
        recover(home)
        assert home.store.current() == before
        outcomes.append(is_whole(home, {1, 2}))
        if code == DONE:
            break
    assert code == DONE
    assert outcomes == sorted(outcomes)
    assert set(outcomes) == {1, 2}
    assert min(outcomes.count(1), outcomes.count(2)) > 5
    assert len(home.store.releases()) == 2


def test_a_rollback_killed_at_any_step_leaves_one_release_whole(waiting, make_home):
    template, _ = waiting
    old = template.store.releases()[1].release_id
    outcomes = []
    for step, home in copies(template, make_home):
        code = ended(start(home, lambda lock, home=home: home.store.rollback(old, lock), step, kill))
        before = home.answer()
        recover(home)
        outcomes.append((before, is_whole(home, {0, 1})))
        if code == DONE:
            break
    assert code == DONE
    assert outcomes == sorted(outcomes, reverse=True)
    assert set(outcomes) == {(1, 1), (0, 0)}


def test_a_removal_killed_at_any_step_leaves_the_current_release_and_is_finished_by_the_next(make_home):
    """As a night removes the releases that hold an erased person: whoever runs next is asked for them again."""
    template = make_home("template")
    old = template.publish(version=0, rows=5).release_id
    template.publish(version=1, rows=5)
    counts = []
    for step, home in copies(template, make_home):
        code = ended(start(home, lambda lock, home=home: home.store.remove([old], lock), step, kill))
        recover(home)
        assert is_whole(home, {1}) == 1
        counts.append(len(home.store.releases()))
        with WriterLock(home.path) as lock:
            home.store.remove([old], lock)
        assert len(home.store.releases()) == 1
        assert list(home.path.glob(f"published/**/*{old}*")) == []
        if code == DONE:
            break
    assert code == DONE
    assert counts == sorted(counts, reverse=True)
    assert set(counts) == {1, 2}


def test_a_disk_that_fills_during_a_promotion_leaves_the_old_release_or_does_not_matter(waiting, make_home):
    """All that needs room is written before the commit: a writer that says that it failed has changed nothing."""
    template, promotion = waiting
    outcomes = []
    for step, home in copies(template, make_home):
        code = ended(start(home, promotion(home), step, fill_disk))
        outcomes.append((code, home.answer()))
        if code == REFUSED:
            assert len(home.store.releases()) == 2
        recover(home)
        assert is_whole(home, {1, 2}) == outcomes[-1][1]
        if code == DONE:
            break
    assert set(outcomes) == {(REFUSED, 1), (DONE, 2)}
    assert outcomes.count((REFUSED, 1)) > 5


def test_a_disk_that_fills_during_a_rollback_leaves_the_current_release(waiting):
    home, _ = waiting
    old = home.store.releases()[1].release_id
    assert ended(start(home, lambda lock: home.store.rollback(old, lock), 0, fill_disk)) == REFUSED
    recover(home)
    assert is_whole(home, {1}) == 1


@pytest.mark.parametrize("room", [0, 1_000, 100_000])
def test_a_disk_that_fills_while_a_candidate_is_built_leaves_no_candidate(published, room, capfd):
    """DuckDB finds no room for its file, or none for its tables."""
    published.fill(version=2, rows=50_000)

    def little() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))

    assert ended(start(published, lambda _: published.build(), 0, little)) == REFUSED, capfd.readouterr().err
    assert not list(published.path.glob("published/.candidate-*"))
    assert recover(published) == []
    assert is_whole(published, {1}) == 1


def test_a_writer_without_room_for_its_token_says_so(home):
    home.path.mkdir()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        with pytest.raises(NorthstarError, match="File too large; nothing was changed"):
            WriterLock(home.path).acquire()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    with WriterLock(home.path) as lock:
        lock.check()


def test_a_writer_frozen_at_any_step_changes_nothing_once_another_has_taken_over(waiting, make_home):
    """The other one rolls back to version 0, so that nothing but the lock keeps the writer that wakes from promoting its own."""
    template, promotion = waiting
    codes = []
    for step, home in copies(template, make_home):
        child = start(home, promotion(home), step, freeze)
        _, status = os.waitpid(child, os.WUNTRACED)
        if os.WIFSTOPPED(status):
            (home.path / "locks" / "writer").unlink()
            with WriterLock(home.path) as lock:
                home.store.recover(lock)
                was = home.answer()
                home.store.rollback(home.store.releases()[-1].release_id, lock)
                os.kill(child, signal.SIGCONT)
                codes.append((was, ended(child)))
            assert home.answer() == 0
            recover(home)
            assert is_whole(home, {0}) == 0
            assert len(home.store.releases()) == 1 + was
        else:
            assert os.waitstatus_to_exitcode(status) == DONE
            break
    # Before its commit it is refused; after it, its release was out already when the other one took over.
    assert set(codes) == {(1, REFUSED), (2, DONE)}
    assert codes == sorted(codes)


def test_a_rollback_after_a_crash_is_not_undone_by_the_recovery(published, monkeypatch):
    old = published.store.current()
    published.fill(version=2)
    candidate = published.build()
    with monkeypatch.context() as patch, WriterLock(published.path) as lock:

        def fail(*_):
            raise OSError("killed")

        patch.setattr(ReleaseStore, "_forget_intent", fail)
        with pytest.raises(OSError, match="killed"):
            published.promote(candidate, lock)
    with WriterLock(published.path) as lock:
        published.store.rollback(old.release_id, lock)
        assert published.store.recover(lock) == []
    assert published.answer() == 1


def test_an_exception_between_commit_and_end_is_not_taken_for_a_refusal(published, monkeypatch):
    published.fill(version=2)
    candidate = published.build()

    def fail(*_):
        raise OSError("the disk is gone")

    monkeypatch.setattr(ReleaseStore, "_forget_intent", fail)
    with WriterLock(published.path) as lock, pytest.raises(OSError, match="the disk is gone"):
        published.promote(candidate, lock)
    assert published.answer() == 2
