"""Times, feelings, colors, qualities, weather, jobs, activities and numbers."""

from __future__ import annotations

from typing import NamedTuple


class Time(NamedTuple):
    """A time as it stands before a clause: 아침에, in the morning."""

    ko: str
    en: str


class Feeling(NamedTuple):
    """Past forms for ordinary and honored people, the noun that names it, the English adjective, and its valence."""

    ko: str
    honored: str
    label: str
    en: str
    good: bool


class Word(NamedTuple):
    """A word that does not change: Korean form as it is used, English form."""

    ko: str
    en: str


class Activity(NamedTuple):
    """Something done for a while, in the past: for ordinary and honored people, and in English."""

    ko: str
    honored: str
    en: str


def _words(text: str) -> list[Word]:
    return [Word(*item.split("=")) for item in " ".join(text.split()).split(", ")]


TIMES = [
    Time(*item.split("="))
    for item in [
        "아침에=in the morning",
        "저녁에=in the evening",
        "어제=yesterday",
        "점심때=at noon",
        "밤에=at night",
        "주말에=on the weekend",
        "오후에=in the afternoon",
        "새벽에=at dawn",
        "봄에=in spring",
        "여름에=in summer",
        "가을에=in autumn",
        "겨울에=in winter",
        "월요일에=on Monday",
        "화요일에=on Tuesday",
        "수요일에=on Wednesday",
        "목요일에=on Thursday",
        "금요일에=on Friday",
        "토요일에=on Saturday",
        "일요일에=on Sunday",
        "지난주에=last week",
        "그저께=two days ago",
        "방학 때=during the vacation",
        "생일날=on the birthday",
        "설날에=on New Year's Day",
        "추석에=at Chuseok",
        "수업 뒤에=after class",
        "해 질 녘에=at sunset",
        "한밤중에=at midnight",
        "지난달에=last month",
        "작년에=last year",
        "오전에=before noon",
        "소풍날=on the picnic day",
        "개학 날=on the first day of school",
        "장마 때=in the rainy season",
        "첫눈 오는 날=on the day of the first snow",
        "며칠 전에=a few days ago",
        "잠시 뒤에=a little later",
        "식사 뒤에=after the meal",
        "아침 일찍=early in the morning",
        "밤늦게=late at night",
    ]
]
FEELINGS = [
    Feeling("기뻤어요", "기뻐하셨어요", "기쁨", "happy", True),
    Feeling("슬펐어요", "슬퍼하셨어요", "슬픔", "sad", False),
    Feeling("화가 났어요", "화가 나셨어요", "화", "angry", False),
    Feeling("신이 났어요", "신이 나셨어요", "신남", "excited", True),
    Feeling("걱정했어요", "걱정하셨어요", "걱정", "worried", False),
    Feeling("행복했어요", "행복해하셨어요", "행복", "glad", True),
    Feeling("속상했어요", "속상해하셨어요", "속상함", "upset", False),
    Feeling("고마웠어요", "고마워하셨어요", "고마움", "thankful", True),
    Feeling("외로웠어요", "외로워하셨어요", "외로움", "lonely", False),
    Feeling("자랑스러웠어요", "자랑스러워하셨어요", "자랑스러움", "proud", True),
    Feeling("실망했어요", "실망하셨어요", "실망", "disappointed", False),
    Feeling("만족했어요", "만족하셨어요", "만족", "satisfied", True),
    Feeling("답답했어요", "답답해하셨어요", "답답함", "frustrated", False),
    Feeling("뿌듯했어요", "뿌듯해하셨어요", "뿌듯함", "pleased", True),
    Feeling("당황했어요", "당황하셨어요", "당황", "embarrassed", False),
    Feeling("설렜어요", "설레하셨어요", "설렘", "thrilled", True),
]
COLORS = _words("""빨간색=red,
파란색=blue, 노란색=yellow, 하얀색=white, 검은색=black, 초록색=green, 분홍색=pink, 보라색=purple, 주황색=orange,
    갈색=brown, 회색=gray, 금색=golden, 은색=silver""")
# Before a noun.
QUALITIES = _words("""작은=small,
큰=big, 예쁜=pretty, 낡은=old, 새로운=new, 가벼운=light, 무거운=heavy, 귀여운=cute, 단단한=hard,
    부드러운=soft, 깨끗한=clean, 더러운=dirty, 긴=long, 짧은=short, 둥근=round, 이상한=strange, 멋진=fine,
    비싼=expensive, 값싼=cheap, 튼튼한=sturdy, 반짝이는=shiny, 젖은=wet, 마른=dry, 따뜻한=warm, 차가운=cold,
    소중한=precious, 특별한=special, 평범한=plain, 납작한=flat, 뾰족한=pointed""")
