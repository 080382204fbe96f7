"""Things, foods and animals. Order is the order in which the vocabulary knob takes them."""

from __future__ import annotations

from typing import NamedTuple


class Thing(NamedTuple):
    """A countable thing: English singular and plural, and the Korean counter it is counted with."""

    ko: str
    en: str
    plural: str
    counter: str


_IRREGULAR = {
    "knife": "knives", "scarf": "scarves", "leaf": "leaves", "mouse": "mice", "fish": "fish", "sheep": "sheep",
    "goose": "geese", "deer": "deer", "wolf": "wolves", "potato": "potatoes", "tomato": "tomatoes", "calf": "calves",
    "mango": "mangoes", "loaf": "loaves", "shelf": "shelves", "ox": "oxen", "salmon": "salmon", "squid": "squid",
}  # fmt: skip


def plural_of(en: str) -> str:
    """The English plural of a noun, by its last word."""
    head, of, rest = en.partition(" of ")
    if of:
        return plural_of(head) + of + rest
    first, space, last = en.rpartition(" ")
    if last in _IRREGULAR:
        plural = _IRREGULAR[last]
    elif last.endswith(("s", "x", "z", "ch", "sh")):
        plural = last + "es"
    elif last.endswith("y") and last[-2] not in "aeiou":
        plural = last[:-1] + "ies"
    else:
        plural = last + "s"
    return first + space + plural


def _things(counter: str, text: str) -> list[Thing]:
    pairs = (item.split("=") for item in " ".join(text.split()).split(", "))
    return [Thing(ko, en, plural_of(en), counter) for ko, en in pairs]


def _woven(*lists: list[Thing]) -> list[Thing]:
    """The lists dealt out in turn, so that any beginning of the result holds some of each."""
    longest = max(len(part) for part in lists)
    return [part[i] for i in range(longest) for part in lists if i < len(part)]


