"""The sentences of the world, as data.

Roles: p who it is about, q another person, a place, b second place, s shop, o thing, x another thing, f food, n animal,
m activity, c color, u quality, k number, w weather, j job, t time, h feeling.

Korean: `{p는}` role and particle (named by its form after a vowel); `<p|갔어요|가셨어요>` the second form when p is
honored, `<pq|1|2|3|4>` 2 for p, 3 for q, 4 for both (a food is "honored" when it is drunk); `{kf}` counts f.
English: `{+o}` a ball, `{=o}` the ball, `{*n}` cats, `{@a}` at the park, `{p.he}`, `{p.his}`; sentences begin in
capitals.

A pattern may stand when all its `needs` hold and none of `bars`; then `gives` hold and `drops` no longer. Flags: P p is
known, A and where, O p has o, K o is known, Q q, N n, B b, F f, M m, T t, X x, W weather, J job, S shop, E the end.
"""

from __future__ import annotations

from typing import NamedTuple


class Question(NamedTuple):
    """A question and its answer in both languages, templates like a pattern's."""

    ko: str
    en: str
    answer_ko: str
    answer_en: str


class Cause(NamedTuple):
    """The pattern as a reason: 'because' clause in both languages, and whether it makes glad."""

    ko: str
    en: str
    good: bool


class Pattern(NamedTuple):
    """One kind of sentence. `verb` is the pattern's own content word, which counts in the vocabulary."""

    id: str
    verb: str
    flags: str
    ko: str
    en: str
    questions: tuple[Question, ...] = ()
    cause: Cause | None = None

    def split_flags(self) -> tuple[frozenset[str], frozenset[str], frozenset[str], frozenset[str]]:
        """needs, bars, gives, drops of `flags`, written `needs -bars +gives /drops`."""
        groups: dict[str, set[str]] = {"": set(), "-": set(), "+": set(), "/": set()}
        for word in self.flags.split():
            sign = word[0] if word[0] in "-+/" else ""
            groups[sign] |= set(word.removeprefix(sign))
        needs, bars, gives, drops = (frozenset(groups[sign]) for sign in ("", "-", "+", "/"))
        return needs, bars, gives, drops


Q, C = Question, Cause

