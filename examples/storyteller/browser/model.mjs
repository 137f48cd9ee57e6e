// A model that says what it is told to: a server of Chat Completions on the loopback interface.
import { createServer } from 'node:http'
import { once } from 'node:events'

export class Model {
  constructor() {
    // What it answers next, in order: a text, an HTTP status, { publish: TITLES } to call the tool for each of them, or
    // { text, until: PROMISE }, whose end waits for that. The title that it gives a conversation may be a promise, too.
    this.replies = []
    this.pace = 15
    this.title = 'A title <b>of it</b>'
    this.server = createServer((request, response) => this.answer(request, response))
  }

  async start() {
    this.server.listen(0, '127.0.0.1')
    await once(this.server, 'listening')
    const { port } = this.server.address()
    return {
      OPENAI_API_KEY: 'sk-nothing', OPENAI_BASE_URL: `http://127.0.0.1:${port}/v1`,
      OPENAI_MODEL: 'scripted', AI_ENGINE_PROTOCOL: 'chat_completions'
    }
  }

  async answer(request, response) {
    let body = ''
    for await (const piece of request) body += piece
    const asked = JSON.parse(body)
    const isTitle = body.includes('The title of this conversation:')
    const reply = isTitle ? await this.title : this.replies.shift() ?? 'Nothing more.'
    if (typeof reply === 'number') {
      response.writeHead(reply, { 'content-type': 'application/json' })
      response.end(JSON.stringify({ error: { message: 'secret words of the provider', code: 'invalid_request_error' } }))
      return
    }
    if (!asked.stream) {
      const message = { role: 'assistant', content: reply }
      response.writeHead(200, { 'content-type': 'application/json' })
      response.end(JSON.stringify({ id: 'c', object: 'chat.completion', model: 'scripted', choices: [{ index: 0, message, finish_reason: 'stop' }], usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 } }))
      return
    }
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    const send = choice => response.write(`data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', model: 'scripted', choices: [{ index: 0, ...choice }] })}\n\n`)
    if (reply.publish) {
      const calls = reply.publish.map((title, index) => (
        { index, id: `call_${index + 1}`, type: 'function', function: { name: 'publish', arguments: JSON.stringify({ title }) } }))
      send({ delta: { role: 'assistant', tool_calls: calls }, finish_reason: null })
      send({ delta: {}, finish_reason: 'tool_calls' })
      response.end('data: [DONE]\n\n')
      return
    }
    for (const word of (reply.text ?? reply).match(/\S+\s*/g)) {
      if (response.destroyed) return
      send({ delta: { role: 'assistant', content: word }, finish_reason: null })
      await new Promise(done => setTimeout(done, this.pace))
    }
    await reply.until
    send({ delta: {}, finish_reason: 'stop' })
    response.end('data: [DONE]\n\n')
  }

  stop() {
    this.server.close()
    this.server.closeAllConnections()
  }
}
