"""Words too common to tell one event from another."""

from __future__ import annotations

_ENGLISH = """
a about above after again against all also am an and any are as at be because been before being
below between both but by can cannot could did do does doing done down during each either else ever
every few for from further get gets getting go goes going gone got had has have having he her here
hers herself him himself his how i if in into is it its itself just let let's like lot lots may me
might mine more most much must my myself neither no nor not now of off oh ok okay on once one only
or other ought our ours ourselves out over own per quite rather really same shall she should so
some such than that the their theirs them themselves then there these they thing things this those
though through to too under until up upon us very via was we well were what whatever when where
whether which while who whoever whom whose why will with within without would yeah yes yet you your
yours yourself yourselves
aint arent cant couldnt didnt doesnt dont hadnt hasnt havent im isnt ive shouldnt thats theyre
wasnt werent wont wouldnt youre youve eg ie etc vs
"""

# Only words that are not English words too: dropping "die", "war", "son" or "once" would cost
# English texts more than it gains German, French or Spanish ones.
_GERMAN = """
aber als auch auf aus bei bin bist dann das dass dein dem den denn der des dich dir doch du durch
ein eine einem einen einer eines er es euch für haben hatte ich ihm ihn ihr ihre im ist ja jede
kann kein keine mein meine mich mir mit nach nicht noch nur ob oder ohne schon sehr sein seine sich
sie sind so über um und uns unser vom von vor wenn wer wie wir wird wo zu zum zur
"""
_FRENCH = """
ai au aux avec ce ces cette dans de des du elle elles en est et été être eux il ils je la le les
leur leurs lui ma mais mes moi ne nos notre nous ont ou où par pas plus pour qu que qui sa sans
se sera ses sont sur ta te tes toi tu un une vos votre vous
"""
_SPANISH = """
al algo como con cuando del desde donde el ella ellas ellos entre era eres esa ese eso esta está
estas este esto fue ha hay la las lo los más mi mis muy nada ni nos o para pero por porque qué
quien se ser si sí sobre su sus también te tengo tiene todo tu tus un una uno unos y ya yo
"""
_ITALIAN = """
anche che chi ci cui della delle degli dei di gli ho hai hanno io loro ma nel nella non noi o per
perché più quando quello questa questo sono sul sulla suo sua tra tutti un uno voi
"""
_PORTUGUESE = """
ao aos as com da das dele dela do dos ela ele em essa esse eu foi isso isto já mais mas meu minha
muito na não nas nós nos num numa os ou pela pelo quando são seu sua também tem um uma você
"""
_DUTCH = """
aan deze die dit dat een en het hij hun ik je jij maar met naar niet nog ook op over te uit van
voor waar wat wij zij zijn
"""

# What the lists above share with English content words, in the sense of the English word.
_KEEP = frozenset(("come", "die", "era", "per", "plus", "pour", "sin", "son", "ma", "pas", "tem"))

STOP_WORDS = frozenset(_ENGLISH.split()) | (
    frozenset((_GERMAN + _FRENCH + _SPANISH + _ITALIAN + _PORTUGUESE + _DUTCH).split()) - _KEEP
)
"""Case-folded words that are not indexed."""

CAPITAL_WORDS = frozenset({"IT", "May", "US", "WHO", "Will"})
"""Words that mean something else when written so: these are indexed."""

