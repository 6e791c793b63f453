"""Which account names look alike: a skeleton in the manner of Unicode Technical Standard #39.

Rules: two names of one domain may not have the same skeleton (docs/protocol.md, "Names"); a skeleton is
only compared, never shown, kept as a name or sent; the name given is already PRECIS UsernameCaseMapped,
so only characters that such a name can hold are in the tables.

This is not the whole of confusables.txt (9,600 pairs, most of which no name can hold). It holds every
letter and digit that PRECIS lets into a name and UTS #39 draws as ASCII letters or digits, and the pairs
among Latin, Greek, Cyrillic and Armenian that have no ASCII counterpart. It differs from UTS #39 where
a name in lower case asks for it: `w` is `vv` (as UTS #39 has `m` for `rn`), the palochka is an `l` as it
is drawn, letters whose prototype is a capital fold to its small letter, compatibility forms and case are
folded first. A capital I needs no rule: names are stored and shown in lower case.
"""

import re
import unicodedata

_ASCII = {"0": "o", "1": "l", "|": "l", "m": "rn", "w": "vv"}

_LOOKS_LIKE = {
    "a": "ɑαаᗅꓮ𐊠𖽀",
    "aa": "ꜳ",
    "ae": "æӕ",
    "ao": "ꜵ",
    "au": "ꜷ",
    "av": "ꜹꜻ",
    "ay": "ꜽ",
    "b": "ᑲᖯᗷꓐ𐊂𐊡𐌁",
    "c": "сᴄⲥꮯ𐐽ꓚ𐊢𐌂𐔜𑣩",
    "d": "ԁᑯꓒᗞᗪꓓ",
    "dz": "ʣ",
    "e": "еҽꬲⴹꓰ𐊆",
    "f": "քẝꞙꬵᖴꓝ𐊇𐊥𐔥𑣂",
    "g": "ƍɡցᶃꓖ",
    "h": "һհᕼꓧ𐋏",
    "i": "ıɩɪιіꙇꭵ𑣃",
    "j": "ϳјᒍꓙ",
    "k": "ᛕꓗ𐔘",
    "l": "ӏǀ۱ᛁⵏꓲ𐊊𐌉𖼨ᒪꓡ𐔦𖼖",
    "ll": "ǁ",
    "ls": "ʪ",
    "lz": "ʫ",
    "m": "𑜀𑣣ᗰᛖꓟ𐊰𐌑",
    "n": "ոռꓠ𐔓",
    "o": "οσоօ۵०੦૦௦ం౦ಂ೦ംഠ൦ං๐໐ဝ၀ჿᴏᴑⲟꬽ𐐬𐓪𑣈𑣗০ଠ୦ዐⵔ〇ꓳ𐊒𐊫𐔖𑓐𑣠",
    "oe": "œ",
    "oo": "ꚙꝏ",
    "p": "ρрⲣᑭꓑ𐊕",
    "q": "ԛգզⵕ",
    "r": "гᴦⲅꭇꭈꮁᖇꓣ𖼵",
    "s": "ƽѕꜱꮪ𐑈𑣁ꓢ𐊖𖼺",
    "t": "ꓔ𐊗𐊱𐌕𖼊",
    "tf": "ꝷ",
    "ts": "ʦ",
    "u": "ʋυսᴜꞟꭎꭒ𐓶𑣘ሀᑌꓴ𖽂",
    "ue": "ᵫ",
    "uo": "ꭣ",
    "v": "νѵᴠꮩ𑜆𑣀۷ᐯⴸꓦꛟ𐔝𖼈",
    "w": "ɯѡԝաᴡꮃ𑜊𑜎𑜏ꓪ𑣦",
    "x": "хᕁᕽᚷⵝꓫ𐊐𐊴𐌗𐔧",
    "y": "ɣʏγуүყᶌỿꭚ𑣜ꓬ𐊲𖽃",
    "z": "ᴢꮓ𑣄ꓜ𑣥",
    "2": "ᒿ",
    "3": "𑣊𖼻",
    "6": "б𑣕",
    "7": "𑣆",
    "8": "ȣ৪੪ଃ𐌚",
    "9": "৭੧୨൭𑣌𑣖",
    "'": "ʹʻʼʽʾˈˊˋꞌ",
    # no ASCII counterpart: the first character of each kind stands for all
    "ʙ": "в",
    "ɛ": "εєԑꞓ",
    "δ": "ծẟ",
    "ə": "ǝә",
    "ɜ": "зᴈ",
    "ʚ": "ꞝ",
    "ɢ": "ԍ",
    "ʜ": "нꮋ",
    "ȷ": "յ",
    "ᴎ": "ͷи",
    "ɔ": "ͻᴐↄ",
    "ᴘ": "ᴩ",
    "φ": "ɸф",
    "ĸ": "κкᴋⲕ",
    "я": "ᴙ",
    "β": "ꞵ",
    "ᴛ": "τт",
    "ɰ": "պ",
    "ʌ": "ᴧ",
    "ᴍ": "ʍм",
    "ʒ": "ȝӡꝫ",
    "þ": "ƿϸ",
    "ƨ": "ᴤꙅ",
    "ƅ": "ь",
    "π": "пᴨ",
    "χ": "ꭓꭕ",
    "ψ": "ѱ",
    "ω": "ꙍꞷ",
    "л": "ᴫ",
    "љ": "ꭠ",
    # combining marks that a small font draws alike
    "\u0306": "\u030c",  # breve, caron
    "\u0307": "\u030a",  # dot, ring above
    "\u0327": "\u0326",  # cedilla, comma below
}

_TABLE = str.maketrans(
    _ASCII
    | {
        character: "".join(_ASCII.get(letter, letter) for letter in shape)
        for shape, characters in _LOOKS_LIKE.items()
        for character in characters
    }
)
_ASCII_TABLE = str.maketrans(_ASCII)
_DOTTED = re.compile("([ij])\u0307+")


def skeleton(local: str) -> str:
    """What a local part looks like: names with equal skeletons are confusable (UTS #39, section 4).

    ``local`` is a canonical local part. Slashes between segments are kept, so `a/b` is compared with `a/b`.
    Never raises. Idempotent: the skeleton of a skeleton is itself.
    """
    if local.isascii():
        return local.lower().translate(_ASCII_TABLE)
    text = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", local).casefold())
    text = "".join(character for character in text if unicodedata.category(character) != "Cf")
    # the table may bring an i under a dot, so dots go last; NFKD again puts mapped marks in canonical order
    return _DOTTED.sub(r"\1", unicodedata.normalize("NFKD", text.translate(_TABLE)))
