"""QLoRA (Dettmers et al. 2023): LoRA beside a base of 4-bit NormalFloat with double quantisation,
moved by paged 8-bit AdamW.

A preset of lora: what differs is what the run gets where it says nothing else.
"""

from __future__ import annotations

from tunesmith.methods import preset
from tunesmith.methods.lora import Lora

FILLS = {"model.quantize": "nf4", "train.optimizer": "paged_adamw_8bit"}
TEXT = (
    "LoRA beside a base whose linear layers take about 4 bits a weight; embeddings and output "
    "head stay as they are."
)
Qlora = preset(Lora, __name__, TEXT, fills=FILLS)