# Function words that tell a text in Latin letters that is not English. No words of English, and no
# names common in it ("ben", "kim", "dan").
_CZECH = """
ale ještě jak je jsem jsi jsou kde kdy kdo která který mám moje můj na ne nebo pro při tady také
teď už velmi vždy zase že
"""
_DANISH_AND_NORWEGIAN = """
af alltid altid av blev ble der er et fra hadde havde hun hva hvad hvem hvor hvordan igen ikke jeg
meget mye nu når nå og også på som til
"""
_FINNISH = """
aina ei en että hyvin hän hänen ja jo joka jos kenelle keneltä kenen kuka kuin kun meidän mihin mikä
miksi milloin minulla minun minä missä mistä mutta myös niin nyt olen olet oli ovat se siellä
sinulla sinun sinä taas täällä tämä vain vielä
"""
_HUNGARIAN = """
azt csak egy ezt hogy hol itt már megint mert mikor mindig még nagyon nem ott vagy volt én és ő
"""
_INDONESIAN = """
ada adalah akan apa bagaimana dari dengan dia ini itu juga kamu kami kapan kita lagi masih pada
sangat saya sekarang selalu siapa sini sudah tidak untuk yang
"""
_POLISH = """
ale bardzo był była było być co czy dla gdzie ich jak jaka jaki jakie jego jej jest jestem jeszcze
już kiedy kogo kto która które który ma mam masz mi mnie moja moje mój na nie od po przy są się ta
tak tego tej teraz tutaj tym w zawsze ze znowu za że
"""
_ROMANIAN = """
acolo acum aici ce cine cu când din este foarte iar mereu nu pentru sunt să unde în încă și
"""
_SWEDISH = """
alltid att av det du då där ett från för hade han hon här igen inte jag med mig mitt mycket när nu
och på som till vad vem är ännu
"""
_TURKISH = """
ama artık benim bir bizim bu burada da daha değil gibi hangi hep hiç için ile kime kimden mı mu mü
ne nerede nereden nereye onun orada sen senin siz çok şimdi şu ve yine yok
"""
_VIETNAMESE = """
anh bạn cho có của gì không khi là một này nào những được đâu đó tôi và với ở
"""
# What the lists of stop words above leave out, since it is not common enough to drop.
_ELSEWHERE = """
adesso agora ahora ainda allí altijd ancora aquí daar déjà dort encore già gibt heel hier ici immer
jetzt maintenant molto nein non qui sempre siempre todavía toujours très wieder
"""
# What English uses too, or uses as a name, a loan or an abbreviation: it tells nothing.
_SHARED = """
a af ai also am an as at aux bin ci de del der die dir do em er for had has he her his i in is it
kde me met min no non num o of on op or os over pro so su te til till to todo um under van var w was
we y ya yang yo
"""

_OTHERS = (
    _GERMAN, _FRENCH, _SPANISH, _ITALIAN, _PORTUGUESE, _DUTCH, _CZECH, _DANISH_AND_NORWEGIAN,
    _FINNISH, _HUNGARIAN, _INDONESIAN, _POLISH, _ROMANIAN, _SWEDISH, _TURKISH, _VIETNAMESE,
    _ELSEWHERE,
)  # fmt: skip

ENGLISH = frozenset(_ENGLISH.split()) - frozenset(_SHARED.split())
"""Case-folded words that tell a text that is English."""

NOT_ENGLISH = frozenset(" ".join(_OTHERS).split()) - frozenset((_ENGLISH + _SHARED).split()) - _KEEP
"""Case-folded words that tell a text in Latin letters that is not English; not indexed in it."""

# As an index term is written: without accents, candrabindu as anusvara, no nukta.
_ARABIC = """
ان انا انت او اين التي الذي الى ثم ذلك على عن عند في قد كان كانت كل كيف لا لكن لم ما ماذا متى مع من
نحن هذا هذه هل هو هي
"""
_GREEK = """
απο για δεν ειναι ενα ηταν η θα και με μια να ο οι ποιος ποτε που σε στη στην στο τα τη την της τι
το του των
"""
_HINDI = """
एक और का कि की के को कौन कब कहां कैसे किस क्या जो तुम तो था थी थे ने नहीं पर भी में मेरा मेरी मेरे मैं
यह या ये वह वे से ही है हैं हो हम आप
"""
_RUSSIAN = """
а бы был была были было быть в вам вас во вы где для до его ее если есть еще же за и из или их к
какая какие какой как когда ко кто ли меня мне мои мой моя мы на нам нас не но о об он она они от
по при про с себе со так тебя то ты у уже что чтобы чей эта эти это этот я
"""

SCRIPT_STOP_WORDS = frozenset((_ARABIC + _GREEK + _HINDI + _RUSSIAN).split())
"""Function words in letters other than Latin that are not indexed."""
