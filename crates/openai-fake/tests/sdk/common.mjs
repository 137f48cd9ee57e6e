// What the checks of OpenAI's own library for Node have in common.

export const story = 'Tell me a story about a lighthouse';
const definition = {
  name: 'get_weather',
  parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  strict: false,
};
export const tool = { type: 'function', ...definition };
// The same for Chat Completions and Assistants.
export const wrapped = { type: 'function', function: definition };

let part;

export function begin(name) {
  part = name;
}

export function check(what, right, shown) {
  if (!right) {
    console.log('WRONG', what, JSON.stringify(shown, null, 1));
    process.exit(1);
  }
  console.log(`ok node ${part}: ${what}`);
}

export async function gather(stream) {
  const events = [];
  for await (const event of stream) events.push(event);
  return events;
}

// Whether the call fails with exactly this class of error, which says this.
export async function refused(call, kind, expected) {
  try {
    await call();
  } catch (error) {
    const said = Object.keys(expected).every((name) => error[name] === expected[name]);
    return error.constructor === kind && said && error.type === 'invalid_request_error';
  }
  return false;
}
