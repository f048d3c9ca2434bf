"""Every word on a node can be translated, and one other language is complete."""

from __future__ import annotations

import pytest

from tools.make_locales import LOCALES, english, missing, read_words, to_text

LANGUAGES = sorted(path.name for path in LOCALES.iterdir() if path.is_dir())


def test_the_english_file_is_what_the_nodes_say(object_info):
    path = LOCALES / "en" / "nodeDefs.json"
    made = to_text(english(object_info))
    assert path.read_text(encoding="utf-8") == made, "run `python -m tools.make_locales`"


def test_there_is_more_than_one_language():
    assert "en" in LANGUAGES and len(LANGUAGES) > 1


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language_is_complete_and_names_nothing_else(language, object_info):
    assert missing(english(object_info), read_words(language)) == []


def test_missing_names_what_is_not_there_and_what_is_too_much():
    words = {"A": {"display_name": "a", "inputs": {"x": {"name": "x", "tooltip": ""}}}}
    assert missing(words, {}) == ["A.display_name", "A.inputs.x.name"]
    assert missing(words, {**words, "B": {}}) == ["B is not in the English file"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_host_serves_the_words(language, server, object_info):
    served = server.get_json("/i18n")[language]["nodeDefs"]
    for node in english(object_info):
        assert served[node]["display_name"] == read_words(language)[node]["display_name"]
