// The AI SDK's own client, which is what `useChat` is made of, against the example `chat`.
import { AbstractChat, DefaultChatTransport, lastAssistantMessageIsCompleteWithApprovalResponses, readUIMessageStream, validateUIMessages } from 'ai';
import { readFileSync } from 'node:fs';
import { Server, check, ok, text, until } from './server.mjs';

const [program, database, replaced, askedAgain] = process.argv.slice(2);
const server = new Server(program, database);
await server.start();

/** What React holds for `useChat`, without React. */
class State {
  status = 'ready';
  error = undefined;
  lengths = new Set();

  constructor(messages) {
    this.messages = messages;
  }

  pushMessage = message => {
    this.messages = [...this.messages, message];
  };

  popMessage = () => {
    this.messages = this.messages.slice(0, -1);
  };

  replaceMessage = (index, message) => {
    this.lengths.add(text(message).length);
    this.messages = this.messages.with(index, structuredClone(message));
  };

  snapshot = value => structuredClone(value);
}

class Chat extends AbstractChat {
  constructor(id, messages = []) {
    super({
      id,
      messages,
      state: new State(messages),
      transport: new DefaultChatTransport({ api: `${server.url}/api/chat` }),
      sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithApprovalResponses,
    });
  }

  get lengths() {
    return this.state.lengths;
  }

  get last() {
    return this.messages.at(-1);
  }
}

/** Chunks as a test of the library recorded them. */
function chunksOf(file) {
  const chunks = readFileSync(file, 'utf8').trim().split('\n').map(line => JSON.parse(line));
  return new ReadableStream({
    start(controller) {
      chunks.forEach(chunk => controller.enqueue(chunk));
      controller.close();
    },
  });
}

const STORY = { text: 'Tell me a story about a lighthouse' };
const words = chat => (chat.last?.role === 'assistant' ? text(chat.last).length : 0);
/** What a page shows: ids, and what is in each message. */
const shown = messages =>
  messages.map(message => ({
    role: message.role,
    text: text(message),
    calls: message.parts
      .filter(part => part.type === 'dynamic-tool')
      .map(({ toolName, toolCallId, state, input, output, approval }) => ({ toolName, toolCallId, state, input, output, approval: approval?.approved })),
  }));
const answers = messages => messages.filter(message => message.role === 'assistant').map(message => message.id);

async function same(what, chat, thread) {
  const stored = await server.settled(thread);
  await validateUIMessages({ messages: stored });
  check(`${what}: the page shows what the database holds`, shown(stored), shown(chat.messages));
  check(`${what}: under the same ids`, answers(stored), answers(chat.messages));
}

// An answer, word by word.
{
  const thread = await server.thread();
  const chat = new Chat(thread);
  await chat.sendMessage(STORY);
  check('an answer ends', 'ready', chat.status);
  if (chat.lengths.size < 4) throw new Error(`it came in ${chat.lengths.size} pieces`);
  ok('it came word by word', chat.lengths.size);
  check('its tokens are told', 'number', typeof chat.last.metadata.usage.totalTokens);
  await same('an answer', chat, thread);

  await chat.resumeStream();
  check('nothing is there to resume', 'ready', chat.status);
  await same('after that', chat, thread);

  await chat.regenerate();
  await same('another answer', chat, thread);
}

// A reload in the middle of the answer.
{
  const thread = await server.thread();
  const left = new Chat(thread);
  const sending = left.sendMessage(STORY);
  await until('the first words', () => words(left) > 10);
  await left.stop();
  await sending;
  const page = new Chat(thread, await server.history(thread));
  check('the page has the question and what is stored', ['user'], page.messages.map(message => message.role).slice(0, 1));
  await page.resumeStream();
  await same('a reload in mid-answer', page, thread);
  if (words(page) <= words(left)) throw new Error('the answer did not go on');
}

// Stopped by the page.
{
  const thread = await server.thread();
  const chat = new Chat(thread);
  const sending = chat.sendMessage(STORY);
  await until('the first words', () => words(chat) > 10);
  await server.stop(thread);
  await sending;
  check('a stopped answer', 'cancelled', chat.last.metadata.status);
  await same('a stopped answer', chat, thread);
}

