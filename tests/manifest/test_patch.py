from typing import Any

import pytest

from janfs.errors import InvalidInput
from janfs.manifest.leaves import REMOVED, Pointer, applied
from janfs.manifest.patch import check_names, full_path, located, merge_patch, owners
from janfs.manifest.places import Places

BASE = {"name": "N", "model_parameters": {"top_p": 1, "stop": ["</s>"]}, "metadata": {"size": 1, "tags": []}}


class TestMergePatch:
    def test_null_takes_out_and_the_rest_is_set_leaf_by_leaf(self) -> None:
        body = {"name": "x", "metadata": None, "model_parameters": {"top_p": None, "stop": ["a"]}}
        assert merge_patch(body).values == {
            ("name",): "x",
            ("metadata",): REMOVED,
            ("model_parameters", "top_p"): REMOVED,
            ("model_parameters", "stop"): ["a"],
        }

    @pytest.mark.parametrize("body", [[], "text", 1, None])
    def test_it_is_an_object(self, body: Any) -> None:
        with pytest.raises(InvalidInput, match="is an object"):
            merge_patch(body)

    def test_a_field_is_not_set_and_given_back_at_once(self) -> None:
        with pytest.raises(InvalidInput) as caught:
            merge_patch({"metadata": None}, [("metadata", "tags")])
        assert caught.value.param == "metadata.tags"

    def test_a_parameter_may_be_called_by_its_name(self) -> None:
        assert full_path("ctx_len") == ("engine_parameters", "ctx_len")
        assert full_path("top_p") == ("model_parameters", "top_p")
        assert full_path("metadata.tags") == ("metadata", "tags")


class TestNames:
    @pytest.mark.parametrize(
        ("body", "param", "hint"),
        [
            ({"nam": 1}, "nam", "name"),
            ({"engine_parameters": {"ctxlen": 1}}, "engine_parameters.ctxlen", "ctx_len"),
            ({"id": "other"}, "id", "rename"),
            ({"settings": {"ngl": 1}}, "settings.ngl", "not a field"),
        ],
    )
    def test_what_is_not_known_is_refused_with_its_path(self, body: Any, param: str, hint: str) -> None:
        with pytest.raises(InvalidInput, match=hint) as caught:
            check_names(merge_patch(body), Places({}))
        assert caught.value.param == param

    def test_what_stands_in_the_file_already_may_be_changed(self) -> None:
        check_names(
            merge_patch({"mine": 2, "engine_parameters": {"own": None}}),
            Places({"mine": 1, "engine_parameters": {"own": 1}}),
        )

    def test_metadata_is_free(self) -> None:
        check_names(merge_patch({"metadata": {"anything": {"at": "all"}}}), Places({}))


class TestPlaces:
    def test_a_change_lands_on_the_file_s_own_spelling(self) -> None:
        places = Places({"settings": {"ngl": 1}, "parameters": {"token_limit": 1}})
        patch = merge_patch({"engine_parameters": {"ngl": 2}, "model_parameters": {"max_tokens": 3}})
        assert located(patch, None, places) == {("settings", "ngl"): 2, ("parameters", "token_limit"): 3}

    def test_a_source_that_is_a_text_makes_way_for_a_list(self) -> None:
        patch = merge_patch({"sources": [{"url": "b"}]})
        assert applied({"source_url": "a"}, located(patch, None, Places({"source_url": "a"}))) == {
            "sources": [{"url": "b"}]
        }


class TestGivenBack:
    def back(self, *pointers: Pointer, disk: dict[str, Any]) -> dict[str, Any]:
        return applied(disk, located(merge_patch({}, pointers), BASE, Places(disk)))

    def test_it_is_as_it_was_generated(self) -> None:
        assert self.back(("name",), disk={"name": "Mine"}) == {"name": "N"}
        assert self.back(("metadata",), disk={}) == {"metadata": {"size": 1, "tags": []}}
        assert self.back(("engine",), disk={"engine": "mine"}) == {}

    def test_it_is_no_longer_the_person_s(self) -> None:
        patch = merge_patch({"name": "x"}, [("metadata", "tags")])
        assert owners(patch, BASE, [("metadata", "tags"), ("engine",)]) == {("engine",), ("name",)}

    def test_of_an_object_that_is_theirs_the_rest_stays_theirs(self) -> None:
        patch = merge_patch({}, [("metadata", "tags")])
        assert owners(patch, BASE, [("metadata",)]) == {("metadata", "size")}

    def test_a_whole_object_goes_back_with_all_in_it(self) -> None:
        patch = merge_patch({}, [("metadata",)])
        assert owners(patch, BASE, [("metadata", "size"), ("metadata", "tags")]) == frozenset()

    def test_a_file_that_was_never_generated_has_nothing_to_give_back(self) -> None:
        with pytest.raises(InvalidInput, match="not made by janfs") as caught:
            located(merge_patch({}, [("name",)]), None, Places({}))
        assert caught.value.param == "name"
