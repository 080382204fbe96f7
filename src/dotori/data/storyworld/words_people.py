"""People and places. Order is the order in which the vocabulary knob takes them."""

from __future__ import annotations

from typing import NamedTuple


class Person(NamedTuple):
    """A name or a relative; `honored` ones take honorific particles and verbs."""

    ko: str
    en: str
    she: bool
    honored: bool = False


class Place(NamedTuple):
    """`en` with its article; `prep` is what stands before it for being there. `shop`: things are bought there."""

    ko: str
    en: str
    prep: str
    shop: bool = False


def _names(text: str, she: bool) -> list[Person]:
    pairs = (item.split("=") for item in text.split())
    return [Person(ko, en, she) for ko, en in pairs]


_GIRLS = _names(
    "미나=Mina 수진=Sujin 지우=Jiwoo 하은=Haeun 서연=Seoyeon 유나=Yuna 예린=Yerin 보라=Bora 소희=Sohee 다은=Daeun "
    "은지=Eunji 나래=Narae 아름=Areum 민지=Minji 채원=Chaewon 가영=Gayoung 혜진=Hyejin 세라=Sera 윤아=Yoona 지민=Jimin "
    "초롱=Chorong 수아=Sua 하나=Hana 연우=Yeonwoo 주희=Juhee 선미=Sunmi 영희=Younghee 은비=Eunbi 태희=Taehee 리나=Rina",
    True,
)
_BOYS = _names(
    "준호=Junho 민수=Minsu 도윤=Doyun 태민=Taemin 현우=Hyunwoo 시우=Siwoo 재석=Jaeseok 동훈=Donghoon 건우=Gunwoo "
    "우진=Woojin 성민=Sungmin 진수=Jinsu 영호=Youngho 기준=Kijun 상우=Sangwoo 한결=Hangyeol 정훈=Junghoon 승현=Seunghyun "
    "철수=Cheolsu 유찬=Yuchan 지훈=Jihoon 민재=Minjae 원빈=Wonbin 경수=Kyungsu 하준=Hajun 찬호=Chanho 병철=Byungchul "
    "은우=Eunwoo 석진=Seokjin 대한=Daehan",
    False,
)
_RELATIVES = [
    Person("할머니", "Grandma", True, True),
    Person("할아버지", "Grandpa", False, True),
    Person("어머니", "Mother", True, True),
    Person("아버지", "Father", False, True),
    Person("이모", "Auntie", True, True),
    Person("삼촌", "Uncle", False, True),
]
PEOPLE = [person for pair in zip(_GIRLS, _BOYS, strict=True) for person in pair]
for _position, _relative in zip((4, 5, 10, 11, 20, 21), _RELATIVES, strict=True):
    PEOPLE.insert(_position, _relative)


def _places(text: str, prep: str, shop: bool = False) -> list[Place]:
    pairs = (item.split("=") for item in text.split(", "))
    return [Place(ko, f"the {en}", prep, shop) for ko, en in pairs]


PLACES = [
    *_places("공원=park, 시장=market", "at"),
    *_places("부엌=kitchen, 정원=garden, 숲=forest, 교실=classroom", "in"),
    *_places("도서관=library, 바닷가=beach, 병원=hospital", "at"),
    *_places("마당=yard, 거실=living room, 마을=village", "in"),
    *_places("강가=riverside, 학교=school, 놀이터=playground, 호수=lake, 역=station, 농장=farm", "at"),
    *_places("다락방=attic, 들판=field, 골목=alley, 동굴=cave, 창고=storeroom, 온실=greenhouse", "in"),
    *_places("박물관=museum, 동물원=zoo, 수영장=swimming pool, 극장=theater, 공항=airport, 우체국=post office", "at"),
    *_places(
        "운동장=sports ground, 식물원=botanical garden, 항구=harbor, 폭포=waterfall, 절=temple, 다리=bridge", "at"
    ),
    *_places("복도=hallway, 침실=bedroom, 욕실=bathroom, 지하실=basement, 광장=square, 과수원=orchard", "in"),
    *_places("미술관=art gallery, 은행=bank, 소방서=fire station, 경찰서=police station, 체육관=gym, 호텔=hotel", "at"),
    *_places("서재=study, 현관=entrance hall, 헛간=barn, 계곡=valley, 사막=desert, 초원=meadow", "in"),
    *_places("등대=lighthouse, 성=castle, 궁궐=palace, 부두=dock, 연못=pond, 약수터=mountain spring", "at"),
]
SHOPS = [
    *_places(
        "가게=store, 빵집=bakery, 꽃집=flower shop, 문구점=stationery shop, 서점=bookstore, 백화점=mall", "at", True
    ),
    *_places("슈퍼마켓=supermarket, 옷가게=clothing shop, 신발가게=shoe shop, 벼룩시장=flea market", "at", True),
]
