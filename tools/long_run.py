"""The long run: hundreds of prompts on a real ComfyUI, some of them bad, cancelled or killed.

    python dev.py test --long run [--seed N]

Everything is drawn from the seed. Each prompt must end as it was meant to; the plain picture stays
the same bit by bit; what was saved can be read; and the server's memory does not grow.
"""

from __future__ import annotations

import argparse
import collections
import io
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from PIL import Image
from scipy.stats import theilslopes

from detour.classifier.load import load_classifier
from detour.edit.file import load_edits

from . import long_prompts
from .failure import in_one_sentence, say
from .long_prompts import Prompt
from .process import stop_like_ctrl_c
from .server import ComfyServer, PromptFailed, ServerDied

ROOT = Path(__file__).resolve().parent.parent
PROMPTS = 300
KILLS = 3
EVERY = 25
"""Prompts between two plain ones, and between two lines of what is known so far."""
SHARES = {"good": 64, "failing": 14, "refused": 6, "interrupted": 10, "deleted": 6}
"""How the others are shared out, in percent."""
WARM = 40
"""Prompts after which the last server's memory is watched."""
MOST_TREND = 0.15
"""MiB a prompt that memory may grow, as the median slope of all pairs."""
MOST_GROWTH = 64.0
"""MiB between the medians of the first and of the last prompts that are watched."""
ENDS = 20
WAIT = 300.0


