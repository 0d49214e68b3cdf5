"""Threads, cancellation, Ctrl-C, forks and other processes."""

import multiprocessing
import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import vitrum

#: Minutes of work, if nothing stops it.
LONG = {"points_per_side": 200, "crop_n_layers": 2}


def test_two_calls_run_at_the_same_time(demo, photo):
    sam = vitrum.Sam(demo / "sam-nano", context=vitrum.Context(threads=1))
    # Both must be in the middle of a call to pass.
    barrier = threading.Barrier(2, timeout=20)
    passed = []

    def meet(fraction):
        if not passed:
            barrier.wait()
            passed.append(fraction)

    def encode(_):
        return sam.encode(photo, progress=meet).values()

    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(encode, range(2))
    assert passed and np.array_equal(one, other)


def test_a_call_leaves_the_interpreter_to_others(clip, photo):
    done = threading.Event()
    worker = threading.Thread(target=lambda: (clip.encode_images([photo] * 16), done.set()))
    ticks = 0
    worker.start()
    while not done.is_set():
        time.sleep(0.001)
        ticks += 1
    worker.join()
    # While a call holds the interpreter's lock, nobody wakes up.
    assert ticks > 5


def test_many_threads_share_models(clip, sam, embedding, photo, demo):
    expected = clip.encode_images([photo])
    masks = sam.predict(embedding, [[150, 80]]).masks

    def work(i):
        assert np.array_equal(clip.encode_images([photo]), expected)
        assert np.array_equal(sam.predict(embedding, [[150, 80]]).masks, masks)
        return i

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(24))) == list(range(24))


def test_a_tracker_refuses_a_second_thread(sam2, demo):
    tracker = vitrum.Tracker(sam2, 64, 64)
    inside, leave = threading.Event(), threading.Event()

    def hold(fraction):
        inside.set()
        assert leave.wait(20)

    image = np.zeros((64, 64, 3), np.uint8)
    worker = threading.Thread(target=lambda: tracker.push(image, progress=hold))
    worker.start()
    assert inside.wait(20)
    try:
        for use in (lambda: tracker.push(image), lambda: tracker.frame, tracker.save):
            with pytest.raises(RuntimeError, match="in use"):
                use()
    finally:
        leave.set()
        worker.join()
    assert tracker.frame == 0


def test_close_waits_for_calls(demo, photo):
    sam = vitrum.Sam(demo / "sam-nano")
    closed = []

    def close(fraction):
        sam.close()
        closed.append(fraction)

    values = sam.encode(photo, progress=close).values()
    assert closed and np.isfinite(values).all()
    with pytest.raises(ValueError, match="closed"):
        sam.encode(photo)


@pytest.mark.parametrize("where", ["main thread", "worker"])
def test_progress_runs_on_the_calling_thread_and_cancels(sam, photo, where):
    threads, fractions = set(), []

    def progress(fraction):
        threads.add(threading.get_ident())
        fractions.append(fraction)
        return len(fractions) < 3

    def call():
        with pytest.raises(vitrum.Cancelled) as caught:
            sam.everything(photo, progress=progress, **LONG)
        assert caught.value.code == vitrum.Status.CANCELLED
        return threading.get_ident()

    if where == "worker":
        with ThreadPoolExecutor(1) as pool:
            identity = pool.submit(call).result()
    else:
        identity = call()
    assert threads == {identity} and len(fractions) == 3


def test_what_progress_raises_comes_out(sam, photo, clip):
    class Own(Exception):
        pass

    def fail(fraction):
        raise Own(fraction)

    for call in (
        lambda: sam.encode(photo, progress=fail),
        lambda: sam.everything(photo, progress=fail),
        lambda: sam.ground(clip, photo, ["a"], progress=fail),
    ):
        with pytest.raises(Own, match=r"^0"):
            call()
    with pytest.raises(TypeError, match="progress"):
        sam.encode(photo, progress=3)
    # Only False stops.
    assert sam.encode(photo, progress=lambda fraction: None).size == photo.shape[:2]
    assert sam.encode(photo, progress=lambda fraction: 0).size == photo.shape[:2]


