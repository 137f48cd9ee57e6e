"""The Assistants API, asked by OpenAI's own Python library, which still has it, as deprecated."""

import warnings

import openai
from common import STORY, WRAPPED_TOOL, assert_typed, check, refused, typed_events
from openai import AssistantEventHandler
from openai.types.beta import Assistant, AssistantDeleted, AssistantStreamEvent, Thread, ThreadDeleted
from openai.types.beta.threads import Message, MessageDeleted, Run
from openai.types.beta.threads.runs import RunStep

QUESTION = {"role": "user", "content": "How is the weather?"}


def text_of(message):
    return "".join(part.text.value for part in message.content if part.type == "text")


def gone(call):
    return refused(call, openai.NotFoundError, code=None)


def resources(client, model):
    beta = client.beta
    assistant = beta.assistants.create(model=model, name="Homer", tools=[WRAPPED_TOOL])
    assert_typed(assistant, Assistant)
    check("an assistant is created", assistant.name == "Homer", assistant)
    changed = beta.assistants.update(assistant.id, instructions="Sing.", metadata={"a": "b"})
    check("it is updated", (changed.name, changed.instructions) == ("Homer", "Sing."), changed)
    check("it is retrieved", beta.assistants.retrieve(assistant.id) == changed, changed)
    others = [beta.assistants.create(model=model).id for _ in range(2)]
    listed = [found.id for found in beta.assistants.list(order="asc", limit=2)]
    check("assistants are listed, page after page", listed == [assistant.id, *others], listed)
    for made in listed:
        assert_typed(beta.assistants.delete(made), AssistantDeleted)
    check("an assistant is deleted", gone(lambda: beta.assistants.retrieve(assistant.id)))

    thread = beta.threads.create(messages=[QUESTION], metadata={"a": "b"})
    assert_typed(thread, Thread)
    check("a thread is updated", beta.threads.update(thread.id, metadata={"c": "d"}).metadata == {"c": "d"})
    added = beta.threads.messages.create(thread.id, role="assistant", content="It rains.")
    assert_typed(added, Message)
    again = beta.threads.messages.retrieve(added.id, thread_id=thread.id)
    check("a message is retrieved", again == added, again)
    page = beta.threads.messages.list(thread.id, order="asc", limit=1)
    texts = [text_of(message) for message in page]
    check("messages are listed, page after page", texts == [QUESTION["content"], "It rains."], texts)
    assert_typed(beta.threads.messages.delete(added.id, thread_id=thread.id), MessageDeleted)
    left = [message.role for message in beta.threads.messages.list(thread.id)]
    check("a message is deleted", left == ["user"], left)
    assert_typed(beta.threads.delete(thread.id), ThreadDeleted)
    check("a thread is deleted", gone(lambda: beta.threads.retrieve(thread.id)))
    check("so are its messages", gone(lambda: beta.threads.messages.list(thread.id)))


class Listener(AssistantEventHandler):
    """Hears what the library makes of the events."""

    def __init__(self):
        super().__init__()
        self.text, self.arguments, self.done = "", "", []

    def on_text_delta(self, delta, snapshot):
        self.text += delta.value

    def on_tool_call_delta(self, delta, snapshot):
        self.arguments += delta.function.arguments

    def on_tool_call_done(self, tool_call):
        self.done.append(tool_call)


