"""Has OpenAI's own Python library ask the fake for everything that it offers. Run by scripts/sdks:

    sdk.py BASE_URL MODEL KEY

The server knows this model and this key alone. Each check prints a line; the first wrong one ends the script.
"""

import json
import sys

import assistants
import chat
import openai
from common import STORY, TOOL, assert_typed, check, refused, typed_events
from openai import OpenAI
from openai.types import Model
from openai.types.conversations import Conversation, ConversationDeletedResource, ConversationItem
from openai.types.responses import Response, ResponseItem, ResponseStreamEvent
from openai.types.responses.input_token_count_response import InputTokenCountResponse

BASE_URL, MODEL, KEY = sys.argv[1:]


def text_of(events):
    return "".join(event.delta for event in events if event.type == "response.output_text.delta")


def numbers(events):
    return [event.sequence_number for event in events]


def models(client):
    listed = client.models.list()
    assert_typed(listed.data[0], Model)
    check("models are listed", [model.id for model in listed] == [MODEL], listed)
    one = client.models.retrieve(MODEL)
    check("a model is retrieved", one == listed.data[0], one)


def responses(client):
    response = client.responses.create(model=MODEL, input=STORY, metadata={"a": "b"})
    assert_typed(response, Response)
    check("a response is typed throughout", response.status == "completed", response)
    check("it tells a story", "a story about a lighthouse" in response.output_text, response)
    again = client.responses.retrieve(response.id)
    check("it is retrieved as it was", again == response, again)
    page = client.responses.input_items.list(response.id)
    assert_typed(page.data[0], ResponseItem)
    check("its input is listed", page.data[0].content[0].text == STORY, page)
    following = client.responses.create(model=MODEL, input="Go on", previous_response_id=response.id)
    check("the next one knows it", "Earlier you asked" in following.output_text, following)
    client.responses.delete(response.id)
    gone = refused(lambda: client.responses.retrieve(response.id), openai.NotFoundError, code=None)
    check("it is deleted", gone)

    cut = client.responses.create(model=MODEL, input=STORY, max_output_tokens=16)
    assert_typed(cut, Response)
    why = cut.incomplete_details and cut.incomplete_details.reason
    check("a limit makes it incomplete", (cut.status, why) == ("incomplete", "max_output_tokens"), cut)


def streams(client):
    events = typed_events(client.responses.create(model=MODEL, input=STORY, stream=True), ResponseStreamEvent)
    final = events[-1].response
    check("every event of a stream is typed", events[-1].type == "response.completed", events[-1])
    check("the numbers ascend", numbers(events) == list(range(len(events))), numbers(events))
    check("the deltas are the text", text_of(events) == final.output_text, final)
    with client.responses.stream(model=MODEL, input=STORY) as stream:
        helped = list(stream)
        final = stream.get_final_response()
    check("the library's stream ends with the text", text_of(helped) == final.output_text, final)
    counted = client.responses.input_tokens.count(model=MODEL, input=STORY)
    check("usage counts the input", final.usage.input_tokens == counted.input_tokens, final.usage)


def tools(client):
    question = [{"role": "user", "content": "How is the weather?"}]
    events = typed_events(
        client.responses.create(model=MODEL, input=question, tools=[TOOL], stream=True), ResponseStreamEvent
    )
    final = events[-1].response
    call = final.output[0]
    written = "".join(
        event.delta for event in events if event.type == "response.function_call_arguments.delta"
    )
    check("a call is streamed", written == call.arguments and call.name == "get_weather", call)
    output = {"type": "function_call_output", "call_id": call.call_id, "output": "Sunny"}
    said = [item.to_dict(exclude_unset=True) for item in final.output]
    answer = client.responses.create(model=MODEL, input=[*question, *said, output], tools=[TOOL])
    check("its output is answered", "Sunny" in answer.output_text, answer)
    alone = lambda: client.responses.create(model=MODEL, input=[*question, output])  # noqa: E731
    check("an output without a call is refused", refused(alone, openai.BadRequestError, param="input"))


def conversations(client):
    hello = {"type": "message", "role": "user", "content": "Hello"}
    conversation = client.conversations.create(metadata={"a": "b"}, items=[hello])
    assert_typed(conversation, Conversation)
    check("a conversation is created", conversation.metadata == {"a": "b"}, conversation)
    again = client.conversations.retrieve(conversation.id)
    check("it is retrieved", again == conversation, again)
    changed = client.conversations.update(conversation.id, metadata={"c": "d"})
    check("it is updated", changed.metadata == {"c": "d"}, changed)
    response = client.responses.create(model=MODEL, input=STORY, conversation=conversation.id)
    check("a response is in it", response.conversation.id == conversation.id, response)
    check("the response knows it", 'Earlier you asked: "Hello"' in response.output_text, response)
    items = list(client.conversations.items.list(conversation.id, order="asc", limit=2))
    for item in items:
        assert_typed(item, ConversationItem)
    roles = [item.role for item in items]
    check("its items are listed, page after page", roles == ["user", "user", "assistant"], items)
    one = client.conversations.items.retrieve(items[2].id, conversation_id=conversation.id)
    check("an item is retrieved", one == items[2], one)
    added = client.conversations.items.create(conversation.id, items=[hello])
    check("an item is added", added.data[0].content[0].text == "Hello", added)
    left = client.conversations.items.delete(items[2].id, conversation_id=conversation.id)
    check("an item is deleted", left.id == conversation.id, left)
    deleted = client.conversations.delete(conversation.id)
    assert_typed(deleted, ConversationDeletedResource)
    gone = refused(
        lambda: client.conversations.retrieve(conversation.id), openai.NotFoundError, code=None
    )
    check("the conversation is deleted", deleted.deleted and gone, deleted)


