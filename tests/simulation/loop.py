"""An event loop in virtual time, whose processes can be killed or frozen between any two steps.

Steps run in asyncio's order, first come first served, so that nothing is simulated that asyncio rules out;
chance is in how long the edges take. Time passes only when nothing is left to do.
"""

import asyncio
import contextvars
from collections import deque
from collections.abc import Callable, Coroutine
from heapq import heappop, heappush
from typing import Any, TypeVar

T = TypeVar("T")


class Died(GeneratorExit):
    """Unwinds a process that has ended; as a GeneratorExit, so that its coroutines can be closed later."""


class Process:
    """A worker as the machine sees it: `alive` until it is killed, and perhaps `frozen` for a while.

    Its clock may be wrong, by `ahead_us`.
    """

    __slots__ = ("ahead_us", "alive", "context", "frozen", "name", "parked", "was_frozen")

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.ahead_us = 0
        self.frozen = False
        self.was_frozen = False
        self.parked: list[_Handle] = []
        self.context = contextvars.copy_context()
        self.context.run(PROCESS.set, self)


PROCESS: contextvars.ContextVar[Process | None] = contextvars.ContextVar("process", default=None)


def current_process() -> Process:
    """The process that runs this step; raises Died when it has ended, or none does."""
    process = PROCESS.get()
    if process is None or not process.alive:
        raise Died
    return process


class _Handle:
    """A step to be run."""

    __slots__ = ("args", "callback", "context", "is_canceled")

    def __init__(
        self, callback: Callable[..., object], args: tuple[Any, ...], context: contextvars.Context | None
    ) -> None:
        self.callback = callback
        self.args = args
        self.context = contextvars.copy_context() if context is None else context
        self.is_canceled = False

    def cancel(self) -> None:
        self.is_canceled = True

    def cancelled(self) -> bool:  # asyncio's name
        return self.is_canceled


class Deadlock(Exception):
    """Nothing is left to do, and yet the history has not ended."""


class Loop(asyncio.AbstractEventLoop):
    """Runs one history; to be closed, which unwinds what the dead left behind.

    It has what asyncio asks of a loop whose tasks do no input or output; the rest stays abstract.
    """

    def __init__(self) -> None:
        self._ready: deque[_Handle] = deque()
        self._timers: list[tuple[float, int, _Handle]] = []
        self._now_s = 0.0
        self._count = 0
        self._tasks: list[asyncio.Task[Any]] = []
        self.errors: list[BaseException] = []

    # What asyncio asks for.

    def time(self) -> float:
        return self._now_s

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def create_future(self) -> "asyncio.Future[Any]":
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: Any = None, context: Any = None) -> "asyncio.Task[Any]":
        task = asyncio.Task(coro, loop=self, name=name, context=context)
        self._tasks.append(task)
        return task

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> Any:  # type: ignore[override]
        handle = _Handle(callback, args, context)
        self._ready.append(handle)
        return handle

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> Any:  # type: ignore[override]
        handle = _Handle(callback, args, context)
        self._count += 1
        heappush(self._timers, (when, self._count, handle))
        return handle

    def call_later(self, delay: float, callback: Any, *args: Any, context: Any = None) -> Any:  # type: ignore[override]
        handle = _Handle(callback, args, context)
        self._count += 1
        heappush(self._timers, (self._now_s + delay, self._count, handle))
        return handle

    def call_exception_handler(self, context: Any) -> None:
        error = context.get("exception")
        if error is not None and not isinstance(error, Died):
            self.errors.append(error)

    # Running.

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Runs until `main` is done; raises Deadlock when it never will be."""
        asyncio._set_running_loop(self)
        try:
            task = self.create_task(main)
            done = task.done
            while not done():
                handle = self._next()
                context = handle.context
                process = context.get(PROCESS)
                if process is not None:
                    if not process.alive:
                        continue
                    if process.frozen:
                        process.parked.append(handle)
                        continue
                try:
                    context.run(handle.callback, *handle.args)
                except Died:
                    continue
            result: T = task.result()
            return result
        finally:
            asyncio._set_running_loop(None)

    def _next(self) -> _Handle:
        """The next step; time passes when none is ready."""
        ready, timers = self._ready, self._timers
        while True:
            if ready:
                handle = ready.popleft()
            elif timers:
                when_s, _, handle = heappop(timers)
                if not handle.is_canceled and when_s > self._now_s:
                    self._now_s = when_s
            else:
                raise Deadlock("nothing is left to do")
            if not handle.is_canceled:
                return handle

    def freeze(self, process: Process) -> None:
        """From its next step on, a process stands still, as after SIGSTOP."""
        process.frozen = process.was_frozen = True

    def thaw(self, process: Process) -> None:
        """It goes on with what has come meanwhile, as after SIGCONT."""
        process.frozen = False
        self._ready.extend(process.parked)
        process.parked.clear()

    def close(self) -> None:
        """Closes every coroutine that will never go on."""
        for task in self._tasks:
            if not task.done():
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                coroutine: Any = task.get_coro()
                coroutine.close()
        self._tasks.clear()
        self._ready.clear()
        self._timers.clear()