def runs(client, model):
    runs, messages = client.beta.threads.runs, client.beta.threads.messages
    assistant = client.beta.assistants.create(model=model).id
    thread = client.beta.threads.create(messages=[{"role": "user", "content": STORY}]).id
    run = runs.create_and_poll(thread_id=thread, assistant_id=assistant, poll_interval_ms=50)
    assert_typed(run, Run)
    check("a run is completed", run.status == "completed" and run.usage.total_tokens > 0, run)
    newest = messages.list(thread, limit=1).data[0]
    check("its message is in the thread", "a story about a lighthouse" in text_of(newest), newest)

    more = [{"role": "user", "content": "Go on"}]
    stream = runs.create(thread, assistant_id=assistant, additional_messages=more, stream=True)
    events = typed_events(stream, AssistantStreamEvent)
    check("every event of a run is typed", events[-1].event == "thread.run.completed", events[-1])
    deltas = [event.data.delta for event in events if event.event == "thread.message.delta"]
    told = "".join(part.text.value for delta in deltas for part in delta.content)
    kept = text_of(messages.list(thread, limit=1).data[0])
    check("the deltas are the text", told == kept and "Earlier you asked" in kept, kept)

    listener = Listener()
    with runs.stream(thread_id=thread, assistant_id=assistant, event_handler=listener) as stream:
        stream.until_done()
    final = stream.get_final_messages()[0]
    check("the library's stream puts the text together", listener.text == text_of(final) != "", final)
    steps = runs.steps.list(stream.get_final_run().id, thread_id=thread).data
    for step in steps:
        assert_typed(step, RunStep)
    check("its steps are listed", [step.type for step in steps] == ["message_creation"], steps)
    listed = [found.status for found in runs.list(thread)]
    check("runs are listed", listed == ["completed"] * 3, listed)

    going = runs.create(thread, assistant_id=assistant)
    busy = lambda: runs.create(thread, assistant_id=assistant)  # noqa: E731
    check("a second run is refused meanwhile", refused(busy, openai.BadRequestError, code=None))
    blocked = lambda: messages.create(thread, role="user", content="Hi")  # noqa: E731
    check("so is a message", refused(blocked, openai.BadRequestError, code=None))
    cancelling = runs.cancel(going.id, thread_id=thread)
    assert_typed(cancelling, Run)
    after = runs.poll(going.id, thread_id=thread, poll_interval_ms=50)
    check("a run is cancelled", (cancelling.status, after.status) == ("cancelling", "cancelled"), after)
    check("the thread is free again", messages.create(thread, role="user", content="Hi").id)
    client.beta.assistants.delete(assistant)


def tools(client, model):
    runs = client.beta.threads.runs
    assistant = client.beta.assistants.create(model=model, tools=[WRAPPED_TOOL]).id
    listener = Listener()
    with client.beta.threads.create_and_run_stream(
        assistant_id=assistant, thread={"messages": [QUESTION]}, event_handler=listener
    ) as stream:
        stream.until_done()
    run = stream.get_final_run()
    check("a run waits for its tools", run.status == "requires_action", run)
    call = run.required_action.submit_tool_outputs.tool_calls[0]
    heard = [(done.id, done.function.name) for done in listener.done]
    check("the library hears the call", heard == [(call.id, "get_weather")], heard)
    check("its arguments are streamed in pieces", listener.arguments == call.function.arguments, call)
    outputs = [{"tool_call_id": call.id, "output": "Sunny"}]
    wrong = lambda: runs.submit_tool_outputs(run.id, thread_id=run.thread_id, tool_outputs=[])  # noqa: E731
    check("outputs that are missing are refused", refused(wrong, openai.BadRequestError, code=None))
    with runs.submit_tool_outputs_stream(
        run_id=run.id, thread_id=run.thread_id, tool_outputs=outputs, event_handler=Listener()
    ) as stream:
        stream.until_done()
    answer = text_of(stream.get_final_messages()[0])
    check("the outputs are answered", "Sunny" in answer, answer)
    whole = runs.retrieve(run.id, thread_id=run.thread_id)
    assert_typed(whole, Run)
    check("the run is completed", whole.status == "completed", whole)
    steps = runs.steps.list(run.id, thread_id=run.thread_id, order="asc").data
    for step in steps:
        assert_typed(step, RunStep)
    kinds = [step.type for step in steps]
    check("it had two steps", kinds == ["tool_calls", "message_creation"], kinds)
    client.beta.assistants.delete(assistant)
    check("no assistant is left", list(client.beta.assistants.list()) == [])


def run(client, model):
    warnings.simplefilter("ignore", DeprecationWarning)
    for part in (resources, runs, tools):
        check.part = f"assistants {part.__name__}"
        part(client, model)
