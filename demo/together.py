"""Train many models at once on one device: `train_together`.

A step of a tiny model is some hundred tiny kernels, and a graphics card would wait for them to be
launched one by one. On CUDA a whole step (forward, backward, clipping, AdamW, running average) is
captured once as a graph, and a step costs one launch; each training has a stream and a thread of
its own, and what it draws is drawn ahead by others, on the CPU, as `Trainer.batch` draws it. On a
CPU the same runs without graphs.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Event

import torch

from tools.gpu_part import FAULTS

from .networks import load_host
from .train import LEARNING_RATE, WEIGHT_DECAY, Trainer, Training, decay, learning_rate

AT_ONCE, DRAWERS, AHEAD = 8, 12, 3
"""Trainings at once, threads that draw for them, and chunks that are drawn ahead for each."""
CHUNK = 25
"""Steps that are drawn, and brought to the device, together."""
WARM_UP = 3
"""Steps before one is captured, as torch wants it, for each of two tries; they count."""
READ_EVERY, SAVE_EVERY = 500, 1000
"""Steps; rounded up to a chunk."""
Average = dict[str, torch.Tensor]


def train_together(
    trainings: Sequence[Training],
    folder: Path,
    device: str,
    finish: Callable[[Training, Average], None],
    *,
    at_once: int | None = None,
    deadline: float = math.inf,
    say: Callable[[str], None] = print,
) -> dict[str, str]:
    """Train in this order; why those that are not finished are not, by name.

    folder: for checkpoints, from which it goes on. finish: gets a training with its averaged
    weights on the CPU, in the thread that trained it. at_once: how many; 8, and one on a CPU.
    deadline: by `time.monotonic`; then all is saved. What another one starts with is trained before
    it. A loss that is NaN ends a training, and is told; its weights are not saved.
    """
    if not trainings:
        return {}
    load_host()  # as on a CPU: it only lends its modules
    at_once = at_once or (AT_ONCE if device == "cuda" else 1)
    if device == "cuda":
        torch.set_num_threads(1)
        torch.set_float32_matmul_precision("high")  # TF32, as in convolutions
    stop = Event()

    def is_over() -> bool:
        return stop.is_set() or time.monotonic() >= deadline

    queue = _Queue(list(trainings))
    with (
        ThreadPoolExecutor(1) as builder,
        ThreadPoolExecutor(DRAWERS) as drawers,
        ThreadPoolExecutor(at_once) as lanes,
    ):
        try:
            while queue.waiting or queue.running:
                if is_over():
                    queue.close("not begun in time")
                queue.build_ahead(partial(builder.submit, Trainer, folder=folder))
                if len(queue.running) < at_once and (training := queue.next()):
                    try:
                        lane = Lane(queue.take(training), device, drawers, say)
                        queue.running[lanes.submit(lane.run, is_over, finish)] = training
                        del lane  # or its pictures would stay
                    except FAULTS as error:
                        queue.ended(training, _words(error))
                elif queue.running:
                    for future in wait(queue.running, return_when=FIRST_COMPLETED).done:
                        queue.ended(queue.running.pop(future), future.result())
        finally:
            stop.set()  # Ctrl+C: all is saved
    for name, reason in queue.left.items():
        say(f"{name}: {reason}")
    return queue.left


@dataclass
class _Queue:
    """What is to be trained, what is trained now, and why the others are not finished.

    built: by name, those that are begun ahead: the next one and the one after it.
    """

    waiting: list[Training]
    running: dict[Future[str], Training] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)
    built: dict[str, Future[Trainer]] = field(default_factory=dict)

    def ready(self) -> list[Training]:
        """Those that wait for no other one."""
        unfinished = {each.name for each in (*self.waiting, *self.running.values())}
        return [training for training in self.waiting if training.start not in unfinished]

    def next(self) -> Training | None:
        """Which comes next, if one is ready."""
        return next(iter(self.ready()), None)

    def build_ahead(self, build: Callable[[Training], Future[Trainer]]) -> None:
        """Have the pictures of those that come next composed meanwhile."""
        for training in self.ready()[:2]:
            if training.name not in self.built:
                self.built[training.name] = build(training)

    def take(self, training: Training) -> Trainer:
        """One that was built; it waits no longer. Raises what building it raised."""
        self.waiting.remove(training)
        return self.built.pop(training.name).result()

    def ended(self, training: Training, reason: str) -> None:
        """One is done; reason: why it is not finished, empty if it is."""
        if reason:
            self.left[training.name] = reason
            for other in [each for each in self.waiting if each.start == training.name]:
                self.waiting.remove(other)
                self.ended(other, f"it starts with {training.name}, which is not finished")

    def close(self, reason: str) -> None:
        """Begin nothing more."""
        self.left |= {training.name: reason for training in self.waiting}
        self.waiting = []


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"


class Lane:
    """One training on a stream of its own.

    What is drawn for a chunk of steps lies at fixed addresses on the device, with the learning
    rates and the shares by which the average moves; `place` says which step of them is next.
    """

    def __init__(
        self, trainer: Trainer, device: str, drawers: Executor, say: Callable[[str], None]
    ) -> None:
        self.trainer, self.cuda, self.say = trainer, device == "cuda", say
        self.stream = torch.cuda.Stream() if self.cuda else None
        self.graph: torch.cuda.CUDAGraph | None = None
        self.drawers, self.drawn = drawers, trainer.step
        self.ahead: deque[Future[tuple[torch.Tensor, ...]]] = deque()
        self.in_chunk, self.since = 0, 0
        with self._on_stream():
            move(trainer, device)
            self.weights = [p.detach() for p in trainer.model.parameters()]
            self.place = torch.zeros(1, dtype=torch.long, device=device)
            self.total = torch.zeros((), device=device)
            self.held = tuple(
                torch.empty((CHUNK, *each.shape[1:]), dtype=each.dtype, device=device)
                for each in draw(trainer, trainer.step, 1)
            )
            if self.cuda and trainer.step + 2 * WARM_UP < trainer.training.steps:
                self._capture()

    def run(self, is_over: Callable[[], bool], finish: Callable[[Training, Average], None]) -> str:
        """Train to the end; why it is not finished, empty if it is."""
        try:
            with self._on_stream():
                self._train(is_over)
                trainer, steps = self.trainer, self.trainer.training.steps
                trainer.save()
                if trainer.step < steps:
                    return f"stopped after {trainer.step} of {steps} steps"
                finish(trainer.training, {n: v.cpu() for n, v in trainer.average.items()})
                self.say(f"{trainer.training.name} is trained, {steps} steps")
        except FAULTS as error:
            return _words(error)
        return ""

    def _train(self, is_over: Callable[[], bool]) -> None:
        """Steps until the end, or until time is over. Raises ArithmeticError where a loss or a
        weight is not finite."""
        trainer, steps = self.trainer, self.trainer.training.steps
        began, first, previous = time.monotonic(), trainer.step, self._mark()
        while trainer.step < steps and not is_over():
            before = trainer.step
            self._run_chunk()
            previous.synchronize()  # so that no more than two chunks are under way
            previous = self._mark()
            if _passed(before, trainer.step, READ_EVERY):
                loss = self._read()
                rate = 1000 * (time.monotonic() - began) / (trainer.step - first)
                place = f"{trainer.training.name} {trainer.step}/{steps}"
                self.say(f"{place} loss {loss:.4f} {rate:.2f} ms/step")
            if _passed(before, trainer.step, SAVE_EVERY):
                trainer.save()
        self._read()
        if not all(bool(each.isfinite().all()) for each in self.weights):
            raise ArithmeticError(f"a weight is NaN or infinite after {trainer.step} steps")

    def _on_stream(self) -> AbstractContextManager[object]:
        return torch.cuda.stream(self.stream) if self.cuda else nullcontext()

    def _mark(self) -> torch.cuda.Event | _Past:
        """An event at this place of the stream, for the thread to sleep on."""
        if not self.cuda:
            return _Past()
        event = torch.cuda.Event(blocking=True)
        event.record(self.stream)
        return event

    def _read(self) -> float:
        """The mean loss since the last reading; waits for the stream. Raises ArithmeticError if
        it is not finite."""
        if self.stream:
            self.stream.synchronize()
        loss = self.total.item() / max(1, self.since)
        if not math.isfinite(loss):
            raise ArithmeticError(f"the loss is {loss} after {self.trainer.step} steps")
        self.total.zero_()
        self.since = 0
        return loss

    def _run_chunk(self) -> None:
        """What is left of the chunk at hand, or the next one."""
        if not self.in_chunk:
            self._fetch()
        for _ in range(self.in_chunk):
            self._one_step()

    def _one_step(self) -> None:
        if self.graph:
            self.graph.replay()
        else:
            self._step()
        self.trainer.step += 1
        self.in_chunk -= 1
        self.since += 1

    def _fetch(self) -> None:
        """Bring the next chunk to the device, and have further ones drawn."""
        steps = self.trainer.training.steps
        while len(self.ahead) < AHEAD and self.drawn < steps:
            count = min(CHUNK, steps - self.drawn)
            self.ahead.append(self.drawers.submit(draw, self.trainer, self.drawn, count, self.cuda))
            self.drawn += count
        chunk = self.ahead.popleft().result()
        self.in_chunk = len(chunk[0])
        for held, new in zip(self.held, chunk, strict=True):
            held[: self.in_chunk].copy_(new, non_blocking=True)
        self.place.zero_()

    def _step(self) -> None:
        """One step from what is held, without waiting for the device: what is captured."""
        *batch, rate, share = (h.index_select(0, self.place).squeeze(0) for h in self.held)
        for group in self.trainer.optimiser.param_groups:
            group["lr"].copy_(rate)
        self.total += self.trainer.descend(*batch)
        average = list(self.trainer.average.values())
        apart = torch._foreach_sub(self.weights, average)
        torch._foreach_mul_(apart, share)
        torch._foreach_add_(average, apart)
        self.place += 1

    def _capture(self) -> None:
        """Capture a step after some real ones; where it cannot be, steps are run one by one."""
        self._fetch()
        for is_careful in (False, True):
            torch.backends.cudnn.benchmark = not is_careful
            torch.backends.cudnn.benchmark_limit = 4
            torch.backends.cuda.enable_mem_efficient_sdp(not is_careful)
            for _ in range(WARM_UP):
                self._one_step()
            torch.cuda.synchronize()
            # So that a step makes its gradients anew, in the graph's own memory.
            self.trainer.optimiser.zero_grad(set_to_none=True)
            graph = torch.cuda.CUDAGraph()
            try:
                # Other threads launch and copy meanwhile: what they do is not forbidden.
                with torch.cuda.graph(graph, stream=self.stream, capture_error_mode="thread_local"):
                    self._step()
            except RuntimeError as error:
                torch.cuda.set_stream(self.stream)  # a capture that fails leaves it as it was
                self.trainer.optimiser.zero_grad(set_to_none=True)
                self.say(f"{self.trainer.training.name}: no graph of a step: {_words(error)}")
            else:
                self.graph = graph
                return
        self.say(f"{self.trainer.training.name}: trained without a graph, slowly.")


class _Past:
    """An event on a device that never is behind."""

    def synchronize(self) -> None:
        """Nothing is to be waited for."""


def computed_on(device: str) -> str:
    """What weights were computed on, for their file."""
    return f"{torch.cuda.get_device_name()}, TF32" if device == "cuda" else "CPU, float32"


def draw(trainer: Trainer, first: int, count: int, pin: bool = False) -> tuple[torch.Tensor, ...]:
    """What `count` steps from `first` on need, stacked: pictures, noise, times, words, learning
    rates, and the shares by which the average goes to the new weights.

    pin: into memory from which a device copies while others work.
    """
    steps = range(first, first + count)
    batches = zip(*(trainer.batch(step) for step in steps), strict=True)
    rates = torch.tensor([learning_rate(step, trainer.training.steps) for step in steps])
    shares = torch.tensor([1 - decay(step) for step in steps])
    drawn = (*(torch.stack(each) for each in batches), rates, shares)
    return tuple(each.pin_memory() for each in drawn) if pin else drawn


def move(trainer: Trainer, device: str) -> None:
    """Bring a training to a device, with an optimiser whose steps can be captured: its learning
    rate is a number on the device."""
    trainer.device = device
    trainer.model.to(device)
    trainer.average = {name: value.to(device) for name, value in trainer.average.items()}
    before = trainer.optimiser.state_dict()["state"]
    trainer.optimiser = torch.optim.AdamW(
        trainer.model.parameters(),
        torch.tensor(LEARNING_RATE, device=device),
        weight_decay=WEIGHT_DECAY,
        fused=True,
        capturable=device == "cuda",
    )
    groups = trainer.optimiser.state_dict()["param_groups"]
    trainer.optimiser.load_state_dict({"state": before, "param_groups": groups})


def _passed(before: int, after: int, every: int) -> bool:
    return before // every < after // every
