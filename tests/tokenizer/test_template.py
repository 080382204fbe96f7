import time
from contextlib import suppress

import pytest

from dotori.errors import UserError
from dotori.tokenizer.template import MAX_OUTPUT_CHARACTERS, render

SPENDERS = [
    "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "{% for a in range(10**9) %}{% endfor %}",
    "{% for a in range(999999999) %}{% endfor %}",
    "{{ 'a' * 999999999 }}",
    "{{ 999999999 * 'a' }}",
    "{{ ['a'] * 999999999 }}",
    "{{ 9 ** 9 ** 9 }}",
    "{% set n = namespace(x=9) %}{% for a in range(999) %}{% set n.x = n.x * n.x %}{% endfor %}",
    "{% set n = namespace(x='ab') %}{% for a in range(99) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
    "{% set n = namespace(x='ab') %}{% for a in range(99) %}{% set n.x = n.x + n.x %}{% endfor %}",
    "{% set n = namespace(x='ab') %}{% for a in range(99) %}{% set n.x = [n.x, n.x] %}{% endfor %}",
    "{% set n = namespace(x=('ab',)) %}{% for a in range(99) %}{% set n.x = (n.x, n.x) %}{% endfor %}",
    "{% set n = namespace(x={}) %}{% for a in range(99) %}{% set n.x = {'a': n.x, 'b': n.x} %}{% endfor %}",
    "{% set n = namespace(x='ab') %}{% for a in range(99) %}{% set n.x = [n.x, n.x]|join %}{% endfor %}",
    "{% set n = namespace(x='ab') %}{% for a in range(99) %}{% set n.x = n.x.join([n.x, n.x]) %}{% endfor %}",
    "{% set n = namespace(x='ab') %}{% for a in range(99) %}{% set n.x = n.x.replace('a', n.x) %}{% endfor %}",
    "{% set n = namespace(x='ab') %}{% for a in range(99) %}{% set n.x = n.x|replace('', n.x) %}{% endfor %}",
    "{% set n = namespace(x='ab') %}{% for a in range(99) %}{% set n.x %}{{ n.x }}{{ n.x }}{% endset %}{% endfor %}",
    "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
    "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "{{ '%1000000000d' % 1 }}",
    "{{ '{:1000000000}'.format(1) }}",
    "{{ '%1000000000d'|format(1) }}",
    "{{ 'a'|center(1000000000) }}",
    "{{ 'a'.ljust(1000000000) }}",
    "{{ 'a'.zfill(1000000000) }}",
    "{{ lipsum(n=999) }}",
    "{{ range(99999)|list|tojson(indent=999999) }}",
]
ESCAPES = [
    "{{ ''.__class__ }}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ ''['__class__'] }}",
    "{{ ''|attr('__class__') }}",
    "{{ messages.__init__.__globals__ }}",
    "{{ namespace.__init__.__globals__ }}",
    "{{ raise_exception.__globals__ }}",
    "{{ self.__init__.__globals__ }}",
    "{{ self._TemplateReference__context }}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{{ joiner.__init__.__globals__ }}",
    "{{ config }}{{ config.items() }}",
    "{{ messages.append('x') }}",
    "{{ messages[0].update(a=1) }}",
    "{{ messages|map(attribute='__class__')|list|tojson }}",
    "{{ messages|selectattr('__class__')|map('string')|join }}",
    "{{ '{0.__class__}'.format('') }}",
    "{% import 'os' as os %}",
    "{% include '/etc/passwd' %}",
    "{% extends '/etc/passwd' %}",
    "{% from 'a' import b %}",
    "{{ dict }}",
    "{{ range }}",
    "{{ messages }}",
    "{{ messages|string }}",
    "{{ render }}{{ open('/etc/passwd') }}",
]


def _render(source: str) -> str:
    return render(source, {"messages": [{"role": "user", "content": "안녕"}], "bos_token": "<s>"})


@pytest.mark.parametrize("source", SPENDERS)
def test_endless_work_is_stopped(source: str):
    before = time.monotonic()
    with pytest.raises(UserError, match="chat template"):
        _render(source)
    assert time.monotonic() - before < 3


@pytest.mark.parametrize("source", ESCAPES)
def test_escapes_are_refused_or_inert(source: str):
    # A refusal is a UserError; whatever is rendered must be nothing.
    with suppress(UserError):
        assert _render(source) in ("", "[null]")


@pytest.mark.parametrize(
    "source", ["{{", "{% if %}", "{% nope %}", "{{ a|nope }}", "{{ 1 / 0 }}", "{{ none.x.y }}", "{{ [][3].a }}"]
)
def test_broken_templates_are_named(source: str):
    with pytest.raises(UserError, match="chat template"):
        _render(source)


def test_size_limits():
    with pytest.raises(UserError, match="64 KiB"):
        _render("가" * 30_000)
    half = "a" * (MAX_OUTPUT_CHARACTERS // 2)
    assert len(render("{{ a }}{{ a }}", {"a": half})) == MAX_OUTPUT_CHARACTERS
    with pytest.raises(UserError, match="shorten the conversation"):
        render("{{ a }}{{ a }}{{ 1 }}", {"a": half})


def test_what_templates_need_works():
    source = """{%- set ns = namespace(found=false) %}
{%- for message in messages[::-1] %}{% if loop.first and not loop.last %}F{% endif %}{{ loop.index0 }}{% endfor %}
{%- macro show(text) -%}[{{ text | trim }}]{%- endmacro -%}
{{ show(' a ') }}{{ bos_token ~ 1 ~ none }}{{ {'가': [1, true]} | tojson }}
{%- for word in 'b a'.split(' ') if word != 'a' %}
{%- if word == 'z' %}{% break %}{% endif %}{{ word.upper() }}{% endfor %}
{%- set ns.found = true %}
{%- if ns.found is defined and messages[0] is mapping and messages[0].role in ['user'] %}!{% endif %}
{%- generation %}g{% endgeneration %}{{ missing }}{{ [1, 2]|length }}
{{- messages|selectattr('role', 'equalto', 'user')|map(attribute='content')|first }}"""
    assert _render(source) == '0[a]<s>1None{"가": [1, true]}B!g2안녕'


def test_raise_exception_is_for_people():
    with pytest.raises(UserError, match="roles must alternate"):
        _render("{{ raise_exception('roles must alternate') }}")