def make_plan(seed: int, prompts: int) -> list[str]:
    """What is done, in order: `plain` first, last and in between, kills early, the rest drawn."""
    draw = random.Random(f"plan {seed}")
    plan = draw.choices(list(SHARES), list(SHARES.values()), k=prompts)
    for place in draw.sample(range(5, max(6 + KILLS, prompts // 4)), KILLS):
        plan[place] = "killed"
    for place in (*range(0, prompts, EVERY), prompts - 1):
        plan[place] = "plain"
    return plan


@dataclass
class LongRun:
    """A server, started again after each kill, and what was found."""

    host: Path
    base: Path
    draw: random.Random
    server: ComfyServer | None = None
    picture: bytes = b""
    memory: list[float] = field(default_factory=list)
    found: list[str] = field(default_factory=list)
    ended: collections.Counter[str] = field(default_factory=collections.Counter)

    def running(self) -> ComfyServer:
        """The server, started if it is not there; memory is watched from then on."""
        if self.server is None:
            server = ComfyServer(self.host, {"detour": ROOT}, base=self.base, timeout=600)
            self.server = server.__enter__()
            self.memory.clear()
        return self.server

    def stop(self) -> None:
        """Stop the server, if it is there."""
        if self.server is not None:
            self.server.stop()
            self.server = None

    def process(self) -> psutil.Process:
        """The process of main.py, behind its guard."""
        port = str(self.running().port)
        for one in psutil.Process().children(recursive=True):
            words = one.cmdline()
            if len(words) > 2 and words[1].endswith("main.py") and port in words:
                return one
        raise ServerDied("There is no process of ComfyUI.")

    def do(self, kind: str) -> None:
        """One entry of the plan. What is not as it should be is kept in `found`."""
        try:
            wrong = getattr(self, kind)()
        except PromptFailed as error:
            wrong = f"{error} {error.details}"
        except ServerDied as error:
            wrong = f"{error} {error.details}"
            self.stop()
        self.ended[kind] += 1
        if wrong:
            self.found.append(f"{kind}: {wrong}")
            say(f"  WRONG: {kind}: {wrong}")
        if self.server is not None:
            self.memory.append(self.process().memory_info().rss / 2**20)

    def plain(self) -> str:
        """The plain picture, which is computed anew and like the first one."""
        ran: list[Any] = []

        def note(message: dict[str, Any]) -> None:
            if message.get("type") == "executing":
                ran.append(message["data"].get("node"))

        outputs = self.running().run(long_prompts.plain(), note, WAIT)
        (place, *_) = outputs["save"]["images"]
        data = self.running().view(place["filename"], place["subfolder"], place["type"])
        picture = Image.open(io.BytesIO(data)).tobytes()
        self.picture = self.picture or picture
        if "sampler" not in ran:
            return "the plain picture came from the host's cache, and nothing was compared."
        return "" if picture == self.picture else "the plain picture is another than the first."

    def good(self) -> str:
        """A prompt that ends well."""
        name = self.draw.choice(list(long_prompts.GOOD))
        self.running().run(long_prompts.GOOD[name](self.draw), timeout=WAIT)
        return ""

    def failing(self) -> str:
        """A prompt that a node ends with its sentence."""
        prompt, told = long_prompts.failing(self.draw)
        try:
            self.running().run(prompt, timeout=WAIT)
        except PromptFailed as error:
            said = error.exception_message
            good = told in said and said.endswith(".") and "\n" not in said
            return "" if good else f"a bad prompt ended with {said or error!r}."
        return f"a prompt that should say {told!r} ended well."

    def refused(self) -> str:
        """A prompt that the host refuses."""
        try:
            self.running().run(long_prompts.refused(self.draw), timeout=WAIT)
        except PromptFailed as error:
            return "" if error.node_errors else f"a prompt was not refused, but: {error}"
        return "a prompt that should be refused ended well."

    def interrupted(self) -> str:
        """A prompt that is stopped by the host's button while it runs."""
        server = self.running()
        prompt = long_prompts.endless(self.draw)
        try:
            server.run(prompt, self._after(self.draw.randrange(1, 6), server.interrupt), WAIT)
        except PromptFailed as error:
            return "" if "interrupted" in str(error) else str(error)
        return "a prompt was to be interrupted and came to its end."

    def deleted(self) -> str:
        """A prompt that is taken out of the queue while another one runs."""
        server = self.running()
        first = self._queued(long_prompts.endless(self.draw))
        second = self._queued(long_prompts.classify(self.draw))
        server.post_json("/queue", {"delete": [second]})
        queue = server.get_json("/queue")
        left = {entry[1] for entry in (*queue["queue_running"], *queue["queue_pending"])}
        deadline = time.monotonic() + WAIT
        while first not in server.get_json("/history"):
            server.interrupt()
            if time.monotonic() > deadline:
                return "a prompt could not be interrupted."
            time.sleep(0.1)
        ran = second in server.get_json("/history")
        return "a prompt was deleted and is still there." if ran or second in left else ""

    def killed(self) -> str:
        """The server's process killed while it computes or saves, and started again."""
        server = self.running()
        saves = self.draw.random() < 0.5
        prompt = long_prompts.saving(self.draw) if saves else long_prompts.endless(self.draw)
        kill = self._when_saving if saves else self._after(self.draw.randrange(1, 6), self._kill)
        try:
            server.run(prompt, kill, WAIT)
        except (PromptFailed, ServerDied):
            server.stop()
            self.server = None
        if self.server is not None:
            return "the server was killed and went on."
        return self.unreadable()

    def unreadable(self) -> str:
        """Files that were saved and cannot be read; empty where there are none."""
        readers = {"*.edit.json": load_edits, "long*.safetensors": load_classifier}
        for pattern, read in readers.items():
            for file in self.base.rglob(pattern):
                try:
                    read(file)
                except (OSError, ValueError) as error:
                    return f"{file.name} was saved and cannot be read: {error}"
        return ""

    def _after(self, steps: int, act: Callable[[], None]) -> Callable[[dict[str, Any]], None]:
        """Calls `act` when the sampler has done so many steps, once."""
        left = [steps]

        def look(message: dict[str, Any]) -> None:
            if message.get("type") == "progress" and left:
                left[0] -= 1
                if left[0] == 0:
                    left.clear()
                    act()

        return look

    def _when_saving(self, message: dict[str, Any]) -> None:
        if message.get("type") == "executing" and message["data"].get("node") == "classifier":
            time.sleep(self.draw.uniform(0, 0.02))
            self._kill()

    def _kill(self) -> None:
        os.kill(self.process().pid, getattr(signal, "SIGKILL", signal.SIGTERM))

    def _queued(self, prompt: Prompt) -> str:
        status, answer = self.running().post_json("/prompt", {"prompt": prompt})
        if status != 200:
            raise PromptFailed(f"ComfyUI refused a prompt (status {status}): {answer}")
        return str(answer["prompt_id"])


def judge(run: LongRun) -> None:
    """Put into `found` what is wrong at the end: files, or memory that grew."""
    if wrong := run.unreadable():
        run.found.append(wrong)
    watched = run.memory[WARM:]
    if len(watched) < 2 * ENDS:
        return
    slope = theilslopes(watched).slope
    begin, end = statistics.median(watched[:ENDS]), statistics.median(watched[-ENDS:])
    say(
        f"Memory over {len(watched)} prompts after {WARM}: {begin:.0f} MiB to {end:.0f} MiB "
        f"({end - begin:+.1f}, at most {MOST_GROWTH:g}), trend {slope:+.3f} MiB a prompt (at most "
        f"{MOST_TREND:g})"
    )
    if slope > MOST_TREND or end - begin > MOST_GROWTH:
        run.found.append("the server's memory grew.")


def run_prompts(run: LongRun, plan: Sequence[str]) -> None:
    """Do the plan, and say every now and then how far it is."""
    begin = time.monotonic()
    for number, kind in enumerate(plan, 1):
        run.do(kind)
        if number % EVERY == 0:
            told = ", ".join(f"{count} {name}" for name, count in sorted(run.ended.items()))
            room = f"{run.memory[-1]:.0f} MiB" if run.memory else "no server"
            say(
                f"{number} of {len(plan)} prompts, {time.monotonic() - begin:.0f} s: {told}; {room}"
            )


@in_one_sentence
def main(arguments: Sequence[str]) -> int:
    """Do the long run; the exit status: 1 where anything was not as it should be."""
    parser = argparse.ArgumentParser(prog="dev.py test --long run", description=__doc__)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--cases", type=int, default=PROMPTS, help="prompts; default %(default)s")
    options = parser.parse_args(arguments)
    host = Path(os.environ["COMFYUI_PATH"])
    say(f"Long run: {options.cases} prompts from seed {options.seed}, {KILLS} kills among them")
    with tempfile.TemporaryDirectory(prefix="detour-long-") as folder:
        run = LongRun(host, Path(folder).resolve(), random.Random(f"run {options.seed}"))
        try:
            run_prompts(run, make_plan(options.seed, options.cases))
            judge(run)
        finally:
            run.stop()
    for wrong in run.found:
        say(f"WRONG: {wrong}")
    say(f"Long run: {sum(run.ended.values())} prompts, {len(run.found)} not as they should be")
    return 1 if run.found else 0


if __name__ == "__main__":
    stop_like_ctrl_c()
    sys.exit(main(sys.argv[1:]))
