// AG-UI's own client and schemas against the example `chat`.
import { HttpAgent } from '@ag-ui/client';
import { EventSchemas } from '@ag-ui/core/schemas';
import { Server, check, ok, text, until } from './server.mjs';

const [program, database] = process.argv.slice(2);
const server = new Server(program, database);
await server.start();

const page = (thread, messages = []) => {
  const agent = new HttpAgent({ url: `${server.url}/ag-ui/${thread}`, threadId: `page-${thread}`, initialMessages: messages });
  agent.events = [];
  return agent;
};

/** Runs it; its client holds the events to the protocol's order, and each is held to its schema here. */
async function run(agent, parameters = {}) {
  await agent.runAgent(parameters, {
    onEvent: ({ event }) => {
      agent.events.push(EventSchemas.parse(event));
    },
  });
  return agent.events.at(-1);
}

const said = agent => agent.messages.filter(message => message.role === 'assistant').map(message => message.content ?? '').join('');
const ask = (agent, content) => agent.addMessage({ id: crypto.randomUUID(), role: 'user', content });
const count = (agent, type) => agent.events.filter(event => event.type === type).length;
const STORY = 'Tell me a story about a lighthouse';

// An answer, word by word.
{
  const thread = await server.thread();
  const agent = page(thread);
  ask(agent, STORY);
  const last = await run(agent);
  check('an answer ends', ['RUN_FINISHED', 'success'], [last.type, last.outcome.type]);
  if (count(agent, 'TEXT_MESSAGE_CONTENT') < 4) throw new Error('it came in one piece');
  ok('it came word by word', count(agent, 'TEXT_MESSAGE_CONTENT'));
  check('the page shows what the database holds', text((await server.settled(thread)).at(-1)), said(agent));

  ask(agent, 'And one about a ship');
  await run(agent);
  const stored = (await server.settled(thread)).filter(message => message.role === 'assistant');
  check('two answers', stored.map(text).join(''), said(agent));
}

// A reload in the middle of the answer: another page, which has nothing.
{
  const thread = await server.thread();
  const left = page(thread);
  ask(left, STORY);
  const running = run(left);
  await until('the first words', () => said(left).length > 10);
  const agent = page(thread);
  const last = await run(agent);
  await running;
  check('the other page is told the end', 'RUN_FINISHED', last.type);
  check('it was given what was said', 1, count(agent, 'MESSAGES_SNAPSHOT'));
  check('and shows what the database holds', text((await server.settled(thread)).at(-1)), said(agent));
  check('with the question', STORY, agent.messages[0].content);
  check('as the first page does', said(left), said(agent));
}

// Stopped.
{
  const thread = await server.thread();
  const agent = page(thread);
  ask(agent, STORY);
  const running = run(agent);
  await until('the first words', () => said(agent).length > 10);
  await server.stop(thread);
  check('a stopped answer', 'cancelled', (await running).outcome.type);
  check('what was said of it', text((await server.settled(thread)).at(-1)), said(agent));
}

// A tool that asks, across a kill.
for (const status of ['resolved', 'cancelled']) {
  const thread = await server.thread();
  const agent = page(thread);
  ask(agent, 'Please publish it');
  const waits = await run(agent);
  check('the page is asked', ['interrupt', 1], [waits.outcome.type, waits.outcome.interrupts.length]);
  await server.kill();
  await server.start();
  const [{ id }] = waits.outcome.interrupts;
  const last = await run(agent, { resume: [{ interruptId: id, status, payload: {} }] });
  check('the run goes on', ['RUN_FINISHED', 'success'], [last.type, last.outcome.type]);
  const output = agent.messages.find(message => message.role === 'tool');
  const wanted = status === 'resolved' ? /is published/ : /does not agree/;
  if (!wanted.test(output.content)) throw new Error(output.content);
  ok('the page sees what came of the call', output.content);
  check('and what the database holds', text((await server.settled(thread)).at(-1)), said(agent));
}

// A deploy in the middle of the answer.
{
  const thread = await server.thread();
  const left = page(thread);
  ask(left, STORY);
  const running = run(left);
  await until('the first words', () => said(left).length > 10);
  await server.end();
  check('the process that ends waits for the answer', 'success', (await running).outcome.type);
  await server.start();
  const agent = page(thread);
  ask(agent, 'And then?');
  await run(agent);
  ok('another page goes on', said(agent));
}

await server.kill();
