"""What a person sees: numbered steps with their times, progress, tables, the commands that are run, checked facts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

INDENT = "   "
# Without a terminal, a line now and then is enough.
PLAIN_INTERVAL_S = 5.0
TERMINAL_INTERVAL_S = 0.1
# How long a command may take to end in order once it was asked to.
END_S = 10.0


class DemoFailed(Exception):
    """The demo cannot go on, or something is not as it must be: one clear sentence."""


class Interrupted(Exception):
    """Somebody wants it to end."""


def catch_signals() -> None:
    """Turns the first INT, TERM or HUP into Interrupted; later ones do not disturb the clearing up."""

    def raise_once(number: int, _frame: object) -> None:
        for other in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(other, signal.SIG_IGN)
        raise Interrupted(128 + number)

    # Also where they were ignored: a shell starts background jobs that way.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, raise_once)


def thousands(number: int) -> str:
    """200000 → 200,000."""
    return f"{number:,}"


def size(num_bytes: float) -> str:
    """A number of bytes in its largest unit."""
    for unit in ("B", "KiB", "MiB"):
        if num_bytes < 1024:
            return f"{num_bytes:.0f} {unit}" if unit == "B" else f"{num_bytes:.1f} {unit}"
        num_bytes /= 1024
    return f"{num_bytes:.1f} GiB"


class Console:
    """Writes to stdout. `first_step` is the number of the first step, `began` the demo's own beginning."""

    def __init__(self, first_step: int, began: float) -> None:
        self._next_step = first_step
        self._began = began
        self._step_began: float | None = None
        self._progress_at = 0.0
        self._progress_shown = False
        self._is_terminal = sys.stdout.isatty()
        self.num_checks = 0
        # A terminal that cannot show a character shows a question mark; that must not end the demo.
        with suppress(AttributeError, ValueError):
            sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]

    def elapsed(self) -> float:
        """Seconds since the demo began."""
        return time.time() - self._began

    def step(self, title: str) -> None:
        """Ends the step before, with its time, and begins the next one."""
        self.end_step()
        self._step_began = time.monotonic()
        if not self._is_terminal:
            self._progress_at = self._step_began
        self._line(f"\n{self._bold(f'{self._next_step}. {title}')}")
        self._next_step += 1

    def end_step(self) -> None:
        """Says how long the step took."""
        self.clear_progress()
        if self._step_began is not None:
            self._line(f"{INDENT}[{time.monotonic() - self._step_began:.1f} s]")
            self._step_began = None

    def heading(self, title: str) -> None:
        """A heading that is no step."""
        self.end_step()
        self._line(f"\n{self._bold(title)}")

    def say(self, text: str = "") -> None:
        """Text of the present step."""
        self.clear_progress()
        for line in text.split("\n"):
            self._line(f"{INDENT}{line}".rstrip())

    def progress(self, text: str) -> None:
        """One line that is redrawn on a terminal; without one, a line now and then."""
        now = time.monotonic()
        if now - self._progress_at < (TERMINAL_INTERVAL_S if self._is_terminal else PLAIN_INTERVAL_S):
            return
        self._progress_at = now
        if self._is_terminal:
            width = os.get_terminal_size().columns if self._is_terminal else 80
            print(f"\r\033[K{(INDENT + text)[: max(width - 1, 20)]}", end="", flush=True)
            self._progress_shown = True
        else:
            self._line(INDENT + text)

    def clear_progress(self) -> None:
        """Takes the redrawn line away."""
        if self._progress_shown:
            print("\r\033[K", end="", flush=True)
            self._progress_shown = False

    def table(self, headers: Sequence[str], rows: Sequence[Sequence[str | int]]) -> None:
        """Columns as wide as they must be; numbers to the right."""
        cells = [[thousands(cell) if isinstance(cell, int) else cell for cell in row] for row in rows]
        is_number = [all(isinstance(row[column], int) for row in rows) for column in range(len(headers))]
        widths = [max(len(row[column]) for row in [list(headers), *cells]) for column in range(len(headers))]

        def line(row: Sequence[str]) -> str:
            aligned = (
                cell.rjust(width) if number else cell.ljust(width)
                for cell, width, number in zip(row, widths, is_number, strict=True)
            )
            return "  ".join(aligned)

        self.say(self._bold(line(headers)))
        for row in cells:
            self.say(line(row))

    def check(self, fact: str, actual: object, expected: object) -> None:
        """Tells a fact that was compared, or ends the demo with the difference."""
        if actual != expected:
            raise DemoFailed(f"not as it must be: {fact}: expected {expected}, found {actual}")
        self.num_checks += 1
        self.say(f"{self._green('ok')}  {fact}")

    def command(self, shown: str) -> None:
        """A command line as a person would type it."""
        self.say(self._bold(f"$ {shown}"))

    def _line(self, text: str) -> None:
        print(text, flush=True)

    def _bold(self, text: str) -> str:
        return f"\033[1m{text}\033[0m" if self._is_terminal else text

    def _green(self, text: str) -> str:
        return f"\033[32m{text}\033[0m" if self._is_terminal else text


def run(command: Sequence[str], environment: dict[str, str], *, capture: bool) -> tuple[int, str]:
    """Runs a command to its end: exit code, and stdout if it is captured (stderr goes with it, for people).

    When the demo is interrupted the command is ended before anything else happens.
    """
    output = subprocess.PIPE if capture else None
    errors = subprocess.STDOUT if capture else None
    process = subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, text=True
    )
    try:
        text, _ = process.communicate()
    except BaseException:
        end(process)
        raise
    return process.returncode, text or ""


def end(process: subprocess.Popen[str]) -> None:
    """TERM, and KILL when that was in vain."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
