"""Right: what happens if memory is short, and the plan's estimate of the peak."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch

from benchmarks.cases import SMOLLM2_135M, Settings, Shape
from benchmarks.gpu.shapes import LLAMA_1B, TINY, batch, batch_rows, row_lengths
from benchmarks.gpu.step import CannotDoError, Finding, Setup, Step
from benchmarks.measure import PeakBytes, peak_bytes, synchronise
from unlearnbench.config import ModelConfig
from unlearnbench.contract.method import SoftPrompt
from unlearnbench.engine.encoded import Encoded
from unlearnbench.engine.optimiser import OptimiserName, make_optimiser
from unlearnbench.engine.soft_prompt import TrainablePrompt
from unlearnbench.engine.unlearning import TrainingSet, UnlearningStep
from unlearnbench.models import memory
from unlearnbench.plugins import registry

PROMPT_TOKENS = 30
# Of what a step keeps beside weights and gradients, so much is left to it.
SHARE_LEFT = 0.6
LARGEST_ERROR = 1e-3
WITHIN = 0.2


def steps(setup: Setup) -> Iterator[Step]:
    """Too little memory, then the estimate for what a training keeps."""
    halved = "the pass is halved, and loss and gradient are those of the whole pass within one part in a thousand"
    yield Step("right", "out of memory in a step", halved, partial(_halves_step, setup))
    yield Step(
        "right",
        "out of memory in an evaluation",
        "the pass is halved, and the same tokens are predicted",
        partial(_halves_evaluation, setup),
    )
    for training in (
        Training("weights", torch.float32),
        Training("weights", torch.bfloat16, "adamw-8bit", checkpointing=True),
        Training("soft prompt", torch.float32),
        Training("soft prompt", torch.bfloat16, checkpointing=True),
    ):
        for shape in (TINY,) if setup.small else (SMOLLM2_135M, LLAMA_1B):
            name = f"peak memory, {shape.name}, {training.title}"
            within = f"within {WITHIN:.0%} of the plan's estimate"
            yield Step("right", name, within, partial(_near_estimate, setup, shape, training))


@contextmanager
def memory_limit(limit: int) -> Iterator[None]:
    """Within the block this process gets so many bytes of the current GPU, at most."""
    total = torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(min(1.0, limit / total))
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def _gpu_settings(setup: Setup) -> Settings:
    if not setup.on_gpu:
        raise CannotDoError("only a GPU's memory can be limited for one process.")
    # Large enough even in small runs for blocks of memory to be small beside it.
    return Settings(4 if setup.small else SMOLLM2_135M.layers, device=setup.device)


def _halves_step(setup: Setup) -> Finding:
    settings = _gpu_settings(setup)
    network = settings.network()
    forget, retain = batch(settings, 32, row_lengths(setup)["Yelp"])
    data = TrainingSet({"forget": forget, "retain": retain})
    items, weights = list(range(data.size)), list(network.parameters())

    def make() -> UnlearningStep:
        model = settings.model(network)
        return UnlearningStep(model, registry().method("ga-gd").item(), data, None, False, model.budget)

    def gradients(step: UnlearningStep) -> tuple[float, torch.Tensor]:
        network.zero_grad(set_to_none=True)
        loss = step(items)
        return loss, torch.cat([weight.grad.flatten() for weight in weights if weight.grad is not None]).cpu()

    loss, gradient = gradients(make())
    kept = peak_bytes(lambda: make()(items), weights)
    network.zero_grad(set_to_none=True)
    size = sum(weight.numel() * weight.element_size() for weight in weights)
    step = make()
    with memory_limit(torch.cuda.memory_allocated() + size + int(SHARE_LEFT * kept)):
        short_loss, short_gradient = gradients(step)
    error = float((short_gradient - gradient).norm() / gradient.norm())
    whole = settings.model(network).budget
    passed = step.budget < whole and error < LARGEST_ERROR and abs(short_loss - loss) <= LARGEST_ERROR * abs(loss)
    return Finding(passed, {"tokens per pass": [whole, step.budget], "error": error, "losses": [loss, short_loss]})


def _halves_evaluation(setup: Setup) -> Finding:
    settings = _gpu_settings(setup)
    network = settings.network().requires_grad_(False)
    model = settings.model(network)
    rows = [row for part in batch(settings, 256, row_lengths(setup)["Yelp"]) for row in part]
    passes = 0

    def predict() -> dict[int, int]:
        nonlocal passes
        found: dict[int, int] = {}
        passes = 0
        for indices, _, logits in model.predict(rows):
            found |= dict(zip(indices, logits.argmax(-1).tolist(), strict=True))
            passes += 1
        return found

    expected = predict()
    whole = passes
    kept = peak_bytes(lambda: float(len(predict())), list(network.parameters()))
    with memory_limit(torch.cuda.memory_allocated() + int(SHARE_LEFT * kept)):
        found = predict()
    return Finding(passes > whole and found == expected, {"passes": [whole, passes]})


@dataclass(frozen=True)
class Training:
    """What is trained, in which precision, and what saves memory."""

    trained: str
    weights: torch.dtype
    optimiser: OptimiserName = "adamw"
    checkpointing: bool = False

    @property
    def title(self) -> str:
        """In a few words."""
        words = [self.trained, str(self.weights).removeprefix("torch."), self.optimiser]
        return ", ".join([*words, *(["checkpointing"] if self.checkpointing else [])])


def _near_estimate(setup: Setup, shape: Shape, training: Training) -> Finding:
    settings = Settings(
        shape.layers,
        torch.bfloat16,
        shape=shape,
        device=setup.device,
        weights=training.weights,
        checkpointing=training.checkpointing,
    )
    forget, retain = batch(settings, batch_rows(setup), row_lengths(setup)["Yelp"])
    measured = measured_peak(torch.device(setup.device), partial(_train, settings, training, forget, retain))
    estimated = memory.peak_bytes(
        memory.ModelSize(settings.parameters, shape.layers, shape.hidden, shape.intermediate),
        ModelConfig(
            dtype=str(training.weights).removeprefix("torch."),  # type: ignore[arg-type]
            gradient_checkpointing=training.checkpointing,
            optimiser=training.optimiser,
        ),
        settings.precision,
        # As the plan counts: a batch of 32 rows as long as the longest, cut into passes.
        min(settings.tokens_per_pass, 32 * max(len(row.ids) for row in (*forget, *retain))),
        training.trained == "weights",
    )
    error = measured / estimated - 1
    return Finding(abs(error) <= WITHIN, {"measured": measured, "estimated": estimated, "error": error})


def _train(settings: Settings, training: Training, forget: list[Encoded], retain: list[Encoded]) -> None:
    """Two steps of gradient difference from nothing, on the weights or on a soft prompt."""
    network = settings.network()
    prompt: TrainablePrompt | None = None
    if training.trained == "soft prompt":
        network.requires_grad_(False)
        prompt = TrainablePrompt(network, SoftPrompt(PROMPT_TOKENS, 128), torch.Generator().manual_seed(0))
    trained = list((prompt or network).parameters())
    model = settings.model(network)
    data = TrainingSet({"forget": forget, "retain": retain})
    step = UnlearningStep(model, registry().method("ga-gd").item(), data, prompt, prompt is not None, model.budget)
    optimiser = make_optimiser(trained, training.optimiser if prompt is None else "adamw", 1e-5, 0.0)
    for _ in range(2):
        optimiser.zero_grad(set_to_none=True)
        step(list(range(data.size)))
        optimiser.step()


def measured_peak(device: torch.device, run: Callable[[], None]) -> int:
    """Most bytes of tensors that were alive at once while `run` ran."""
    if device.type != "cuda":
        with PeakBytes() as counted:
            run()
        return counted.peak
    synchronise(device)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    run()
    synchronise(device)
    return torch.cuda.max_memory_allocated(device) - before
