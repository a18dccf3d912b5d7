"""Chat templates as the well-known models have them, and tokenizers in which their markers are
tokens.
"""

from __future__ import annotations

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] "
    "+ '<|im_end|>' + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SPECIAL = [
    *(
        "<bos>",
        "<eos>",
        "<s>",
        "</s>",
        "<|im_start|>",
        "<|im_end|>",
        "<|start_header_id|>",
        "<|end_header_id|>",
        "<|eot_id|>",
    ),
    *(
        "<start_of_turn>",
        "<end_of_turn>",
        "<|system|>",
        "<|user|>",
        "<|assistant|>",
        "<|end|>",
        "[INST]",
        "[/INST]",
    ),
    *("[gMASK]", "<sop>", "<｜User｜>", "<｜Assistant｜>", "<｜end▁of▁sentence｜>"),
]
SAMPLES = [
    "the question and the answer of a person",
    "what is the name of this",
    "中医药知识问题答案",
    "system user assistant",
] * 20

LLAMA3 = (
    "{{ bos_token }}{% for m in messages %}{{ '<|start_header_id|>' + m['role'] + "
    "'<|end_header_id|>\n\n' + m['content'] | trim"
    " + '<|eot_id|>' }}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
GEMMA = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not "
    "supported') }}{% endif %}"
    "{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') "
    "}}{% endif %}"
    "{{ '<start_of_turn>' + ('model' if m['role'] == 'assistant' else m['role']) + '\n' }}"
    "{{ m['content'] | trim + '<end_of_turn>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}{{ '[INST] ' + "
    "m['content'] + ' [/INST]' }}"
    "{% elif m['role'] == 'assistant' %}{{ ' ' + m['content'] + eos_token }}{% else %}"
    "{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}"
)
ZEPHYR = (
    "{% for m in messages %}{{ '<|' + m['role'] + '|>\n' + m['content'] + eos_token + '\n' }}{% "
    "endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)
PHI3 = (
    "{% for m in messages %}{{ '<|' + m['role'] + '|>\n' + m['content'] + '<|end|>\n' }}{% endfor "
    "%}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}"
)
# Thinking is shown in the last answer, and taken out of the ones before it; an answer without any
# gets an empty one.
QWEN3 = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' }}{% if m['role'] == 'assistant' "
    "and loop.last %}"
    "{{ '<think>\n' + (m['reasoning_content'] or '') | trim + '\n</think>\n\n' }}{% endif %}{{ "
    "m['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"
    "{% if enable_thinking is defined and not enable_thinking %}{{ '<think>\n\n</think>\n\n' }}{% "
    "endif %}{% endif %}"
)
DEEPSEEK = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}{{ '<｜User｜>' + "
    "m['content'] }}"
    "{% elif m['role'] == 'assistant' %}{{ '<｜Assistant｜>' + m['content'].split('</think>')[-1] + "
    "'<｜end▁of▁sentence｜>' }}"
    "{% else %}{{ m['content'] }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ "
    "'<｜Assistant｜>' }}{% endif %}"
)
DEEPSEEK_R1 = DEEPSEEK.replace("{{ '<｜Assistant｜>' }}", "{{ '<｜Assistant｜><think>\n' }}")
ALPACA = (
    "{% for m in messages %}{% if m['role'] == 'user' %}{{ '### Instruction:\n' + m['content'] + "
    "'\n\n### Response:\n' }}"
    "{% elif m['role'] == 'assistant' %}{{ m['content'] + '\n\n' }}{% else %}{{ m['content'] + "
    "'\n\n' }}{% endif %}{% endfor %}"
)
VICUNA = (
    "{% for m in messages %}{% if m['role'] == 'user' %}{{ 'USER: ' + m['content'] + ' ' }}"
    "{% elif m['role'] == 'assistant' %}{{ 'ASSISTANT: ' + m['content'] + '</s>' }}{% else %}{{ "
    "m['content'] + ' ' }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)
CHATGLM = (
    "[gMASK]<sop>{% for m in messages %}{{ '<|' + m['role'] + '|>\n' + m['content'] }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
LISTENING = (  # a system prompt of its own where none is given, as Qwen2 has
    "{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nYou are "
    "helpful.<|im_end|>\n' }}{% endif %}" + CHATML
)

# name: template, end token, what comes before an answer and after it, whether it is trimmed,
# whether there may be a system turn
TEMPLATES: dict[str, tuple[str | None, str, str, str, bool, bool]] = {
    "chatml": (CHATML, "<|im_end|>", "", "<|im_end|>", False, True),
    "qwen2": (LISTENING, "<|im_end|>", "", "<|im_end|>", False, True),
    "llama3": (LLAMA3, "<|eot_id|>", "", "<|eot_id|>", True, True),
    "gemma": (GEMMA, "<eos>", "", "<end_of_turn>", True, False),
    "mistral": (MISTRAL, "</s>", " ", "</s>", False, False),
    "zephyr": (ZEPHYR, "</s>", "", "</s>", False, True),
    "phi3": (PHI3, "<eos>", "", "<|end|>", False, True),
    "qwen3": (QWEN3, "<|im_end|>", "<think>\n\n</think>\n\n", "<|im_end|>", False, True),
    "deepseek": (DEEPSEEK, "<｜end▁of▁sentence｜>", "", "<｜end▁of▁sentence｜>", False, True),
    "deepseek_r1": (
        DEEPSEEK_R1,
        "<｜end▁of▁sentence｜>",
        "\n</think>\n\n",
        "<｜end▁of▁sentence｜>",
        False,
        True,
    ),
    "alpaca": (ALPACA, "</s>", "", "</s>", False, True),
    "vicuna": (VICUNA, "</s>", " ", "</s>", False, True),
    "chatglm": (CHATGLM, "<eos>", "\n", "<eos>", False, True),
    "plain": (None, "<eos>", "", "<eos>", False, True),
}


def byte_level(
    template: str | None, eos: str, *, bos: bool = False, swallows: bool = False
) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer in which every marker of the templates is a token; some swallow
    the space after them.
    """
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    inner.train_from_iterator(
        SAMPLES,
        trainers.BpeTrainer(
            vocab_size=420, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
        ),
    )
    if swallows:
        inner.add_special_tokens(
            [
                AddedToken(marker, rstrip=True)
                for marker in ("<|im_end|>", "<|end|>", "<|assistant|>")
            ]
        )
    if bos:
        inner.post_processor = processors.TemplateProcessing(
            single="<bos> $A", special_tokens=[("<bos>", 0)]
        )
    fast = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token=eos, bos_token="<bos>")
    fast.chat_template = template
    return fast


def sentencepiece_like(template: str, eos: str) -> PreTrainedTokenizerFast:
    """A tokenizer that puts a space in front of every text, as Llama 2's does, with bytes for what
    it does not know.
    """
    pieces = [
        "<unk>",
        *SPECIAL,
        *(f"<0x{byte:02X}>" for byte in range(256)),
        "▁",
        *"abcdefghijklmnopqrstuvwxyz",
        "▁a",
        "er",
        "▁the",
    ]
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
    merges = [("▁", "a"), ("e", "r")]
    inner = Tokenizer(
        models.BPE(
            vocab=vocabulary, merges=merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True
        )
    )
    inner.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    inner.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(content=" ", left=1),
        ]
    )
    inner.add_special_tokens(SPECIAL)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=inner, eos_token=eos, bos_token="<bos>", unk_token="<unk>"
    )
    fast.chat_template = template
    return fast
