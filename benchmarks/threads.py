"""What threads bring to models of several sizes, and what a busy neighbour costs.

``python -m benchmarks.threads scaling`` times one training step at each number of threads;
``python -m benchmarks.threads neighbour`` times a run alone, and beside a process that keeps a core busy.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from unlearnbench.models.threads import cores, wait_passively

# Hidden width, layers, heads, vocabulary; the first is preset quick's model, the last SmolLM2-135M's shape.
SHAPES = {
    "1M": (128, 4, 4, 1200),
    "5M": (256, 6, 4, 4000),
    "20M": (384, 10, 6, 12000),
    "60M": (512, 14, 8, 32000),
    "135M": (576, 30, 9, 49152),
}
# Undisturbed work must not get slower than this beside one busy process.
MOST = 1.5


def scaling(repeats: int) -> None:
    """Best time of a step of all weights, 16 rows of 40 tokens, in the precision that `auto` chooses."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from unlearnbench.config import ModelConfig
    from unlearnbench.models.loading import compute_dtype

    dtype = compute_dtype(ModelConfig(), torch.device("cpu"))
    counts = sorted({1, *(2**power for power in range(1, 8) if 2**power <= cores()), cores()})
    print(f"| weights | {' | '.join(f'{count} threads, ms' for count in counts)} | parallel share |")
    print("|---|" + "---:|" * (len(counts) + 1))
    for name, (hidden, layers, heads, vocabulary) in SHAPES.items():
        torch.manual_seed(0)
        shape = LlamaConfig(
            vocab_size=vocabulary,
            hidden_size=hidden,
            intermediate_size=8 * hidden // 3,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            tie_word_embeddings=True,
        )
        network = LlamaForCausalLM(shape)
        tokens = torch.randint(vocabulary, (16, 40))
        best = dict.fromkeys(counts, float("inf"))
        for _ in range(repeats):
            for count in counts:
                torch.set_num_threads(count)
                start = time.perf_counter()
                with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
                    states = network.model(tokens).last_hidden_state
                    loss = network.lm_head(states[:, -1]).logsumexp(-1).mean()
                loss.backward()
                network.zero_grad(set_to_none=True)
                best[count] = min(best[count], time.perf_counter() - start)
        share = 2 * (1 - best[2] / best[1]) if 2 in best else float("nan")
        print(f"| {name} | " + " | ".join(f"{1000 * best[count]:.1f}" for count in counts) + f" | {share:.2f} |")


def neighbour(arguments: list[str]) -> int:
    """Runs the command alone, then beside a busy process; fails if that takes more than `MOST` times as long."""
    seconds = {}
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "unlearnbench", "run", "--quiet", *arguments]
        # The first run also fills the cache, so that the two that are timed do the same.
        for name in ("warm-up", "alone", "neighbour"):
            busy = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if name == "neighbour" else None
            try:
                start = time.perf_counter()
                environment = {**os.environ, "UNLEARNBENCH_CACHE": str(Path(scratch) / "cache")}
                results = ["--results", str(Path(scratch) / name)]
                subprocess.run([*command, *results], env=environment, check=True, stdout=subprocess.DEVNULL)
                seconds[name] = time.perf_counter() - start
            finally:
                if busy is not None:
                    busy.kill()
                    busy.wait()
    ratio = seconds["neighbour"] / seconds["alone"]
    print(f"alone {seconds['alone']:.1f} s, beside a busy process {seconds['neighbour']:.1f} s: {ratio:.2f} times")
    return int(ratio > MOST)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("scaling").add_argument("--repeats", type=int, default=10)
    commands.add_parser("neighbour", help="further arguments are those of `unlearnbench run`")
    options, arguments = parser.parse_known_args()
    if options.command == "neighbour":
        return neighbour(arguments or ["--tasks", "sst2", "--methods", "npo-rt"])
    wait_passively()
    scaling(options.repeats)
    return 0


if __name__ == "__main__":
    sys.exit(main())
