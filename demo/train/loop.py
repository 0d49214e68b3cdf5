"""What the three trainings share: optimizers, learning rate, running average, validation, checkpoints.

A training is a `Run` of steps. Everything random in a step is a function of (seed, step), so that a run that was stopped
goes on as if it had not been.
"""

from __future__ import annotations

import argparse
import copy
import os
import random
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

ADAM_RATE, MUON_RATE, WEIGHT_DECAY = 1e-3, 2.5e-3, 0.05
WARMUP, AVERAGE_DECAY = 100, 0.998
REPORT_EVERY, SAVE_SECONDS = 25, 60


def arguments(description: str, steps: int) -> argparse.Namespace:
    """The command line of a training."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--cache", type=Path, required=True, help="downloads and rasterised icons")
    parser.add_argument("--run", type=Path, required=True, help="folder of the checkpoints")
    parser.add_argument("--begin", type=Path, help="model folder whose weights a new run begins with")
    parser.add_argument("--steps", type=int, default=steps)
    parser.add_argument("--decay-from", type=float, default=0.7, help="share of the steps before the rate falls")
    parser.add_argument("--rate", type=float, default=1.0, help="scales the learning rate")
    parser.add_argument("--threads", type=int, default=2, help="of the training itself")
    parser.add_argument("--workers", type=int, default=1, help="processes that make batches; cuda needs one at least")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--scale", type=int, default=1, help="times as many pictures in a step")
    parser.add_argument("--compile", action="store_true", help="torch.compile the blocks")
    chosen = parser.parse_args()
    if chosen.device == "cuda" and not chosen.workers:
        parser.error("--device cuda needs --workers")
    torch.set_num_threads(chosen.threads)
    chosen.run.mkdir(parents=True, exist_ok=True)
    return chosen


def optimizers(model: nn.Module, inner: list[nn.Parameter], rate: float = 1.0,
               muon_rate: float = 1.0) -> list[torch.optim.Optimizer]:
    """Muon for the `inner` matrices (Jordan et al. 2024), AdamW for all other parameters; `rate` scales both,
    `muon_rate` the first."""
    ids = {id(p) for p in inner}
    rest = [p for p in model.parameters() if p.requires_grad and id(p) not in ids]
    groups = [
        {"params": [p for p in rest if p.ndim >= 2], "weight_decay": WEIGHT_DECAY},
        {"params": [p for p in rest if p.ndim < 2], "weight_decay": 0.0},
    ]
    muon = torch.optim.Muon(inner, lr=rate * muon_rate * MUON_RATE, weight_decay=WEIGHT_DECAY, adjust_lr_fn="match_rms_adamw")
    adam = torch.optim.AdamW(groups, lr=rate * ADAM_RATE, betas=(0.9, 0.98), fused=True)
    for solver in (muon, adam):
        for group in solver.param_groups:
            group["peak"] = group["lr"]
    return [muon, adam]


def rate_factor(step: int, steps: int, decay_from: float) -> float:
    """Warm-up, plateau, then linear to zero."""
    hold = decay_from * steps
    return min(1.0, (step + 1) / WARMUP, (steps - step) / max(1.0, steps - hold))


class Run:
    """Weights, their running average, optimizers and the step; in `checkpoint.pt` every minute. `best.pt` has the
    average that `validate` liked best so far: it returns a number, higher is better, and a text about it. `blocks` are what
    `--compile` compiles.

    On another device than the CPU, everything that a step makes is made there; batches and validation stay with the CPU.
    """

    def __init__(self, model: nn.Module, solvers: list[torch.optim.Optimizer], options: argparse.Namespace,
                 validate: Callable[[nn.Module], tuple[float, str]], every: int, blocks: Iterable[nn.Module]):
        self.model, self.solvers, self.options = model, solvers, options
        self.device = torch.device(options.device)
        self.validate, self.every = validate, every
        self.step, self.best, self.steps = 0, -1.0, options.steps
        self.checkpoint = options.run / "checkpoint.pt"
        if options.begin and not self.checkpoint.exists():
            begin(model, options.begin)
        model.to(self.device)  # the solvers hold the same parameters
        self.average = copy.deepcopy(model)
        if options.compile:
            for block in blocks:
                block.compile()
        if self.checkpoint.exists():
            state = torch.load(self.checkpoint, weights_only=True, map_location=self.device)
            self.model.load_state_dict(state["model"])
            self.average.load_state_dict(state["average"])
            for solver, saved in zip(self.solvers, state["optimizers"], strict=True):
                solver.load_state_dict(saved)
            self.step, self.best = state["step"], state["best"]
        self.totals: dict[str, float] = {}
        self.since = self.saved = time.perf_counter()
        torch.set_default_device(self.device)

    def batches(self, source: Dataset, seed: str) -> Iterator:
        """The batches of all steps that are left; the generator is seeded for each."""
        workers = self.options.workers
        loader = DataLoader(source, batch_size=None, sampler=range(self.step, self.steps), num_workers=workers,
                            prefetch_factor=3 if workers else None, worker_init_fn=on_cpu)
        for batch in loader:
            torch.manual_seed(random.Random(f"{seed}-{self.step}").getrandbits(63))
            factor = rate_factor(self.step, self.steps, self.options.decay_from)
            for solver in self.solvers:
                for group in solver.param_groups:
                    group["lr"] = group["peak"] * factor
            yield moved(batch, self.device)

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def update(self, **values: float) -> None:
        """One step with the gradients there are; `values` are reported as means."""
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for solver in self.solvers:
            solver.step()
            solver.zero_grad()
        decay = min(AVERAGE_DECAY, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.model.parameters()), 1 - decay)
        self.step += 1
        for name, value in values.items():
            self.totals[name] = self.totals.get(name, 0.0) + value
        last = self.step == self.steps
        if self.step % REPORT_EVERY == 0:
            self.report()
        if self.step % self.every == 0 or last:
            self.consider()
        if last or time.perf_counter() - self.saved > SAVE_SECONDS:
            self.save()

    def report(self) -> None:
        now = time.perf_counter()
        means = "  ".join(f"{name} {total / REPORT_EVERY:.3f}" for name, total in self.totals.items())
        print(f"{self.step}/{self.steps}  {means}  {(now - self.since) / REPORT_EVERY:.2f} s/step", flush=True)
        self.totals, self.since = {}, now

    def consider(self) -> None:
        """Keeps the average if it is the best so far."""
        training = self.average.training
        with torch.device("cpu"):
            average = self.average if self.device.type == "cpu" else copy.deepcopy(self.average).cpu()
            value, text = self.validate(average.eval())
        self.average.train(training)
        better = value > self.best
        print(f"{self.step}/{self.steps}  validation {text}{'  best' if better else ''}", flush=True)
        if better:
            self.best = value
            write(self.options.run / "best.pt", average=self.average.state_dict(), step=self.step)

    def save(self) -> None:
        self.saved = time.perf_counter()
        write(self.checkpoint, model=self.model.state_dict(), average=self.average.state_dict(), step=self.step,
              best=self.best, optimizers=[solver.state_dict() for solver in self.solvers])


def on_cpu(_worker: int) -> None:
    """Worker processes inherit the device of the training."""
    torch.set_default_device("cpu")


def moved(batch, device: torch.device):
    """A batch, whatever holds its tensors, on `device`."""
    if isinstance(batch, Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, dict):
        return {name: moved(value, device) for name, value in batch.items()}
    return type(batch)(moved(value, device) for value in batch)


def begin(model: nn.Module, folder: Path) -> None:
    """Takes over an exported model's weights. What only `model` has, deeper blocks for example, stays as it is."""
    missing, unexpected = model.load_state_dict(
        {name: tensor.float() for name, tensor in load_file(folder / "model.safetensors").items()}, strict=False)
    assert not unexpected, unexpected
    print("not in", folder, *missing, flush=True)


def exported(run: Path) -> tuple[dict[str, Tensor], int]:
    """The weights to export, and their step: those that validation liked best, or the last."""
    path = next(p for p in (run / "best.pt", run / "checkpoint.pt") if p.exists())
    state = torch.load(path, weights_only=True, map_location="cpu")
    return state["average"], state["step"]


def write(path: Path, **state) -> None:
    """Written beside and renamed, so that a stop in the middle leaves the old file."""
    torch.save(state, path.with_suffix(".new"))
    os.replace(path.with_suffix(".new"), path)

