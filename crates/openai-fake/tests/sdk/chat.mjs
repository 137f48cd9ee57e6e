// Chat Completions, asked by OpenAI's own library for Node.

import { begin, check, gather, refused, story, wrapped } from './common.mjs';

const question = [{ role: 'user', content: 'How is the weather?' }];
const asked = [{ role: 'user', content: story }];

async function completions(client, model) {
  const whole = await client.chat.completions.create({ model, messages: asked });
  const { message, finish_reason } = whole.choices[0];
  check('a completion tells a story', message.content.includes('a story about a lighthouse'), whole);
  check('it stops and is counted', finish_reason === 'stop' && whole.usage.total_tokens > 0, whole);
  const history = [...asked, message, { role: 'user', content: 'Go on' }];
  const later = await client.chat.completions.create({ model, messages: history });
  check('what was said is sent again', later.choices[0].message.content.includes('Earlier you asked'), later);
}

async function streams(client, model) {
  const stream_options = { include_usage: true };
  const request = { model, messages: asked, stream: true, stream_options };
  const chunks = await gather(await client.chat.completions.create(request));
  const last = chunks.at(-1);
  check('the last chunk has the usage', last.choices.length === 0 && last.usage.total_tokens > 0, last);
  const told = chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('');
  const helped = client.chat.completions.stream({ model, messages: asked });
  let written = '';
  helped.on('content', (delta) => (written += delta));
  const final = await helped.finalContent();
  check("the library's stream puts the text together", written === final && told === final, final);
}

async function tools(client, model) {
  const request = { model, messages: question, tools: [wrapped], reasoning_effort: 'none' };
  const helped = client.chat.completions.stream(request);
  let written = '';
  helped.on('tool_calls.function.arguments.delta', ({ arguments_delta }) => (written += arguments_delta));
  const [choice] = (await helped.finalChatCompletion()).choices;
  const { id, type, function: call } = choice.message.tool_calls[0];
  check('a call is streamed in pieces', call.name === 'get_weather' && written === call.arguments, choice);
  const said = { role: 'assistant', content: null, tool_calls: [{ id, type, function: { name: call.name, arguments: call.arguments } }] };
  const output = { role: 'tool', tool_call_id: id, content: 'Sunny' };
  const answer = await client.chat.completions.create({ ...request, messages: [...question, said, output] });
  check('its output is answered', answer.choices[0].message.content.includes('Sunny'), answer);
}

async function errors(client, OpenAI, model) {
  const create = (more) => () => client.chat.completions.create({ model, messages: question, ...more });
  const cases = [
    ['no message is refused', create({ messages: [] }), { code: 'empty_array', param: 'messages' }],
    ['max_tokens is refused', create({ max_tokens: 5 }), { code: 'unsupported_parameter', param: 'max_tokens' }],
    ['an unknown parameter is refused', create({ input: 'Hi' }), { code: 'unknown_parameter', param: 'input' }],
  ];
  for (const [what, call, expected] of cases) check(what, await refused(call, OpenAI.BadRequestError, expected));
}

export async function chat(client, OpenAI, model) {
  for (const part of [completions, streams, tools]) {
    begin(`chat ${part.name}`);
    await part(client, model);
  }
  begin('chat errors');
  await errors(client, OpenAI, model);
}