// A tool that asks, across a kill.
for (const approved of [true, false]) {
  const thread = await server.thread();
  const chat = new Chat(thread);
  await chat.sendMessage({ text: 'Please publish it' });
  const asked = chat.last.parts.find(part => part.type === 'dynamic-tool');
  check('the page is asked', 'approval-requested', asked.state);
  await server.kill();
  await server.start();
  const page = new Chat(thread, await server.history(thread));
  const part = page.last.parts.find(part => part.type === 'dynamic-tool');
  check('it is asked after a kill as well', 'approval-requested', part.state);
  // The page that stayed open, and the one that was loaded again.
  const decides = approved ? chat : page;
  await decides.addToolApprovalResponse({ id: part.approval.id, approved, reason: 'as the test wants' });
  await until('the run goes on', () => decides.last.metadata.status !== 'requires_action' && decides.status === 'ready');
  const call = decides.last.parts.find(part => part.type === 'dynamic-tool');
  check('what came of it', approved ? 'output-available' : 'output-denied', call.state);
  if (approved) {
    const stored = await server.settled(thread);
    check('the page shows what the database holds', shown(stored).at(-1).text, text(decides.last));
  } else {
    const stored = await server.settled(thread);
    check('the page shows what the database holds', text(stored.at(-1)), text(decides.last));
  }
}

// A kill in the middle of the answer: the page comes back, and sees how it ended.
{
  const thread = await server.thread();
  const left = new Chat(thread);
  const sending = left.sendMessage(STORY).catch(() => {});
  await until('stored words', async () => text((await server.history(thread)).at(-1) ?? { parts: [] }).length > 40);
  await server.kill();
  await sending;
  await server.start();
  const page = new Chat(thread, await server.history(thread));
  await page.resumeStream();
  await same('a kill in mid-answer', page, thread);
  check('it broke off', 'incomplete', page.last.metadata.status);
}

// A deploy in the middle of the answer: the process that ends waits for it.
{
  const thread = await server.thread();
  const chat = new Chat(thread);
  const sending = chat.sendMessage(STORY);
  await until('the first words', () => words(chat) > 10);
  await server.end();
  await sending;
  await server.start();
  check('a shutdown in mid-answer', ['ready', 'completed'], [chat.status, chat.last.metadata.status]);
  await same('a shutdown in mid-answer', chat, thread);
}

// A question that is asked anew in its place.
{
  const thread = await server.thread();
  const chat = new Chat(thread);
  await chat.sendMessage(STORY);
  const page = new Chat(thread, await server.history(thread));
  await page.sendMessage({ text: 'Tell me a story about a ship', messageId: page.messages[0].id });
  const stored = await server.settled(thread);
  check('an edit takes the place of the question', ['user', 'assistant'], stored.map(message => message.role));
  check('with its text', 'Tell me a story about a ship', text(stored[0]));
  check('and its answer', text(stored[1]), text(page.last));
}

// What a page agreed to is asked again when a process died, as the library's own test recorded it.
{
  const call = { type: 'dynamic-tool', toolName: 'open', toolCallId: '7', state: 'approval-responded', input: {}, approval: { id: '7.0', approved: true } };
  const message = { id: 'run-1', role: 'assistant', parts: [{ type: 'step-start' }, call] };
  check('a page sends by itself what was decided', true, lastAssistantMessageIsCompleteWithApprovalResponses({ messages: [message] }));
  let last;
  for await (const told of readUIMessageStream({ message, stream: chunksOf(askedAgain) })) last = told;
  check('it is asked again', ['approval-requested', '7.1'], [last.parts[1].state, last.parts[1].approval.id]);
  check('and sends nothing by itself', false, lastAssistantMessageIsCompleteWithApprovalResponses({ messages: [last] }));
}

// A text that turned out to be another one, as the library's own test recorded it.
{
  let last;
  for await (const message of readUIMessageStream({ stream: chunksOf(replaced) })) last = message;
  check('a replaced text', 'The final words.', text(last));
}

await server.kill();
