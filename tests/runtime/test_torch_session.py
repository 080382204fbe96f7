import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dotori.errors import UserError
from dotori.model.transformer import Transformer
from dotori.runtime.torch_session import TorchSession
from dotori.scorer import Scorer
from dotori.tokenizer.chat import encode_chat
from dotori.tokenizer.load import Tokenizer

IDS = st.lists(st.integers(0, 319), min_size=2, max_size=64)


def test_it_is_a_scorer(session: TorchSession):
    scorer: Scorer = session
    assert (scorer.context, scorer.bos_id, scorer.eos_id) == (64, 0, 2)
    assert session.stop_ids == [0, 2]
    assert session.lineage is None


def test_text_goes_there_and_back(session: TorchSession):
    ids = session.tokenize("도토리 <|im_end|> 👍")
    assert session.detokenize([0, *ids, 2]) == "도토리 <|im_end|> 👍"
    assert not set(ids) & {0, 1, 2}


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(IDS, st.integers(1, 70)), max_size=7))
def test_loglikelihood_equals_one_by_one(session: TorchSession, items):
    sequences, starts = [ids for ids, _ in items], [start for _, start in items]
    expected = []
    for ids, start in items:
        logits = session.logits(ids).astype(np.float64)
        logs = logits - np.log(np.exp(logits - logits.max(1, keepdims=True)).sum(1, keepdims=True))
        logs -= logits.max(1, keepdims=True)
        expected.append(sum(logs[place - 1, ids[place]] for place in range(start, len(ids))))
    np.testing.assert_allclose(session.loglikelihood(sequences, starts), expected, rtol=1e-5, atol=1e-4)


def test_logits_shape_and_type(session: TorchSession):
    logits = session.logits([0, 5, 7])
    assert logits.shape == (3, 320)
    assert logits.dtype == np.float32


def test_generate_settings_reach_the_sampler(session: TorchSession):
    ids = session.tokenize("다람쥐")
    greedy = list(session.generate(ids, max_tokens=10, ignore_eos=True))
    assert len(greedy) == 10
    assert list(session.generate(ids, max_tokens=10, temperature=1.0, top_k=1, ignore_eos=True)) == greedy
    assert list(session.generate(ids, max_tokens=10, temperature=1.0, top_p=1e-6, ignore_eos=True)) == greedy
    assert list(session.generate(ids, max_tokens=10, temperature=1.0, min_p=1.0, ignore_eos=True)) == greedy
    runs = [tuple(session.generate(ids, max_tokens=10, temperature=3.0, seed=s, ignore_eos=True)) for s in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]
    assert len(list(session.generate(ids, ignore_eos=True))) == 64 - len(ids)


def test_stop_ids_end_and_ignore_eos_goes_on(session: TorchSession):
    ids = session.tokenize("다람쥐")
    whole = list(session.generate(ids, max_tokens=12, temperature=2.0, seed=4, ignore_eos=True))
    stopping = TorchSession(session.model, session.tokenizer)
    stopping.stop_ids = [whole[6]]
    assert list(stopping.generate(ids, max_tokens=12, temperature=2.0, seed=4)) == whole[: whole.index(whole[6])]


def test_stop_strings(session: TorchSession):
    ids = session.tokenize("The")
    whole = session.detokenize(list(session.generate(ids, max_tokens=30, temperature=1.0, seed=1, ignore_eos=True)))
    word = next(whole[i : i + 2] for i in range(3, len(whole)) if "\ufffd" not in whole[i : i + 2])
    shown = session.detokenize(
        list(session.generate(ids, max_tokens=30, temperature=1.0, seed=1, ignore_eos=True, stop=word))
    )
    assert shown == whole[: whole.index(word)]


def test_batch_equals_alone(session: TorchSession):
    prompts = [session.tokenize(text) for text in ("다람쥐가 숲에", "The", "도토리를 5개", "a")]
    alone = [list(session.generate(prompt, max_tokens=9)) for prompt in prompts]
    assert session.generate_batch(prompts, 9) == alone
    endless = [list(session.generate(prompt, max_tokens=9, ignore_eos=True)) for prompt in prompts]
    assert session.generate_batch(prompts, 9, []) == endless
    stop = endless[0][3]
    expected = [ids[: ids.index(stop)] if stop in ids else ids for ids in endless]
    assert session.generate_batch(prompts, 9, [stop]) == expected


def test_chat_prompt(session: TorchSession, tokenizer: Tokenizer):
    messages = [{"role": "user", "content": "안녕"}]
    assert session.chat(messages) == encode_chat(tokenizer, messages, add_generation_prompt=True).ids


def test_context_overflow_is_one_clear_error(session: TorchSession):
    with pytest.raises(UserError, match="60 prompt tokens and 5 new ones; this model holds 64; ask for at most 4"):
        session.generate([1] * 60, max_tokens=5)
    with pytest.raises(UserError, match="this model holds 64"):
        session.logits([1] * 65)
    with pytest.raises(UserError, match="this model holds 64"):
        session.loglikelihood([[1] * 65], [1])
    with pytest.raises(UserError, match="this model holds 64"):
        session.generate([1] * 65)


def test_other_bad_input(session: TorchSession):
    with pytest.raises(UserError, match="temperature"):
        session.generate([1], max_tokens=1, temperature=-0.1)
    with pytest.raises(UserError, match="start 0"):
        session.loglikelihood([[1, 2]], [0])
    with pytest.raises(UserError, match="no tokens"):
        session.logits([])
    with pytest.raises(UserError, match="empty string"):
        list(session.generate([1], max_tokens=1, stop=""))
    small = Transformer(dataclasses.replace(session.config, vocab_size=300))
    with pytest.raises(UserError, match="320 tokens, the model embeds 300"):
        TorchSession(small, session.tokenizer)


def test_broken_weights_are_named(session: TorchSession):
    model = Transformer(session.config)
    torch.nn.init.constant_(model.model.norm.weight, float("nan"))
    with pytest.raises(UserError, match="not finite"):
        list(TorchSession(model, session.tokenizer).generate([1], max_tokens=1))
