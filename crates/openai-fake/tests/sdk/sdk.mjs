// Has OpenAI's own library for Node ask the fake for everything that it offers. Run by scripts/sdks:
//
//     node sdk.mjs FOLDER BASE_URL MODEL KEY
//
// where FOLDER has the library in its node_modules. The server knows this model and this key alone. Each check prints a line;
// the first wrong one ends the script.

import { createRequire } from 'node:module';
import { isDeepStrictEqual } from 'node:util';

import { assistants } from './assistants.mjs';
import { chat } from './chat.mjs';
import { begin, check, gather, refused, story, tool } from './common.mjs';

const [folder, baseURL, model, apiKey] = process.argv.slice(2);
const { OpenAI } = createRequire(`${folder}/`)('openai');

const numbers = (events) => events.map((event) => event.sequence_number);
const ascend = (all) => all.length > 0 && all.every((number, index) => number === index);
const textOf = (events) =>
  events
    .filter((event) => event.type === 'response.output_text.delta')
    .map((event) => event.delta)
    .join('');

async function models(client) {
  const listed = await gather(client.models.list());
  check('models are listed', isDeepStrictEqual(listed.map(({ id }) => id), [model]), listed);
  const one = await client.models.retrieve(model);
  check('a model is retrieved', isDeepStrictEqual({ ...one }, { ...listed[0] }), one);
}

async function responses(client) {
  const response = await client.responses.create({ model, input: story });
  check('a response is completed', response.status === 'completed', response);
  check('it tells a story', response.output_text.includes('a story about a lighthouse'), response);
  const again = await client.responses.retrieve(response.id);
  check('it is retrieved as it was', again.output_text === response.output_text, again);
  const input = await gather(client.responses.inputItems.list(response.id));
  check('its input is listed', input[0].content[0].text === story, input);
  await client.responses.delete(response.id);
  const gone = await refused(() => client.responses.retrieve(response.id), OpenAI.NotFoundError, { code: null });
  check('it is deleted', gone);
}

async function streams(client) {
  const events = await gather(await client.responses.create({ model, input: story, stream: true }));
  const last = events.at(-1);
  check('a stream ends as completed', last.type === 'response.completed', last);
  check('the numbers ascend', ascend(numbers(events)), numbers(events));
  const final = last.response.output[0].content[0].text;
  check('the deltas are the text', textOf(events) === final, final);

  // The helper puts the response together from the events, and throws at one that does not fit.
  const helped = client.responses.stream({ model, input: story });
  let written = '';
  let snapshot;
  helped.on('response.output_text.delta', (event) => {
    written += event.delta;
    snapshot = event.snapshot;
  });
  const whole = await helped.finalResponse();
  check("the library's stream puts the text together", written === whole.output_text, whole);
  check('so does its snapshot', snapshot === whole.output_text, snapshot);
}

async function tools(client) {
  const question = [{ role: 'user', content: 'How is the weather?' }];
  const helped = client.responses.stream({ model, input: question, tools: [tool] });
  let written = '';
  helped.on('response.function_call_arguments.delta', (event) => (written += event.delta));
  const [call] = (await helped.finalResponse()).output;
  check('a call is streamed', call.name === tool.name && written === call.arguments, call);
  const { type, call_id, name, arguments: given, id, status } = call;
  const output = { type: 'function_call_output', call_id, output: 'Sunny' };
  const said = { type, call_id, name, arguments: given, id, status };
  const answer = await client.responses.create({ model, input: [...question, said, output] });
  check('its output is answered', answer.output_text.includes('Sunny'), answer);
}

