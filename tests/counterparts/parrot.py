"""A model for fastresponses that is none: it answers with what the user said so far, as JSON.

Asked to count, it says "One, " and no more; when its client leaves, it makes the file PARROT_STOPPED.
"""

import asyncio
import json
import os
import pathlib

from fastresponses import AgentAdapter, TextDelta, UsageDelta


class Parrot(AgentAdapter):
    name = "parrot"

    async def run(self, run):
        messages = [item for item in run.context_items if item.type == "message"]
        said = [item.text() for item in messages if item.role == "user"]
        if said[-1].startswith("Count"):
            yield TextDelta("One, ")
            try:
                await asyncio.Event().wait()
            finally:
                pathlib.Path(os.environ["PARROT_STOPPED"]).touch()
        text = json.dumps(said)
        for start in range(0, len(text), 8):
            yield TextDelta(text[start : start + 8])
        yield UsageDelta(input_tokens=len(said), output_tokens=1, total_tokens=len(said) + 1)


parrot = Parrot()
