from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from janfs.engines.protocol import EngineSettings, SamplingParams
from janfs.errors import InvalidInput
from janfs.manifest.effective import BUILT_IN, Effective, Layer, Origin, effective, values
from janfs.manifest.parameters import ENGINE_PARAMETERS, MODEL_PARAMETERS, Parameter, checked

ENGINE, USER, REQUEST = Origin("engine", "engines/x.json"), Origin("user", "m/model.json"), Origin("request")


def engine(*layers: tuple[Origin, dict[str, Any]]) -> dict[str, Effective]:
    return effective(ENGINE_PARAMETERS, [Layer(origin, given) for origin, given in layers])


def null_in(origin: Origin) -> Origin:
    return Origin("built-in", origin.file)


class TestLayers:
    def test_without_layers_everything_is_built_in(self) -> None:
        found = engine()
        assert values(found)["ctx_len"] == 4096
        assert {setting.origin for setting in found.values()} == {BUILT_IN}

    def test_the_highest_layer_that_gives_a_value_wins(self) -> None:
        found = engine((ENGINE, {"ctx_len": 1, "ngl": 2}), (USER, {"ctx_len": 3}), (REQUEST, {}))
        assert found["ctx_len"] == Effective(3, USER)
        assert found["ngl"] == Effective(2, ENGINE)
        assert found["n_batch"] == Effective(512, BUILT_IN)

    def test_zero_and_false_are_values(self) -> None:
        found = engine((ENGINE, {"ngl": 50}), (USER, {"ngl": 0, "cont_batching": False}))
        assert found["ngl"] == Effective(0, USER)
        assert found["cont_batching"] == Effective(False, USER)

    def test_null_goes_back_to_what_is_built_in_past_the_layers_below(self) -> None:
        found = engine((ENGINE, {"ngl": 7}), (USER, {"ngl": None}))
        assert found["ngl"] == Effective(100, null_in(USER)), "and it is known whose null it was"

    def test_a_layer_above_null_still_counts(self) -> None:
        found = engine((ENGINE, {"ngl": 7}), (USER, {"ngl": None}), (REQUEST, {"ngl": 9}))
        assert found["ngl"] == Effective(9, REQUEST)

    def test_null_takes_away_what_nothing_built_in_stands_behind(self) -> None:
        assert "mmproj" not in engine((ENGINE, {"mmproj": "a"}), (USER, {"mmproj": None}))
        assert "own" not in engine((ENGINE, {"own": 1}), (USER, {"own": None}))

    def test_unknown_settings_pass_through(self) -> None:
        assert engine((USER, {"own": [1]}))["own"] == Effective([1], USER)

    def test_a_wrong_value_is_refused_by_name(self) -> None:
        with pytest.raises(InvalidInput, match="temperature must be a number from 0 to 2") as caught:
            effective(MODEL_PARAMETERS, [Layer(REQUEST, {"temperature": 9})])
        assert caught.value.param == "temperature"

    @given(
        layers=st.lists(
            st.dictionaries(
                st.sampled_from(["ctx_len", "ngl", "own"]), st.none() | st.integers(0, 99), max_size=3
            ),
            max_size=5,
        )
    )
    def test_it_is_what_asking_layer_by_layer_from_the_top_gives(self, layers: list[dict[str, Any]]) -> None:
        origins = [Origin("user", str(number)) for number in range(len(layers))]
        found = engine(*zip(origins, layers, strict=True))
        for name in ("ctx_len", "ngl", "own"):
            default = None if name == "own" else ENGINE_PARAMETERS[name].default
            expected = None if default is None else Effective(default, BUILT_IN)
            for number, layer in reversed(list(enumerate(layers))):
                if name in layer:
                    asked = origins[number]
                    if layer[name] is not None:
                        expected = Effective(layer[name], asked)
                    elif default is not None:
                        expected = Effective(default, null_in(asked))
                    break
            assert found.get(name) == expected, name


class TestTheTables:
    @pytest.mark.parametrize(
        ("table", "struct"), [(ENGINE_PARAMETERS, EngineSettings), (MODEL_PARAMETERS, SamplingParams)]
    )
    def test_defaults_are_those_of_the_engine_protocol(
        self, table: dict[str, Parameter], struct: Any
    ) -> None:
        built_in = values(effective(table, []))
        for field in msgspec.structs.fields(struct):
            if field.name in built_in:
                default = built_in[field.name]
                default = tuple(default) if isinstance(default, list) else default
                assert default == field.default, field.name

    @pytest.mark.parametrize(
        ("table", "struct"), [(ENGINE_PARAMETERS, EngineSettings), (MODEL_PARAMETERS, SamplingParams)]
    )
    def test_every_bound_is_one_that_the_engine_protocol_keeps(
        self, table: dict[str, Parameter], struct: Any
    ) -> None:
        for known_as, parameter in table.items():
            name = {"typ_p": "typical_p"}.get(known_as, known_as)
            if name not in struct.__struct_fields__ or parameter.kind not in ("integer", "number"):
                continue
            assert parameter.low is not None, f"{known_as} has no bounds, so every request would fail"
            assert parameter.high is not None, known_as
            for bound, beyond in ((parameter.low, parameter.low - 1), (parameter.high, parameter.high + 1)):
                struct(**{name: bound})
                if (name, beyond) == ("max_tokens", 0):
                    continue  # a single request may only compute its prompt
                with pytest.raises(InvalidInput):
                    struct(**{name: beyond})

    @pytest.mark.parametrize("table", [ENGINE_PARAMETERS, MODEL_PARAMETERS])
    def test_every_default_is_a_value_that_would_be_accepted(self, table: dict[str, Parameter]) -> None:
        for name, parameter in table.items():
            if parameter.default is not msgspec.UNSET:
                assert checked(name, parameter, parameter.default) == parameter.default, name

    @given(
        name=st.sampled_from(sorted({**ENGINE_PARAMETERS, **MODEL_PARAMETERS})),
        value=st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text(st.sampled_from("-+.0123456789eEtrufals onN/A"), max_size=8)
        | st.lists(st.text(max_size=3), max_size=20),
    )
    def test_checking_is_settled_after_one_round(self, name: str, value: Any) -> None:
        parameter = {**ENGINE_PARAMETERS, **MODEL_PARAMETERS}[name]
        try:
            once = checked(name, parameter, value)
        except InvalidInput as error:
            assert error.param == name  # noqa: PT017
            return
        assert checked(name, parameter, once) == once
