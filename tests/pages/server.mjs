// The example `chat` as a process that can be killed and started again on its port and database.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

export class Server {
  constructor(program, database) {
    this.program = program;
    this.database = database;
    this.port = '0';
  }

  async start() {
    const env = { ...process.env, PORT: this.port, DATABASE_URL: this.database };
    this.process = spawn(this.program, { env, stdio: ['ignore', 'pipe', 'inherit'] });
    const lines = createInterface({ input: this.process.stdout });
    for await (const line of lines) {
      if (line.startsWith('http://')) {
        this.url = line;
        this.port = new URL(line).port;
        return;
      }
    }
    throw new Error('the server did not start');
  }

  async kill() {
    const ended = new Promise(resolve => this.process.once('exit', resolve));
    this.process.kill('SIGKILL');
    await ended;
  }

  /** In good order, as in a deploy: its streams end while their answers go on. */
  async end() {
    const ended = new Promise(resolve => this.process.once('exit', resolve));
    this.process.kill('SIGTERM');
    await ended;
  }

  async thread() {
    const created = await fetch(`${this.url}/threads`, { method: 'POST' });
    return created.text();
  }

  /** What the database holds, in the AI SDK's form. */
  async history(thread) {
    const answer = await fetch(`${this.url}/api/chat/${thread}`);
    return answer.json();
  }

  /** The same, once the answer has ended. */
  async settled(thread) {
    for (;;) {
      const messages = await this.history(thread);
      const last = messages.at(-1);
      if (last?.role === 'assistant' && last.metadata.usage) return messages;
      await new Promise(resolve => setTimeout(resolve, 50));
    }
  }

  stop(thread) {
    return fetch(`${this.url}/api/chat/${thread}/stop`, { method: 'POST' });
  }
}

export const text = message => message.parts.filter(part => part.type === 'text').map(part => part.text).join('');

export function ok(what, value = '') {
  console.log(`ok ${what}: ${String(value).replaceAll('\n', ' ').slice(0, 60)}`);
}

export function check(what, wanted, found) {
  const [a, b] = [JSON.stringify(wanted), JSON.stringify(found)];
  if (a !== b) throw new Error(`${what}: ${b} instead of ${a}`);
  ok(what, typeof wanted === 'string' ? wanted : a);
}

/** Waits until it is so. */
export async function until(what, so) {
  const end = Date.now() + 60_000;
  while (!(await so())) {
    if (Date.now() > end) throw new Error(`this never came true: ${what}`);
    await new Promise(resolve => setTimeout(resolve, 20));
  }
}