OBJECTS = _woven(
    _things(
        "개",
        """공=ball, 가방=bag, 열쇠=key, 모자=hat, 인형=doll, 시계=watch, 컵=cup, 상자=box, 안경=pair of glasses,
        풍선=balloon, 반지=ring, 의자=chair, 베개=pillow, 거울=mirror, 지갑=wallet, 단추=button, 망치=hammer,
        바구니=basket, 북=drum, 나팔=trumpet, 주전자=kettle, 냄비=pot, 접시=plate, 그릇=bowl, 숟가락=spoon, 포크=fork,
        병=bottle, 양동이=bucket, 빗=comb, 칫솔=toothbrush, 비누=soap bar, 수건=towel, 손전등=flashlight, 양초=candle,
        종=bell, 리본=ribbon, 목걸이=necklace, 팔찌=bracelet, 동전=coin, 조개껍데기=seashell, 돌멩이=pebble,
        깃털=feather, 블록=block, 주사위=dice cube, 팽이=spinning top, 나침반=compass, 망원경=telescope,
        돋보기=magnifying glass, 전화기=telephone, 라디오=radio, 사진기=camera, 화분=flowerpot, 삽=shovel, 톱=saw,
        못=nail, 사다리=ladder, 바퀴=wheel, 방석=cushion, 이불=blanket, 쟁반=tray, 국자=ladle, 도마=cutting board, 리모컨=remote
        control, 건전지=battery, 자석=magnet, 저금통=piggy bank, 트로피=trophy, 메달=medal, 가면=mask, 요요=yo-yo""",
    ),
    _things(
        "권",
        "책=book, 공책=notebook, 사전=dictionary, 일기장=diary, 앨범=photo album, 만화책=comic book, 잡지=magazine",
    ),
    _things("자루", "연필=pencil, 붓=brush, 볼펜=pen, 크레용=crayon, 칼=knife, 부채=fan, 낫=sickle, 빗자루=broom"),
    _things("장", "사진=photo, 그림=picture, 편지=letter, 지도=map, 엽서=postcard, 카드=card, 우표=stamp, 표=ticket"),
    _things("벌", "옷=outfit, 외투=coat, 치마=skirt, 잠옷=nightgown, 한복=hanbok, 조끼=vest, 비옷=raincoat"),
    _things("대", "자전거=bicycle, 피아노=piano, 기타=guitar, 로봇=robot, 썰매=sled, 수레=cart, 장난감차=toy car"),
    _things("켤레", "신발=pair of shoes, 장갑=pair of gloves, 양말=pair of socks, 장화=pair of boots"),
    _things("송이", "꽃=flower, 장미=rose, 튤립=tulip, 해바라기=sunflower, 백합=lily, 국화=chrysanthemum"),
    _things("개", "우산=umbrella, 연=kite, 목도리=scarf, 배낭=backpack, 가위=pair of scissors, 낚싯대=fishing rod"),
)
FOODS = _woven(
    _things("개", """사과=apple, 빵=bun, 달걀=egg, 귤=tangerine, 감자=potato, 떡=rice cake, 만두=dumpling, 배=pear,
    복숭아=peach,
        고구마=sweet potato, 토마토=tomato, 오이=cucumber, 당근=carrot, 감=persimmon, 자두=plum, 레몬=lemon, 키위=kiwi,
        수박=watermelon, 참외=melon, 호박=pumpkin, 무=radish, 양파=onion, 딸기=strawberry, 오렌지=orange, 망고=mango,
        파인애플=pineapple, 사탕=candy, 초콜릿=chocolate bar, 과자=cookie, 도넛=doughnut, 호두=walnut, 밤=chestnut,
        도토리=acorn, 대추=jujube, 파이=pie, 케이크=cake, 김밥=gimbap roll, 햄버거=hamburger, 샌드위치=sandwich,
        핫도그=hot dog, 소시지=sausage, 석류=pomegranate, 코코넛=coconut, 아보카도=avocado, 피망=bell pepper,
        고추=chili"""),
    _things("마리", "생선=fish, 새우=shrimp, 오징어=squid, 꽃게=crab, 고등어=mackerel, 연어=salmon"),
    _things("그릇", """국수=bowl of noodles, 죽=bowl of porridge, 비빔밥=bowl of bibimbap, 미역국=bowl of seaweed soup,
        떡국=bowl of rice cake soup, 냉면=bowl of cold noodles, 샐러드=bowl of salad, 팥빙수=bowl of shaved ice"""),
    _things("잔", "우유=glass of milk, 주스=glass of juice, 물=glass of water, 차=cup of tea, 코코아=cup of cocoa"),
    _things("송이", "포도=bunch of grapes, 바나나=bunch of bananas"),
    _things("조각", "피자=slice of pizza, 치즈=slice of cheese, 두부=piece of tofu, 김치전=piece of kimchi pancake"),
)  # fmt: skip
ANIMALS = _things("마리", """고양이=cat, 개=dog, 토끼=rabbit, 새=bird, 다람쥐=squirrel, 오리=duck, 말=horse,
나비=butterfly,
    거북이=turtle, 닭=chicken, 소=cow, 여우=fox, 사슴=deer, 개구리=frog, 곰=bear, 양=sheep, 돼지=pig, 쥐=mouse,
    참새=sparrow, 원숭이=monkey, 코끼리=elephant, 사자=lion, 호랑이=tiger, 기린=giraffe, 펭귄=penguin, 염소=goat,
    늑대=wolf, 너구리=raccoon, 고슴도치=hedgehog, 부엉이=owl, 까치=magpie, 까마귀=crow, 비둘기=pigeon, 독수리=eagle,
    백조=swan, 거위=goose, 공작=peacock, 앵무새=parrot, 제비=swallow, 병아리=chick, 송아지=calf, 당나귀=donkey,
    낙타=camel, 하마=hippo, 악어=crocodile, 뱀=snake, 도마뱀=lizard, 달팽이=snail, 개미=ant, 벌=bee, 잠자리=dragonfly,
    거미=spider, 매미=cicada, 돌고래=dolphin, 고래=whale, 상어=shark, 문어=octopus, 물개=seal, 수달=otter, 두더지=mole,
    박쥐=bat, 캥거루=kangaroo, 코알라=koala, 판다=panda""")  # fmt: skip
