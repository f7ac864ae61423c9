"""Makes the tokenizer and the weights of the bundled model, in about half an hour on two CPU cores.

    python -m pretraining unlearnbench/models/tiny

docs/quick.md says why there are three stages.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from pretraining.matching import Matching
from pretraining.tokens import VOCABULARY, Row, make_tokenizer, text_row
from pretraining.training import learn_answers, learn_induction

INDUCTION_STEPS, MOST_MATCHING_STEPS, INSTRUCTION_STEPS = 1400, 2500, 1300
MATCHING_ENOUGH = 0.88
# Share of the second stage's sequences in the third, so that matching is not forgotten.
REHEARSAL = 0.15


def make_model() -> LlamaForCausalLM:
    """Eight small heads a layer, so that some are selective enough for a prompt to steer; tied, to copy early."""
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=128,
            intermediate_size=384,
            num_hidden_layers=4,
            num_attention_heads=8,
            num_key_value_heads=8,
            max_position_embeddings=1024,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=0,
            pad_token_id=0,
        )
    )


def main() -> None:
    """Runs the three stages and writes the model, its weights in float16."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, help="folder for the model and its tokenizer")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    generator = random.Random(given.seed)
    torch.manual_seed(given.seed)
    tokenizer = make_tokenizer(generator)
    model = make_model()
    learn_induction(model, torch.Generator().manual_seed(given.seed), INDUCTION_STEPS)
    matching = Matching(tokenizer)
    learn_answers(model, "matching", generator, matching.row, MOST_MATCHING_STEPS, MATCHING_ENOUGH)

    def instruction(generator: random.Random) -> Row:
        return matching.row(generator) if generator.random() < REHEARSAL else text_row(tokenizer, generator)

    learn_answers(model, "instructions", generator, instruction, INSTRUCTION_STEPS)
    model.half().save_pretrained(given.output)
    tokenizer.save_pretrained(given.output)


if __name__ == "__main__":
    main()
