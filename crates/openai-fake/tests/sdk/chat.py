"""Chat Completions, asked by OpenAI's own Python library."""

import openai
from common import STORY, WRAPPED_TOOL, assert_typed, check, refused, typed_events
from openai.types.chat import ChatCompletion, ChatCompletionChunk

QUESTION = [{"role": "user", "content": "How is the weather?"}]
STORY_ASKED = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": STORY}]


def text_of(chunks, index=0):
    choices = [choice for chunk in chunks for choice in chunk.choices if choice.index == index]
    return "".join(choice.delta.content or "" for choice in choices)


def completions(client, model):
    whole = client.chat.completions.create(model=model, messages=STORY_ASKED, n=2)
    assert_typed(whole, ChatCompletion)
    texts = [choice.message.content for choice in whole.choices]
    check("a completion is typed throughout", whole.choices[0].finish_reason == "stop", whole)
    check("it tells a story", all("a story about a lighthouse" in text for text in texts), whole)
    check("there are as many as asked for", len(texts) == 2, whole)
    history = [*STORY_ASKED, whole.choices[0].message, {"role": "user", "content": "Go on"}]
    later = client.chat.completions.create(model=model, messages=history)
    check("what was said is sent again", "Earlier you asked" in later.choices[0].message.content, later)
    short = client.chat.completions.create(model=model, messages=STORY_ASKED, max_completion_tokens=16)
    assert_typed(short, ChatCompletion)
    check("a limit cuts it short", short.choices[0].finish_reason == "length", short)


def streams(client, model):
    options = {"include_usage": True}
    chunks = typed_events(
        client.chat.completions.create(
            model=model, messages=STORY_ASKED, n=2, stream=True, stream_options=options
        ),
        ChatCompletionChunk,
    )
    check("every chunk is typed", len(chunks) > 9, chunks)
    check("the choices are told side by side", text_of(chunks) == text_of(chunks, 1), chunks)
    *others, last = chunks
    counted = last.choices == [] and last.usage.total_tokens > 0
    check("the last one has the usage", counted and not any(chunk.usage for chunk in others), last)
    with client.chat.completions.stream(model=model, messages=STORY_ASKED) as stream:
        helped = "".join(event.delta for event in stream if event.type == "content.delta")
        final = stream.get_final_completion()
    check("the library's stream puts the text together", final.choices[0].message.content == helped, final)


def tools(client, model):
    asked = {"model": model, "tools": [WRAPPED_TOOL], "reasoning_effort": "none"}
    whole = client.chat.completions.create(messages=QUESTION, **asked)
    assert_typed(whole, ChatCompletion)
    check("a call ends the turn", whole.choices[0].finish_reason == "tool_calls", whole)
    typed_events(
        client.chat.completions.create(messages=QUESTION, stream=True, **asked), ChatCompletionChunk
    )
    with client.chat.completions.stream(messages=QUESTION, **asked) as stream:
        written = "".join(
            event.arguments_delta
            for event in stream
            if event.type == "tool_calls.function.arguments.delta"
        )
        message = stream.get_final_completion().choices[0].message
    call = message.tool_calls[0]
    check("a call is streamed in pieces", written == call.function.arguments, message)
    check("its name and id come once", call.function.name == "get_weather" and call.id, message)
    said = message.to_dict(exclude_unset=True)
    for part in (said, *(call["function"] for call in said["tool_calls"])):
        for helper in ("parsed", "parsed_arguments"):
            part.pop(helper, None)  # what the library's helper adds
    for call in said["tool_calls"]:
        call.pop("index", None)
    output = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "Sunny"}
    answer = client.chat.completions.create(messages=[*QUESTION, said, output], **asked)
    check("its output is answered", "Sunny" in answer.choices[0].message.content, answer)


def errors(client, model):
    def create(**parameters):
        asked = {"model": model, "messages": QUESTION, **parameters}
        return lambda: client.chat.completions.create(**asked)

    output = {"role": "tool", "tool_call_id": "call_none", "content": "Sunny"}
    for what, call, param, code in [
        ("no message", create(messages=[]), "messages", "empty_array"),
        ("a role that is none", create(messages=[{"role": "robot", "content": "Hi"}]), "messages[0].role", "invalid_value"),
        ("an output without a call", create(messages=[*QUESTION, output]), "messages.[1].role", None),
        ("an unknown parameter", create(extra_body={"input": "Hi"}), "input", "unknown_parameter"),
        ("max_tokens", create(max_tokens=5), "max_tokens", "unsupported_parameter"),
        ("tools of a model that thinks", create(tools=[WRAPPED_TOOL]), "reasoning_effort", None),
    ]:
        said = refused(call, openai.BadRequestError, param=param, code=code)
        check(f"{what} is refused", said)


def run(client, model):
    for part in (completions, streams, tools, errors):
        check.part = f"chat {part.__name__}"
        part(client, model)
