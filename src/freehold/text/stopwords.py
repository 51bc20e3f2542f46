"""Short lists of words that carry no topic, lower-cased, by language.

Short on purpose: prepositions of obligation ("shall", "unless", "without") and negations decide cases, so they stay.
"""

from __future__ import annotations

from collections.abc import Mapping


def _word_set(words: str) -> frozenset[str]:
    return frozenset(words.split())


STOP_WORDS: Mapping[str, frozenset[str]] = {
    "en": _word_set(
        """a about an and are as at be been being but by can could did do does for from had has have he her here
        hers him his how i if in into is it its itself me my of on or our ours she so some such than
        that the their theirs them then there these they this those to was we were what when where which
        who whom whose why will with would you your yours s t"""
    ),
    "de": _word_set(
        """aber als also am an auch auf aus bei beim bin bis bist da dabei dafür damit dann das dass daß dazu dem
        den denn der deren des dessen die dies diese diesem diesen dieser dieses doch dort du durch ein
        eine einem einen einer eines er es euch euer für habe haben hat hatte hatten hier ich ihm ihn
        ihnen ihr ihre ihrem ihren ihrer ihres im in ins ist ja jede jedem jeden jeder jedes kann können
        man mein meine meiner mich mir mit nach noch nun nur ob oder sein seine seinem seinen seiner
        seines sich sie sind so soll sollen sowie über um und uns unser unsere unter vom von vor war
        waren was wegen weil welche welchem welchen welcher welches wenn wer werde werden wie wird wir wo
        wurde wurden zu zum zur zwischen"""
    ),
    "fr": _word_set(
        """a afin ai alors au aussi autre autres aux avait avec avez avoir avons c ce ceci cela celle celles celui
        ces cet cette ceux chez ci comme comment d dans de des dont du elle elles en entre es est et été
        être eu fait faut il ils j je l la là le les leur leurs lorsqu lorsque lui m ma mais me mes moi
        mon même n ne nos notre nous on ont ou où par peut peuvent plus pour pourquoi puis qu quand que
        quel quelle quelles quels qui quoi s sa se sera ses si soit son sont sur t ta te tes toi ton
        tous tout toute toutes tu un une vers vos votre vous y à ça étaient était étant"""
    ),
}
