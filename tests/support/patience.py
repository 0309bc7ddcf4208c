"""How long tests wait for what must come. A machine that is busy with other things is no defect."""

PATIENCE = 120.0  # seconds; a wait ends as soon as the thing has happened, so this costs only tests that fail