PATTERNS = (
    Pattern("go", "go", "-P +PAT", "{t} {p는} {a에} <p|갔어요|가셨어요>.", "{t}, {p} went to {a}.", (
        Q("{p는} 어디에 <p|갔어요|가셨어요>?", "Where did {p} go?", "{a}", "{a.bare}"),
        Q("{p는} 언제 {a에} <p|갔어요|가셨어요>?", "When did {p} go to {a}?", "{t}", "{t}"),
        Q("누가 {a에} 갔어요?", "Who went to {a}?", "{p}", "{p}"))),
    Pattern("find", "find", "P -K +KO", "{p는} {c} {o를} <p|찾았어요|찾으셨어요>.", "{p} found {+c} {o}.", (
        Q("{p는} 무엇을 <p|찾았어요|찾으셨어요>?", "What did {p} find?", "{o}", "{o}"),
        Q("{o는} 무슨 색이었어요?", "What color was {=o}?", "{c}", "{c}"),
        Q("누가 {o를} 찾았어요?", "Who found {=o}?", "{p}", "{p}")),
        C("{o를} <p|찾아서|찾으셔서>", "{p.he} found {=o}", True)),
    Pattern("give", "give", "PO -Q +Q /O", "{p는} {q에게} {o를} <pq|주었어요|주셨어요|드렸어요|드리셨어요>.",
        "{p} gave {=o} to {q}.", (
        Q("{p는} 누구에게 {o를} <pq|주었어요|주셨어요|드렸어요|드리셨어요>?", "Who did {p} give {=o} to?", "{q}",
        "{q}"),
        Q("{p는} {q에게} 무엇을 <pq|주었어요|주셨어요|드렸어요|드리셨어요>?", "What did {p} give to {q}?",
        "{o}", "{o}"),
        Q("지금 누가 {o를} 가지고 있어요?", "Who has {=o} now?", "{q}", "{q}"))),
    Pattern("see", "see", "P -N +N", "{p는} {n를} <p|보았어요|보셨어요>.", "{p} saw {+n}.", (
        Q("{p는} 무엇을 <p|보았어요|보셨어요>?", "What did {p} see?", "{n}", "{n}"),
        Q("누가 {n를} 보았어요?", "Who saw {=n}?", "{p}", "{p}"))),
    Pattern("eat", "eat", "P -F +F", "{p는} {kf를} <pf|먹었어요|드셨어요|마셨어요|드셨어요>.", "{p} had {k} {*f}.", (
        Q("{p는} 무엇을 <pf|먹었어요|드셨어요|마셨어요|드셨어요>?", "What did {p} have?", "{f}", "{*f}"),
        Q("{p는} {f를} 몇 {f.counter} <pf|먹었어요|드셨어요|마셨어요|드셨어요>?", "How many {*f} did {p} have?", "{k}",
        "{k}"))),
    Pattern("lose", "lose", "PO +E /O", "{p는} {o를} <p|잃어버렸어요|잃어버리셨어요>.", "{p} lost {=o}.", (
        Q("{p는} 무엇을 <p|잃어버렸어요|잃어버리셨어요>?", "What did {p} lose?", "{o}", "{o}"),
        Q("누가 {o를} 잃어버렸어요?", "Who lost {=o}?", "{p}", "{p}")),
        C("{o를} <p|잃어버려서|잃어버리셔서>", "{p.he} lost {=o}", False)),
    Pattern("put", "put", "PO -B +B /O", "{p는} {o를} {b에} <p|두었어요|두셨어요>.", "{p} put {=o} {@b}.", (
        Q("{o는} 지금 어디에 있어요?", "Where is {=o} now?", "{b}", "{b.bare}"),
        Q("{p는} {b에} 무엇을 <p|두었어요|두셨어요>?", "What did {p} put {@b}?", "{o}", "{o}"))),
    Pattern("meet", "meet", "P -Q +Q", "{p는} {q를} <pq|만났어요|만나셨어요|뵈었어요|뵈셨어요>.", "{p} met {q}.", (
        Q("{p는} 누구를 <pq|만났어요|만나셨어요|뵈었어요|뵈셨어요>?", "Who did {p} meet?", "{q}", "{q}"),),
        C("{q를} <pq|만나서|만나셔서|뵈어서|뵈셔서>", "{p.he} met {q}", True)),
    Pattern("do", "do", "-P +PATM", "{t} {p는} {a에서} {m}.", "{t}, {p} {m} {@a}.", (
        Q("{p는} {a에서} 무엇을 <p|했어요|하셨어요>?", "What did {p} do {@a}?", "{m}", "{m}"),
        Q("누가 {a에서} {m.plain}?", "Who {m} {@a}?", "{p}", "{p}"),
        Q("{p는} 언제 {m}?", "When was that?", "{t}", "{t}"))),
    Pattern("with", "play", "PQ -M +M", "{p는} {q와} 같이 {m}.", "{p} {m} with {q}.", (
        Q("{p는} 누구와 같이 {m}?", "Who was with {p}?", "{q}", "{q}"),)),
    Pattern("buy", "buy", "P -KS +KOS", "{p는} {s에서} {o를} <p|샀어요|사셨어요>.", "{p} bought {+o} {@s}.", (
        Q("{p는} 무엇을 <p|샀어요|사셨어요>?", "What did {p} buy?", "{o}", "{o}"),
        Q("{p는} 어디에서 {o를} <p|샀어요|사셨어요>?", "Where did {p} buy {=o}?", "{s}", "{s.bare}"))),
    Pattern("flee", "run away", "N -B +B", "{n는} {b로} 도망갔어요.", "{=n} ran away to {b}.", (
        Q("{n는} 어디로 도망갔어요?", "Where did {=n} run away to?", "{b}", "{b.bare}"),)),
    Pattern("weather", "weather", "-PW +WT", "{t} {w}.", "{t}, {w}.", (
        Q("{t} 날씨가 어땠어요?", "How was the weather then?", "{w}", "{w}"),)),
    Pattern("be", "be", "W -P +PA", "{p는} {a에} <p|있었어요|계셨어요>.", "{p} was {@a}.", (
        Q("{p는} 어디에 <p|있었어요|계셨어요>?", "Where was {p}?", "{a}", "{a.bare}"),
        Q("누가 {a에} 있었어요?", "Who was {@a}?", "{p}", "{p}"))),
    Pattern("back", "return", "PA -BE +BE", "{p는} {b로} <p|돌아갔어요|돌아가셨어요>.", "{p} went back to {b}.", (
        Q("{p는} 어디로 <p|돌아갔어요|돌아가셨어요>?", "Where did {p} go back to?", "{b}", "{b.bare}"),)),
    Pattern("break", "break", "O +E /O", "{o가} 부서졌어요.", "{=o} broke.", (
        Q("무엇이 부서졌어요?", "What broke?", "{o}", "{o}"),),
        C("{o가} 부서져서", "{=o} broke", False)),
    Pattern("feed", "feed", "PN -F +F", "{p는} {n에게} {f를} <p|주었어요|주셨어요>.", "{p} gave {+f} to {=n}.", (
        Q("{p는} {n에게} 무엇을 <p|주었어요|주셨어요>?", "What did {p} give to {=n}?", "{f}", "{f}"),)),
    Pattern("help", "help", "P -Q +Q", "{p는} {q를} <pq|도와주었어요|도와주셨어요|도와드렸어요|도와드리셨어요>.",
    "{p} helped {q}.",
    (
        Q("{p는} 누구를 <pq|도와주었어요|도와주셨어요|도와드렸어요|도와드리셨어요>?",
        "Who did {p} help?", "{q}", "{q}"),),
        C("{q를} <pq|도와주어서|도와주셔서|도와드려서|도와드리셔서>", "{p.he} helped {q}",
        True)),
    Pattern("quality", "be like", "K -U +U", "그것은 {u} {o였어요}.",
    "It was {+u} {o}.",
    (
        Q("어떤 {o였어요}?", "What kind of {o} was it?",
        "{u}", "{u}"),)),
    Pattern("many", "count", "A -N +N", "{a에} {n가} {k} 마리 있었어요.", "There were {k} {*n} {@a}.", (
        Q("{n는} 몇 마리 있었어요?", "How many {*n} were there?", "{k}", "{k}"),
        Q("{a에} 무엇이 있었어요?", "What was {@a}?", "{n}", "{*n}"))),
    Pattern("show", "show", "POQ -V +V",
    "{p는} {q에게} {o를} <pq|보여 주었어요|보여 주셨어요|보여 드렸어요|보여 드리셨어요>.",
        "{p} showed {=o} to {q}.", (
        Q("{p는} {q에게} 무엇을 <pq|보여 주었어요|보여 주셨어요|보여 드렸어요|보여 드리셨어요>?",
          "What did {p} show to {q}?", "{o}", "{o}"),)),
    Pattern("hide", "hide", "PO -B +B /O", "{p는} {o를} {b에} <p|숨겼어요|숨기셨어요>.", "{p} hid {=o} {@b}.", (
        Q("{p는} {o를} 어디에 <p|숨겼어요|숨기셨어요>?", "Where did {p} hide {=o}?", "{b}", "{b.bare}"),)),
    Pattern("call", "call", "P -QG +QG", "{p는} {q에게} <pq|전화했어요|전화하셨어요|전화드렸어요|전화드리셨어요>.",
    "{p} called {q}.",
    (
        Q("{p는} 누구에게 <pq|전화했어요|전화하셨어요|전화드렸어요|전화드리셨어요>?",
        "Who did {p} call?", "{q}",
        "{q}"),)),
    Pattern("job", "job", "P -J +J", "{p의} 직업은 {j였어요}.", "{p} was {+j}.", (
        Q("{p의} 직업은 무엇이었어요?", "What was {p.his} job?", "{j}", "{j}"),)),
    Pattern("lend", "lend", "P -QK +QKO",
    "{q가} {p에게} {o를} <qp|빌려주었어요|빌려주셨어요|빌려드렸어요|빌려드리셨어요>.",
        "{q} lent {+o} to {p}.", (
        Q("누가 {p에게} {o를} 빌려주었어요?", "Who lent {=o} to {p}?", "{q}", "{q}"),)),
    Pattern("clean", "wipe", "PO -Y +Y", "{p는} {o를} 깨끗이 <p|닦았어요|닦으셨어요>.", "{p} wiped {=o} clean.", (
        Q("{p는} 무엇을 깨끗이 <p|닦았어요|닦으셨어요>?", "What did {p} wipe clean?", "{o}", "{o}"),)),
    Pattern("hear", "hear", "P -N +N", "{p는} {n} 소리를 <p|들었어요|들으셨어요>.", "{p} heard {+n}.", (
        Q("{p는} 무슨 소리를 <p|들었어요|들으셨어요>?", "What did {p} hear?", "{n} 소리", "{n}"),)),
    Pattern("wait", "wait", "PA -QG +QG", "{p는} {q를} <p|기다렸어요|기다리셨어요>.", "{p} waited for {q}.", (
        Q("{p는} 누구를 <p|기다렸어요|기다리셨어요>?", "Who did {p} wait for?", "{q}", "{q}"),)),
    Pattern("invite", "invite", "PQ -BG +BG", "{p는} {q를} {b로} <p|초대했어요|초대하셨어요>.",
    "{p} invited {q} to {b}.", (
        Q("{p는} {q를} 어디로 <p|초대했어요|초대하셨어요>?", "Where did {p} invite {q} to?",
        "{b}", "{b.bare}"),)),
    Pattern("trade", "trade", "PO -X +X /O", "{p는} {o를} {x와} <p|바꾸었어요|바꾸셨어요>.",
    "{p} traded {=o} for {+x}.", (
        Q("{p는} {o를} 무엇과 <p|바꾸었어요|바꾸셨어요>?", "What did {p} trade {=o} for?",
        "{x}", "{x}"),)),
    Pattern("forget", "leave behind", "PO -B +BE /O", "{p는} {o를} {b에} 두고 <p|왔어요|오셨어요>.",
    "{p} left {=o} behind {@b}.",
    (
        Q("{p는} {o를} 어디에 두고 <p|왔어요|오셨어요>?", "Where did {p} leave {=o} behind?", "{b}", "{b.bare}"),),
        C("{o를} {b에} 두고 <p|와서|오셔서>", "{p.he} left {=o} behind {@b}", False)),
    Pattern("make", "make", "P -K +KO", "{p는} {o를} <p|만들었어요|만드셨어요>.",
    "{p} made {+o}.", (
        Q("{p는} 무엇을 <p|만들었어요|만드셨어요>?", "What did {p} make?",
        "{o}", "{o}"),),
        C("{o를} <p|만들어서|만드셔서>", "{p.he} made {=o}",
        True)),
    Pattern("share", "share", "PQ -F +F", "{p는} {q와} {f를} <p|나누었어요|나누셨어요>.", "{p} shared {+f} with {q}.", (
        Q("{p는} {q와} 무엇을 <p|나누었어요|나누셨어요>?", "What did {p} share with {q}?", "{f}", "{f}"),)),
    Pattern("want", "want", "P -X +X", "{p는} {x를} 갖고 <p|싶었어요|싶으셨어요>.", "{p} wanted {+x}.", (
        Q("{p는} 무엇을 갖고 <p|싶었어요|싶으셨어요>?", "What did {p} want?", "{x}", "{x}"),)),
    Pattern("asleep", "fall asleep", "N -B +B", "{n는} {b에서} 잠들었어요.", "{=n} fell asleep {@b}.", (
        Q("{n는} 어디에서 잠들었어요?", "Where did {=n} fall asleep?", "{b}", "{b.bare}"),)),
    Pattern("watch", "watch", "PN -Z +Z", "{p는} {n를} 가만히 <p|지켜보았어요|지켜보셨어요>.",
    "{p} watched {=n} quietly.", (
        Q("{p는} 무엇을 가만히 <p|지켜보았어요|지켜보셨어요>?", "What did {p} watch quietly?", "{n}",
        "{n}"),)),
    Pattern("draw", "draw", "P -N +N", "{p는} 종이에 {n를} <p|그렸어요|그리셨어요>.", "{p} drew {+n} on paper.",
    (
        Q("{p는} 종이에 무엇을 <p|그렸어요|그리셨어요>?", "What did {p} draw on paper?", "{n}", "{n}"),)),
    Pattern("carry", "carry", "PO -B +B", "{p는} {o를} {b로} <p|가져갔어요|가져가셨어요>.", "{p} carried {=o} to {b}.",
    (
        Q("{p는} {o를} 어디로 <p|가져갔어요|가져가셨어요>?", "Where did {p} carry {=o}?", "{b}", "{b.bare}"),)),
    Pattern("prepare", "prepare", "P -F +F", "{p는} {f를} <p|준비했어요|준비하셨어요>.", "{p} prepared {+f}.", (
        Q("{p는} 무엇을 <p|준비했어요|준비하셨어요>?", "What did {p} prepare?", "{f}", "{f}"),)),
    Pattern("promise", "promise", "PQ -L +L", "{p는} {q와} 약속을 <p|했어요|하셨어요>.", "{p} made a promise to {q}.", (
        Q("{p는} 누구와 약속을 <p|했어요|하셨어요>?", "Who did {p} make a promise to?", "{q}", "{q}"),)),
    Pattern("write", "write", "P -QG +QG", "{p는} {q에게} 긴 편지를 <p|썼어요|쓰셨어요>.",
    "{p} wrote a long letter to {q}.", (
        Q("{p는} 누구에게 긴 편지를 <p|썼어요|쓰셨어요>?", "Who did {p} write a long letter to?", "{q}",
        "{q}"),)),
    Pattern("late", "be late", "P -B +BE", "{p는} {b에} 늦게 <p|도착했어요|도착하셨어요>.", "{p} arrived late {@b}.",
    (
        Q("{p는} 어디에 늦게 <p|도착했어요|도착하셨어요>?", "Where did {p} arrive late?", "{b}", "{b.bare}"),),
        C("{b에} 늦게 <p|도착해서|도착하셔서>", "{p.he} arrived late {@b}", False)),
    Pattern("prize", "win", "P -R +R", "{p는} 큰 상을 <p|받았어요|받으셨어요>.", "{p} won a big prize.", (
        Q("누가 큰 상을 받았어요?", "Who won a big prize?", "{p}", "{p}"),),
        C("큰 상을 <p|받아서|받으셔서>", "{p.he} won a big prize", True)),
    Pattern("fall", "fall", "PA +E", "{p는} 길에서 <p|넘어졌어요|넘어지셨어요>.", "{p} fell down on the road.", (
        Q("누가 길에서 넘어졌어요?", "Who fell down on the road?", "{p}", "{p}"),),
        C("길에서 <p|넘어져서|넘어지셔서>", "{p.he} fell down on the road", False)),
)  # fmt: skip

FEEL = Pattern("feel", "feel", "P +E", "{p는} {h}.", "{p} was {h}.")
FEEL_QUESTION = Question("{p의} 기분은 어땠어요?", "How did {p} feel?", "{h}", "{h}")
BECAUSE = Pattern("because", "because", "P +E", "{p는} {cause} {h}.", "{p} was {h} because {cause}.")
WHY_QUESTION = Question("{p는} 왜 {h}?", "Why was {p} {h}?", "{cause}", "{cause}")
