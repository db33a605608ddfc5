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
