"""What the checks of OpenAI's own Python library have in common."""

import json
import sys

import openai
from pydantic import BaseModel, TypeAdapter

STORY = "Tell me a story about a lighthouse"
FUNCTION = {
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "strict": False,
}
TOOL = {"type": "function", **FUNCTION}
# The same for Chat Completions and Assistants.
WRAPPED_TOOL = {"type": "function", "function": FUNCTION}

# What OpenAI's description of the wire has, and the library's types have not.
NOT_TYPED = {
    "Response.frequency_penalty",
    "Response.presence_penalty",
    "Response.store",
    "ResponseTextDeltaEvent.obfuscation",
    "ResponseFunctionCallArgumentsDeltaEvent.obfuscation",
    "ResponseFunctionCallArgumentsDoneEvent.name",
}


def check(what, right, *shown):
    if not right:
        print("WRONG", what, *shown)
        sys.exit(1)
    print(f"ok python {check.part}: {what}")


def extras(value):
    """The members, at any depth, that the library has no type for."""
    if isinstance(value, BaseModel):
        kind = type(value).__name__
        found = {f"{kind}.{name}" for name in value.model_extra or {}}
        return found.union(*(extras(getattr(value, name)) for name in value.model_fields_set))
    if isinstance(value, list):
        return set().union(*map(extras, value))
    return set()


def assert_typed(sent, declared):
    """The library takes what it is sent unread. This reads it: every member has its declared type, and none is unknown."""
    if isinstance(sent, BaseModel):
        sent = sent.to_dict(mode="json", exclude_unset=True, warnings=False)
    read = TypeAdapter(declared).validate_json(json.dumps(sent), strict=True)
    unknown = extras(read) - NOT_TYPED
    if unknown:
        raise ValueError(f"{unknown} in {sent}")


def typed_events(stream, declared):
    events = []
    for event in stream:
        assert_typed(event, declared)
        events.append(event)
    return events


def refused(call, kind, **expected):
    """Whether the call fails with exactly this exception, which says this."""
    try:
        call()
    except openai.APIStatusError as error:
        said = {name: getattr(error, name) for name in expected}
        return type(error) is kind and said == expected and error.type == "invalid_request_error"
    return False