def background(client):
    queued = client.responses.create(model=MODEL, input=STORY, background=True)
    assert_typed(queued, Response)
    check("a background response is queued", queued.status == "queued", queued)
    running = client.responses.retrieve(queued.id)
    check("it is found while it runs", running.status in ("queued", "in_progress"), running)
    cancelled = client.responses.cancel(queued.id)
    assert_typed(cancelled, Response)
    check("it is cancelled", cancelled.status == "cancelled", cancelled)
    stays = client.responses.retrieve(queued.id)
    check("it stays so", stays.status == "cancelled", stays)

    first = []
    with client.responses.create(model=MODEL, input=STORY, background=True, stream=True) as stream:
        for event in stream:
            first.append(event)
            if event.sequence_number == 9:
                break
    response_id = first[0].response.id
    rest = typed_events(
        client.responses.retrieve(response_id, stream=True, starting_after=9), ResponseStreamEvent
    )
    whole = numbers(first) + numbers(rest)
    check("a stream is resumed where it was left", whole == list(range(len(whole))), whole)
    final = client.responses.retrieve(response_id)
    check("both parts are the text", text_of(first + rest) == final.output_text, final)
    from_start = typed_events(client.responses.retrieve(response_id, stream=True), ResponseStreamEvent)
    check("it is told again from the start", numbers(from_start) == whole, from_start)
    done = client.responses.cancel(response_id)
    check("one that is over is not cancelled any more", done.status == "completed", done)


def prompts(client):
    count = client.responses.input_tokens.count(model=MODEL, input=STORY)
    assert_typed(count, InputTokenCountResponse)
    check("input tokens are counted", count.input_tokens > 0, count)
    # The library's type of a compaction has no message of a user, although its own words and OpenAI's description have.
    sent = json.loads(client.responses.with_raw_response.compact(model=MODEL, input=STORY).text)
    for item in sent["output"]:
        assert_typed(item, ConversationItem)
    kinds = [item["type"] for item in sent["output"]]
    check("an input is compacted", kinds == ["message", "compaction"], sent)
    compacted = client.responses.compact(model=MODEL, input=STORY)
    later = client.responses.create(
        model=MODEL, input=[*sent["output"], {"role": "user", "content": "Go on"}]
    )
    check("it is gone on with", "Earlier you asked" in later.output_text, later)
    check("a compaction has its usage", compacted.usage.total_tokens > 0, compacted.usage)


def errors(client):
    def create(**parameters):
        return lambda: client.responses.create(**{"model": MODEL, "input": "hi", **parameters})

    stranger = client.with_options(api_key="sk-wrong-key")
    wrong = refused(stranger.models.list, openai.AuthenticationError, code="invalid_api_key")
    check("a wrong key is refused", wrong)
    unknown = refused(
        lambda: client.responses.retrieve("resp_none"), openai.NotFoundError, code=None, param=None
    )
    check("an unknown response is not found", unknown)
    for name, call in [
        ("max_tokens", create(extra_body={"max_tokens": 5})),
        ("reasoning.depth", create(reasoning={"depth": "deep"})),
        ("input[0].name", create(input=[{"role": "user", "content": "hi", "name": "Ada"}])),
    ]:
        said = refused(call, openai.BadRequestError, code="unknown_parameter", param=name)
        check(f"the unknown parameter {name} is refused", said)
    model = refused(
        create(model="gpt-none"), openai.NotFoundError, code="model_not_found", param="model"
    )
    check("an unknown model is refused", model)
    empty = refused(create(input=[]), openai.BadRequestError, code="missing_required_parameter")
    check("no input is refused", empty)
    low = refused(
        create(max_output_tokens=1),
        openai.BadRequestError,
        code="integer_below_min_value",
        param="max_output_tokens",
    )
    check("a limit that is too low is refused", low)


def main():
    client = OpenAI(base_url=BASE_URL, api_key=KEY, max_retries=0, timeout=30)
    for part in (models, responses, streams, tools, conversations, background, prompts, errors):
        check.part = part.__name__
        part(client)
    chat.run(client, MODEL)
    assistants.run(client, MODEL)


main()
