"""Long calls: progress, cancellation, Ctrl-C.

The library reports progress on any thread, and Python runs signal handlers, such as that of Ctrl-C, on the main thread
alone. So a helper thread makes the call, and the calling thread waits in a way that signals interrupt; it also runs the
progress callback, so that this may touch what belongs to its thread: a GUI, a notebook.
"""

from __future__ import annotations

import _thread
import os
import queue
import threading
from collections.abc import Callable
from typing import Any

from ._ffi import check, ffi, struct

#: Called with the fraction done, from 0 to 1. ``False`` stops the call, which then raises ``vitrum.Cancelled``.
Progress = Callable[[float], object]

# On Windows a wait is not interrupted by signals.
_POLL: float | None = 0.1 if os.name == "nt" else None


class _Inside(threading.local):
    progress = False


_inside = _Inside()


def refuse_in_progress() -> None:
    """Before a call that needs the context's threads: one of them waits for the progress callback, and this would wait
    for it.
    """
    if _inside.progress:
        raise RuntimeError("a progress callback must not use models: the call that it reports on waits for it")


class LongCall:
    """One call with a progress callback. The handle of this object is the callbacks' ``user``."""

    def __init__(self, progress: Progress | None) -> None:
        if progress is not None and not callable(progress):
            raise TypeError("progress: something that can be called with a fraction is needed")
        self._progress = progress
        self.user = ffi.new_handle(self)
        # Set once; from then on every callback answers that the call is to stop.
        self._is_stopped = False
        self._has_returned = False
        self._failure: BaseException | None = None
        self._status = 0
        self._error = struct("error")
        self._mail: queue.SimpleQueue[float | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[None] = queue.SimpleQueue()

    def run(self, function: Callable[[Any, Any, Any], int]) -> None:
        """Calls ``function(progress, user, error)``, which calls the library and returns its status."""
        refuse_in_progress()
        is_main = threading.current_thread() is threading.main_thread()
        if self._progress is None and not is_main:
            # Nobody listens, and no signal comes here.
            self._body(function, ffi.NULL)
        else:
            self._run_on_helper(function)
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
        check(self._status, self._error)

    def guarded(self, function: Callable[..., None], *arguments: Any) -> int:
        """Runs a callback for the library: what it raises stops the call and comes out of ``run``."""
        try:
            function(*arguments)
        except BaseException as failure:
            self._fail(failure)
        return int(self._is_stopped)

    def _fail(self, failure: BaseException) -> None:
        self._is_stopped = True
        if self._failure is None:
            self._failure = failure

    def _body(self, function: Callable[[Any, Any, Any], int], progress: Any) -> None:
        try:
            self._status = function(progress, self.user, self._error)
        except BaseException as failure:
            self._fail(failure)
        finally:
            self._has_returned = True
            self._mail.put(None)

    def _run_on_helper(self, function: Callable[[Any, Any, Any], int]) -> None:
        # Whoever takes the ticket decides: either the helper makes the call, or it never will.
        ticket = threading.Lock()

        def helper() -> None:
            if ticket.acquire(blocking=False):
                self._body(function, _report)

        try:
            _thread.start_new_thread(helper, ())
        except BaseException as failure:
            if ticket.acquire(blocking=False):
                raise
            self._fail(failure)
        # Even if an interrupt leaves this loop, nothing is freed too early: what the call uses is held by `function`.
        while not self._has_returned:
            try:
                fraction = self._mail.get(timeout=_POLL)
                if fraction is None or self._progress is None:
                    continue
                if not self._is_stopped and self._ask(self._progress, fraction) is False:
                    self._is_stopped = True
                self._answers.put(None)
            except queue.Empty:
                pass
            except BaseException as failure:
                self._fail(failure)
                # One too many does no harm: nobody waits for answers any more.
                self._answers.put(None)

    @staticmethod
    def _ask(progress: Progress, fraction: float) -> object:
        _inside.progress = True
        try:
            return progress(fraction)
        finally:
            _inside.progress = False

    def report(self, fraction: float) -> None:
        """Tells the calling thread, and waits for its answer."""
        if not self._is_stopped and self._progress is not None:
            self._mail.put(fraction)
            self._answers.get()


@ffi.callback("int32_t(void *, float)")  # type: ignore[untyped-decorator, unused-ignore]
def _report(user: Any, fraction: float) -> int:
    it: LongCall = ffi.from_handle(user)
    return it.guarded(it.report, fraction)


def run_short(function: Callable[[Any, Any, Any], int], progress: Progress | None) -> None:
    """As ``run_long``, for calls that are short more often than not: if nobody listens, this thread makes them."""
    if progress is not None:
        return run_long(function, progress)
    refuse_in_progress()
    error = struct("error")
    check(function(ffi.NULL, ffi.NULL, error), error)


def run_long(function: Callable[[Any, Any, Any], int], progress: Progress | None = None) -> None:
    """As ``LongCall.run``, without other callbacks."""
    LongCall(progress).run(function)
