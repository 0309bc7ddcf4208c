"""JSON Schemas as grammars: GBNF that allows the JSON texts that fit, and no others."""