async function conversations(client) {
  const hello = { type: 'message', role: 'user', content: 'Hello' };
  const conversation = await client.conversations.create({ metadata: { a: 'b' }, items: [hello] });
  check('a conversation is created', conversation.metadata.a === 'b', conversation);
  const again = await client.conversations.retrieve(conversation.id);
  check('it is retrieved', again.created_at === conversation.created_at, again);
  const response = await client.responses.create({ model, input: story, conversation: conversation.id });
  check('a response is in it', response.conversation.id === conversation.id, response);
  check('the response knows it', response.output_text.includes('Earlier you asked: "Hello"'), response);
  const items = await gather(client.conversations.items.list(conversation.id, { order: 'asc', limit: 2 }));
  const roles = items.map(({ role }) => role);
  check('its items are listed, page after page', isDeepStrictEqual(roles, ['user', 'user', 'assistant']), items);
  const inIt = { conversation_id: conversation.id };
  const one = await client.conversations.items.retrieve(items[2].id, inIt);
  check('an item is retrieved', one.content[0].text === response.output_text, one);
  const left = await client.conversations.items.delete(items[2].id, inIt);
  check('an item is deleted', left.id === conversation.id, left);
  const deleted = await client.conversations.delete(conversation.id);
  const gone = await refused(() => client.conversations.retrieve(conversation.id), OpenAI.NotFoundError, { code: null });
  check('the conversation is deleted', deleted.deleted && gone, deleted);
}

async function background(client) {
  const queued = await client.responses.create({ model, input: story, background: true });
  check('a background response is queued', queued.status === 'queued', queued);
  const running = await client.responses.retrieve(queued.id);
  check('it is found while it runs', ['queued', 'in_progress'].includes(running.status), running);
  const cancelled = await client.responses.cancel(queued.id);
  check('it is cancelled', cancelled.status === 'cancelled', cancelled);

  const first = [];
  for await (const event of await client.responses.create({ model, input: story, background: true, stream: true })) {
    first.push(event);
    if (event.sequence_number === 9) break;
  }
  const id = first[0].response.id;
  const rest = await gather(await client.responses.retrieve(id, { stream: true, starting_after: 9 }));
  const whole = [...numbers(first), ...numbers(rest)];
  check('a stream is resumed where it was left', ascend(whole), whole);
  const final = await client.responses.retrieve(id);
  check('both parts are the text', textOf([...first, ...rest]) === final.output_text, final);
  const helped = client.responses.stream({ response_id: id, starting_after: 9 });
  const resumed = await helped.finalResponse();
  check("the library's stream resumes, too", resumed.output_text === final.output_text, resumed);
}

async function prompts(client) {
  const count = await client.responses.inputTokens.count({ model, input: story });
  check('input tokens are counted', Number.isInteger(count.input_tokens) && count.input_tokens > 0, count);
  const compacted = await client.responses.compact({ model, input: story });
  const kinds = compacted.output.map(({ type }) => type);
  check('an input is compacted', isDeepStrictEqual(kinds, ['message', 'compaction']), compacted);
  const input = [...compacted.output, { role: 'user', content: 'Go on' }];
  const later = await client.responses.create({ model, input });
  check('it is gone on with', later.output_text.includes('Earlier you asked'), later);
}

async function errors(client) {
  const create = (more) => () => client.responses.create({ model, input: 'hi', ...more });
  const { AuthenticationError, BadRequestError, NotFoundError } = OpenAI;
  const stranger = client.withOptions({ apiKey: 'sk-wrong-key' });
  const cases = [
    ['a wrong key is refused', () => stranger.models.list(), AuthenticationError, { code: 'invalid_api_key' }],
    ['an unknown response is not found', () => client.responses.retrieve('resp_none'), NotFoundError, { code: null, param: null }],
    ['an unknown parameter is refused', create({ max_tokens: 5 }), BadRequestError, { code: 'unknown_parameter', param: 'max_tokens' }],
    ['an unknown model is refused', create({ model: 'gpt-none' }), NotFoundError, { code: 'model_not_found', param: 'model' }],
    ['no input is refused', create({ input: [] }), BadRequestError, { code: 'missing_required_parameter' }],
  ];
  for (const [what, call, kind, expected] of cases) check(what, await refused(call, kind, expected));
}

const client = new OpenAI({ baseURL, apiKey, maxRetries: 0, timeout: 30_000 });
for (const part of [models, responses, streams, tools, conversations, background, prompts, errors]) {
  begin(part.name);
  await part(client);
}
await chat(client, OpenAI, model);
await assistants(client, OpenAI, model);