def test_every_long_call_reports_and_stops(sam, clip, embedding, photo, demo):
    def calls(progress):
        return [
            lambda: vitrum.Sam(demo / "sam-nano", progress=progress),
            lambda: vitrum.Clip(demo / "clip-nano", progress=progress),
            lambda: sam.predict(embedding, [[20, 20]], progress=progress),
            lambda: sam.predict_many(embedding, [vitrum.Prompt([[20, 20]])] * 9, progress=progress),
            lambda: clip.encode_images([photo] * 7, progress=progress),
            lambda: clip.encode_images((it for it in [photo] * 7), progress=progress),
            lambda: clip.encode_texts(["a", "b"] * 9, progress=progress),
            lambda: clip.classify(photo, ["a", "b"], progress=progress),
        ]

    expected = clip.classify(photo, ["a", "b"])
    fractions = []
    for call in calls(fractions.append):
        fractions.clear()
        call()
        assert fractions == sorted(fractions) and fractions[-1] == 1
    for call in calls(lambda fraction: False):
        with pytest.raises(vitrum.Cancelled):
            call()
    assert np.array_equal(clip.classify(photo, ["a", "b"]), expected)


def test_progress_must_not_use_models(sam, clip, embedding, photo):
    def use(fraction):
        for call in (
            lambda: sam.encode(photo),
            lambda: sam.everything(photo),
            lambda: sam.predict(embedding, [[1, 1]]),
            lambda: clip.encode_texts("a"),
            lambda: clip.classify(photo, ["a"]),
        ):
            with pytest.raises(RuntimeError, match="a progress callback must not use models"):
                call()
        refused.append(fraction)

    refused = []
    sam.encode(photo, progress=use)
    assert len(refused) > 2
    # Afterwards everything is as it was.
    assert clip.encode_texts("a").shape == (1, clip.embed_dim)


def interrupt_in(seconds):
    timer = threading.Timer(seconds, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    return timer


@pytest.mark.parametrize("progress", [None, lambda fraction: True])
def test_ctrl_c_stops_a_long_call(sam, photo, progress):
    expected = sam.encode(photo).values()
    timer, start = interrupt_in(0.5), time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        sam.everything(photo, progress=progress, **LONG)
    assert 0.4 < time.monotonic() - start < 10
    timer.join()
    # No helper goes on, and the model is as it was.
    assert np.array_equal(sam.encode(photo).values(), expected)


def test_ctrl_c_in_the_middle_of_progress(sam, photo):
    calls = []

    def progress(fraction):
        calls.append(fraction)
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)

    with pytest.raises(KeyboardInterrupt):
        sam.everything(photo, progress=progress, **LONG)
    assert len(calls) == 2


def test_other_signals_are_handled_meanwhile(sam, photo):
    handled = []
    earlier = signal.signal(signal.SIGUSR1, lambda *_: handled.append(time.monotonic()))
    try:
        timer = threading.Timer(0.05, lambda: os.kill(os.getpid(), signal.SIGUSR1))
        timer.start()
        sam.everything(photo, points_per_side=64)
        end = time.monotonic()
        timer.join()
    finally:
        signal.signal(signal.SIGUSR1, earlier)
    assert len(handled) == 1 and handled[0] < end


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_is_told(clip, sam, embedding, photo, demo):
    child = os.fork()
    if child == 0:
        status = 1
        try:
            for use in (lambda: clip.encode_texts("a"), lambda: sam.encode(photo), embedding.save):
                with pytest.raises(RuntimeError, match="before the process forked.*spawn"):
                    use()
            # What the child loads itself works, and freeing what it inherited does no harm.
            own = vitrum.Clip(demo / "clip-nano")
            assert own.encode_texts("a").shape == (1, own.embed_dim)
            clip.close()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    assert clip.encode_texts("a").shape == (1, clip.embed_dim)


def test_models_go_to_spawned_processes(clip, demo):
    path, labels = str(demo / "images/octopus-3d.png"), ["octopus", "squid"]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        there = pool.apply(clip.classify, (path, labels))
        with pytest.raises(FileNotFoundError) as caught:
            pool.apply(vitrum.Clip, (demo / "nothing",))
    assert np.array_equal(there, clip.classify(path, labels))
    assert caught.value.code == vitrum.Status.NOT_FOUND


def test_handles_are_freed(demo, photo):
    if not sys.platform.startswith("linux"):
        pytest.skip("reads /proc")

    def resident():
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    context = vitrum.Context(threads=1)

    def use():
        sam = vitrum.Sam(demo / "sam-nano", image_size=128, context=context)
        for _ in range(3):
            sam.predict(sam.encode(photo), [[1, 1]]).masks.sum()
        with pytest.raises(vitrum.Cancelled):
            sam.encode(photo, progress=lambda fraction: False)

    for _ in range(3):
        use()
    before = resident()
    for _ in range(8):
        use()
    # A model is 6 MB: if models or their embeddings were kept, it would show.
    assert resident() - before < 12e6