# As a sentence in the past.
WEATHER = _words("""비가 왔어요=it rained, 눈이 왔어요=it snowed, 바람이
불었어요=the wind blew, 날씨가 맑았어요=the sky was clear,
    날씨가 추웠어요=it was cold, 날씨가 더웠어요=it was hot, 안개가 꼈어요=it was foggy, 천둥이 쳤어요=it thundered,
    구름이 많았어요=it was cloudy, 무지개가 떴어요=there was a rainbow, 날씨가 따뜻했어요=it was warm, 우박이
    내렸어요=it hailed""")
JOBS = _words("""의사=doctor, 요리사=cook, 가수=singer, 화가=painter, 농부=farmer, 선생님=teacher, 경찰관=police officer,
    소방관=firefighter, 간호사=nurse, 작가=writer, 운전사=driver, 어부=fisher, 과학자=scientist, 목수=carpenter,
    우체부=mail carrier, 기자=reporter, 무용수=dancer, 조종사=pilot, 제빵사=baker, 정원사=gardener, 사진사=photographer,
    배우=actor, 판사=judge, 변호사=lawyer, 통역사=interpreter, 수의사=animal doctor, 미용사=hairdresser, 선원=sailor,
    탐험가=explorer, 발명가=inventor, 기술자=engineer, 사서=librarian, 재단사=tailor, 광부=miner, 음악가=musician""")
NUMBERS = _words("두=two, 세=three, 네=four, 다섯=five, 여섯=six, 일곱=seven, 여덟=eight, 아홉=nine, 열=ten")
ACTIVITIES = [
    Activity(*item.split("="))
    for item in [
        "노래했어요=노래하셨어요=sang",
        "춤을 췄어요=춤을 추셨어요=danced",
        "쉬었어요=쉬셨어요=rested",
        "청소했어요=청소하셨어요=cleaned up",
        "뛰었어요=뛰셨어요=ran",
        "웃었어요=웃으셨어요=laughed",
        "산책했어요=산책하셨어요=took a walk",
        "공부했어요=공부하셨어요=studied",
        "그림을 그렸어요=그림을 그리셨어요=drew a picture",
        "책을 읽었어요=책을 읽으셨어요=read a book",
        "울었어요=우셨어요=cried",
        "요리했어요=요리하셨어요=cooked",
        "낮잠을 잤어요=낮잠을 주무셨어요=took a nap",
        "운동했어요=운동하셨어요=exercised",
        "사진을 찍었어요=사진을 찍으셨어요=took photos",
        "편지를 썼어요=편지를 쓰셨어요=wrote a letter",
        "체조했어요=체조하셨어요=did gymnastics",
        "음악을 들었어요=음악을 들으셨어요=listened to music",
        "나무를 심었어요=나무를 심으셨어요=planted a tree",
        "별을 보았어요=별을 보셨어요=watched the stars",
        "연습했어요=연습하셨어요=practiced",
        "일했어요=일하셨어요=worked",
        "춤을 배웠어요=춤을 배우셨어요=learned to dance",
        "노래를 배웠어요=노래를 배우셨어요=learned a song",
        "기도했어요=기도하셨어요=prayed",
        "바느질했어요=바느질하셨어요=sewed",
        "뜨개질했어요=뜨개질하셨어요=knitted",
        "낚시했어요=낚시하셨어요=fished",
        "수영했어요=수영하셨어요=swam",
        "줄넘기했어요=줄넘기하셨어요=jumped rope",
        "빨래했어요=빨래하셨어요=did the laundry",
        "이야기했어요=이야기하셨어요=told stories",
        "명상했어요=명상하셨어요=meditated",
        "노을을 보았어요=노을을 보셨어요=watched the sunset",
        "글씨를 썼어요=글씨를 쓰셨어요=practiced handwriting",
        "휘파람을 불었어요=휘파람을 부셨어요=whistled",
        "게임했어요=게임하셨어요=played a game",
        "퍼즐을 맞췄어요=퍼즐을 맞추셨어요=did a puzzle",
        "잡초를 뽑았어요=잡초를 뽑으셨어요=pulled weeds",
        "꽃에 물을 줬어요=꽃에 물을 주셨어요=watered the flowers",
    ]
]
