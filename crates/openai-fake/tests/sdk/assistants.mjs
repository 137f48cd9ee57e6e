// The Assistants API, asked by OpenAI's own library for Node, which still has it, as deprecated.

import { isDeepStrictEqual } from 'node:util';

import { begin, check, gather, refused, story, wrapped } from './common.mjs';

const question = { role: 'user', content: 'How is the weather?' };
const textOf = (message) => message.content.map((part) => part.text.value).join('');

async function resources(client, OpenAI, model) {
  const { assistants, threads } = client.beta;
  const assistant = await assistants.create({ model, name: 'Homer', tools: [wrapped] });
  const changed = await assistants.update(assistant.id, { instructions: 'Sing.' });
  check('an assistant is created and updated', changed.name === 'Homer' && changed.instructions === 'Sing.', changed);
  const other = await assistants.create({ model });
  const listed = (await gather(assistants.list({ order: 'asc', limit: 1 }))).map(({ id }) => id);
  check('assistants are listed, page after page', isDeepStrictEqual(listed, [assistant.id, other.id]), listed);
  for (const id of listed) await assistants.delete(id);
  const none = { code: null };
  check('an assistant is deleted', await refused(() => assistants.retrieve(other.id), OpenAI.NotFoundError, none));

  const thread = await threads.create({ messages: [question] });
  const added = await threads.messages.create(thread.id, { role: 'assistant', content: 'It rains.' });
  const texts = (await gather(threads.messages.list(thread.id, { order: 'asc', limit: 1 }))).map(textOf);
  check('messages are listed, page after page', isDeepStrictEqual(texts, [question.content, 'It rains.']), texts);
  const gone = await threads.messages.delete(added.id, { thread_id: thread.id });
  check('a message is deleted', gone.deleted, gone);
  await threads.delete(thread.id);
  check('a thread is deleted', await refused(() => threads.retrieve(thread.id), OpenAI.NotFoundError, none));
}

async function runs(client, OpenAI, model) {
  const { assistants, threads } = client.beta;
  const { id: assistant_id } = await assistants.create({ model });
  const { id } = await threads.create({ messages: [{ role: 'user', content: story }] });
  const run = await threads.runs.createAndPoll(id, { assistant_id }, { pollIntervalMs: 50 });
  check('a run is completed', run.status === 'completed' && run.usage.total_tokens > 0, run);
  const stream = threads.runs.stream(id, { assistant_id });
  let written = '';
  stream.on('textDelta', (delta) => (written += delta.value));
  const [final] = await stream.finalMessages();
  check("the library's stream puts the text together", written === textOf(final) && written !== '', final);
  const kept = (await threads.messages.list(id, { limit: 1 })).data[0];
  check('its message is in the thread', textOf(kept) === written, kept);
  const going = await threads.runs.create(id, { assistant_id });
  const busy = () => threads.runs.create(id, { assistant_id });
  check('a second run is refused meanwhile', await refused(busy, OpenAI.BadRequestError, { code: null }));
  await threads.runs.cancel(going.id, { thread_id: id });
  const after = await threads.runs.poll(going.id, { thread_id: id }, { pollIntervalMs: 50 });
  check('a run is cancelled', after.status === 'cancelled', after);
}

async function tools(client, OpenAI, model) {
  const { assistants, threads } = client.beta;
  const { id: assistant_id } = await assistants.create({ model, tools: [wrapped] });
  const stream = threads.createAndRunStream({ assistant_id, thread: { messages: [question] } });
  let written = '';
  stream.on('toolCallDelta', (delta) => (written += delta.function.arguments));
  const run = await stream.finalRun();
  const [call] = run.required_action.submit_tool_outputs.tool_calls;
  check('a run waits for its tools', call.function.name === 'get_weather' && written === call.function.arguments, run);
  const tool_outputs = [{ tool_call_id: call.id, output: 'Sunny' }];
  const { thread_id } = run;
  const answered = threads.runs.submitToolOutputsStream(run.id, { thread_id, tool_outputs });
  const [message] = await answered.finalMessages();
  check('their outputs are answered', textOf(message).includes('Sunny'), message);
  const steps = await gather(threads.runs.steps.list(run.id, { thread_id, order: 'asc' }));
  const kinds = steps.map(({ type }) => type);
  check('it had two steps', isDeepStrictEqual(kinds, ['tool_calls', 'message_creation']), kinds);
}

export async function assistants(client, OpenAI, model) {
  for (const part of [resources, runs, tools]) {
    begin(`assistants ${part.name}`);
    await part(client, OpenAI, model);
  }
}
