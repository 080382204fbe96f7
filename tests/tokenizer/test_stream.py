from hypothesis import given, settings
from hypothesis import strategies as st

from dotori.tokenizer.load import Tokenizer
from dotori.tokenizer.stream import StreamDecoder


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(0, 399)))
def test_random_ids_stream_to_what_decode_gives(tokenizer: Tokenizer, ids: list[int]):
    decoder = StreamDecoder(tokenizer)
    assert "".join([decoder.push(index) for index in ids] + [decoder.finish()]) == tokenizer.decode(ids)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.one_of(st.characters(codec="utf-8"), st.sampled_from("가힣뷁👍🏽\u200d🇰🇷"))))
def test_valid_text_streams_in_whole_characters(tokenizer: Tokenizer, text: str):
    decoder = StreamDecoder(tokenizer)
    pieces = [decoder.push(index) for index in tokenizer.encode(text)]
    assert decoder.finish() == ""
    assert "".join(pieces) == text
    assert "".join(pieces).count("\ufffd") == text.count("\ufffd")


def test_an_unfinished_syllable_waits_until_the_end(tokenizer: Tokenizer):
    index_of = {tokenizer.token_bytes(index): index for index in range(3, 259)}
    decoder = StreamDecoder(tokenizer)
    first, second, third = (index_of[bytes([byte])] for byte in "뷁".encode())
    assert [decoder.push(first), decoder.push(second), decoder.push(third)] == ["", "", "뷁"]
    assert [decoder.push(first), decoder.push(second)] == ["", ""]
    assert decoder.finish() == "\ufffd"
    assert decoder.push(index_of[b"a"]) == "a"
