"""What people say in many languages is found again with no model, asked in other forms."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast import Memory

# Language, three things said, and a question about the first of them.
SAID = {
    "arabic": (
        ("وضعت نظارتي فوق الثلاجة", "المطر لا يتوقف منذ الفطور", "اشتريت معطفا من السوق"),
        "أين النظارة؟",
    ),
    "chinese": (("我家的猫睡在沙发底下", "今天火车又晚点了", "昨天买了一辆自行车"), "猫在哪儿？"),
    "czech": (
        ("Včera jsem koupila kolo na trhu", "Dnes zase prší", "Bratr se stěhuje do Brna"),
        "Kde je to kolo?",
    ),
    "finnish": (
        ("Meidän kissamme nukkuu sohvan alla", "Junani on taas myöhässä", "Ostin eilen pyörän"),
        "Missä on kissan nukkumapaikka?",
    ),
    "german": (
        ("Meine Brillen liegen auf dem Tisch", "Es regnet schon wieder", "Wir essen heute Suppe"),
        "Wo ist die Brille?",
    ),
    "greek": (
        ("Η γάτα κοιμάται στην κουζίνα", "Σήμερα βρέχει πολύ", "Αγόρασα ένα ποδήλατο"),
        "Πού είναι το φαγητό της γάτας;",
    ),
    "hebrew": (("קניתי אופניים בשוק", "היום יורד גשם", "אחי גר בחיפה"), "איפה נקנו אופניים?"),
    "hindi": (
        ("हमारा कुत्ता सीढ़ियों के नीचे सोता है", "आज बहुत बारिश है", "मैंने नया पंखा खरीदा"),
        "कुत्ते को कहाँ ढूँढें?",
    ),
    "hungarian": (
        ("A kulcsokat a virágcserép alá tettem", "Ma megint esik az eső", "Vettem egy kabátot"),
        "Hol van a kulcsom?",
    ),
    "japanese": (
        ("猫はソファの下で寝ている", "今日も電車が遅れた", "自転車を買った"),
        "猫はどこ？",
    ),
    "khmer": (("ឆ្មារបស់ខ្ញុំដេកក្រោមតុ", "ថ្ងៃនេះមានភ្លៀង", "ខ្ញុំទិញកង់ថ្មី"), "ឆ្មានៅឯណា"),
    "korean": (
        ("표를 요리책 사이에 두었어", "오늘 기차가 또 늦었어", "어제 자전거를 샀어"),
        "내 표는 어디 있지?",
    ),
    "polish": (
        ("Schowałam parasolkę za szafą", "Znowu pada deszcz", "Mój brat ma nowy rower"),
        "Gdzie szukać parasolki?",
    ),
    "portuguese": (
        ("Guardei as chaves na gaveta", "Hoje está chovendo muito", "O meu irmão mora no Porto"),
        "Onde está a chave?",
    ),
    "russian": (
        ("Ключи лежат под цветочным горшком", "Сегодня опять идёт дождь", "Брат живёт в Твери"),
        "Где искать ключ от дома?",
    ),
    "swedish": (
        ("Nycklarna ligger på bordet", "Det regnar igen", "Jag köpte en cykel igår"),
        "Var är nyckeln?",
    ),
    "tamil": (
        ("பூனை சமையலறையில் தூங்குகிறது", "இன்று மழை பெய்கிறது", "நான் மிதிவண்டி வாங்கினேன்"),
        "பூனைகள் எங்கே?",
    ),
    "thai": (("แมวที่บ้านนอนใต้โซฟา", "วันนี้ฝนตก", "ฉันซื้อจักรยานใหม่"), "แมวอยู่ที่ไหน"),
    "turkish": (
        ("Anahtarlarımı saksının altına koydum", "Bugün yine yağmur yağıyor", "Bir bisiklet aldım"),
        "Anahtarı nerede bulurum?",
    ),
    "ukrainian": (
        ("Наша кішка спить на кухні", "Сьогодні знову йде дощ", "Я купила велосипед"),
        "Де сховалися від мене кішки?",
    ),
    "vietnamese": (
        ("Con mèo ngủ dưới ghế", "Hôm nay trời mưa to", "Tôi mới mua xe đạp"),
        "Mèo đang ở đâu?",
    ),
}  # fmt: skip


@pytest.mark.parametrize("language", SAID)
@pytest.mark.parametrize("last", [False, True])
def test_the_right_one_comes_first(language: str, last: bool, tmp_path: Path) -> None:
    said, question = SAID[language]
    order = said[::-1] if last else said
    with Memory.open(tmp_path / "m.holdfast", budget="4 MiB", durability="off") as memory:
        for number, text in enumerate(order):
            memory.observe(text, scope=f"{number}")  # apart, so that none lends to another
        found = memory.rank(question)
    assert found, question
    assert order[found[0].seq - 1] == said[0]


def test_accents_and_spellings_left_out_are_forgiven(tmp_path: Path) -> None:
    pairs = [
        ("Il est allé à l'école", "ecole"),
        ("Ёлка стоит в углу", "елка"),
        ("מַיִם קרים", "מים"),
        ("आँखें", "आंखें"),
        ("أحمد في البيت", "احمد"),
        ("ｶﾀｶﾅ", "カタカナ"),
    ]
    with Memory.open(tmp_path / "m.holdfast", budget="4 MiB", durability="off") as memory:
        for text, _ in pairs:
            memory.observe(text)
        for seq, (_, query) in enumerate(pairs, 1):
            assert [hit.seq for hit in memory.rank(query, limit=1)] == [seq]
